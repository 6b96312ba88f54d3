# e2e/test_openapi.py - openapi.json against the running server: every path, every answer, in various states.
import copy
import hashlib
import http.client
import json
import re

import jsonschema
import pytest

from harness import Origin, Proxy, reply, wait_for

pytestmark = pytest.mark.once  # about the words of the API

LONG = [{"weight": "50%", "hold": "1h"}, {"approve": 1}, {"webhook": "http://127.0.0.1:9/", "timeout": "1m"}, {"weight": "100%"}]


class Described:
    """openapi.json, read strictly: a member that no shape has is an error."""

    def __init__(self, document):
        self.document = document
        self.components = {"components": {"schemas": self.close(copy.deepcopy(document["components"]["schemas"]))}}
        self.seen = set()  # (method, path) whose success was seen

    def close(self, node):
        if isinstance(node, dict):
            for child in node.values():
                self.close(child)
            if isinstance(node.get("properties"), dict):
                node.setdefault("additionalProperties", False)
        elif isinstance(node, list):
            for child in node:
                self.close(child)
        return node

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def find(self, method, target):
        path = target.split("?")[0]
        for candidate in sorted(self.document["paths"], key=lambda p: p.count("{")):
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", candidate), path):
                return candidate, self.document["paths"][candidate].get(method.lower())
        return None, None

    def check(self, method, target, status, kind, body):
        path, operation = self.find(method, target)
        where = f"{method} {target}: {status} {body!r:.2000}"
        response = operation["responses"].get(str(status)) if operation else None
        if response is None:
            assert status >= 400, f"{where}\nno such success is described: .success in proxy/admin/endpoints.c"
            response = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}}
        assert kind in response["content"], f"{where}\n{kind} is not described: proxy/admin/answers.c"
        schema = {**response["content"][kind].get("schema", {}), **self.components}
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        problems = [f"{error.json_path}: {error.message:.300}" for error in validator.iter_errors(body)]
        assert not problems, f"{problems}\n{where}\nwrite it down in proxy/admin/answers.c: the shape of this endpoint's document"
        if status < 400:
            self.seen.add((method, path))


@pytest.fixture(name="house", scope="module")
def fixture_house():
    """A rollout, a comparing shadow, rules, monitors, and a token."""
    stable, canary = Origin(reply(b'{"price": 1}', "Content-Type: application/json")), Origin(reply(b"canary"))
    tokens = [{"name": "ci", "role": "viewer", "sha256": hashlib.sha256(b"secret").hexdigest()}]
    with Proxy(
        admin={"bind": "127.0.0.1:0", "tokens": tokens},
        upstreams={"s": {"endpoints": [stable]}, "c": {"endpoints": [canary]}},
        segments={"beta": {"header": "x-beta", "present": True, "expires": "2001-01-01", "doc": "https://x/d"}},
        routes=[
            {"name": "shop", "match": {"path": {"prefix": "/shop"}}, "split": {"s": 100, "c": 0}, "owner": "a", "sticky": {"cookie": "id"}},
            {"name": "dark", "match": {"path": {"prefix": "/dark"}}, "to": "s", "shadow": [{"to": "c", "compare": {}}]},
            {"name": "free", "split": {"s": 1, "c": 1}, "kind": "release", "expires": "2999-01-01",
             "rules": [{"name": "beta", "when": {"segment": "beta"}, "to": "c"}]},
        ],
        slos={"quick": {"route": "shop", "availability": "99%", "latency": {"below": "1s", "for": "90%"}, "window": "1h"}},
        monitors={"home": {"upstreams": ["s", "c"], "every": "1h", "expect": {"body": "canary"}}},
        rollouts={"r": {
            "route": "shop", "stable": "s", "canary": "c", "revision": "1", "steps": LONG,
            "guardrails": [{"metric": "error_rate", "max": "20%", "window": "10s"},
                           {"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}, {"monitor": "home", "max_failures": 50}],
            "freeze": [{"from": "2000-01-01T00:00:00Z", "to": "2001-01-01T00:00:00Z", "reason": "past"}],
        }},
    ) as made:
        made.canary = canary
        made.described = Described(made.admin("GET", "/api/v1/openapi.json")[1])
        yield made


@pytest.fixture(name="proxy")
def fixture_proxy(house):
    """As the test before left it: what one has seen counts in the last."""
    return house


def ask(proxy, method, target, body=None, over=None, headers=None):
    """(status, body), held against what openapi.json says."""
    if over:
        connection = http.client.HTTPConnection(*over.rsplit(":", 1), timeout=30)
        connection.request(method, target, json.dumps(body) if body is not None else None, headers or {})
        response = connection.getresponse()
        text, kind = response.read().decode(), response.getheader("Content-Type").split(";")[0]
        connection.close()
        status, answer = response.status, json.loads(text) if "json" in kind else text
    else:
        status, answer = proxy.admin(method, target, body, headers)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
    proxy.described.check(method, target, status, kind, answer)
    return status, answer


def look(proxy):
    """Everything that can be read, with every way to ask for it."""
    for method, path, operation in list(proxy.described.operations()):
        if method != "GET":
            continue
        names = {"name": "free", "route": "dark", "generation": "1"}
        if "rollouts" in path or "drill/" in path:
            names["name"] = "r"
        target = re.sub(r"{(\w+)}", lambda m: names.get(m[1], "r"), path)  # pylint: disable=cell-var-from-loop
        arguments = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
        targets = [target + ("?follow=false" if "follow" in arguments else "")]
        if "diff" in arguments:
            targets.append(f"{target}?diff=1..1")
        if "limit" in arguments:
            more = "&" if "?" in targets[0] else "?"
            targets += [f"{targets[0]}{more}limit=1", f"{targets[0]}{more}limit=0", f"{targets[0]}{more}limit=x"]
        for one in targets:
            ask(proxy, "GET", one)


def test_every_answer_is_described(proxy):
    document = proxy.described.document
    for method, path, operation in proxy.described.operations():
        success = [status for status in operation["responses"] if status.startswith("2")]
        assert success, f"{method} {path}: add its row to the table of proxy/admin/answers.c"
        assert operation["responses"]["default"]["content"]["application/json"]
        for parameter in operation["parameters"]:
            assert parameter["schema"] and parameter["in"] in ("path", "query")
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for reference in re.findall(r'"#/components/schemas/(\w*)"', json.dumps(schema)):
            assert reference in document["components"]["schemas"], name


def test_the_dispatch_table_and_openapi_have_the_same_methods(proxy):
    """405 comes from the table that dispatches: its Allow is all that it has."""
    for path, methods in proxy.described.document["paths"].items():
        client = http.client.HTTPConnection(*proxy.status()["admin"]["address"].rsplit(":", 1), timeout=30)
        client.request("PATCH", re.sub(r"{\w+}", "x", path), headers={"Authorization": "Bearer secret"})
        answer = client.getresponse()
        assert answer.status == 405, path
        assert set(answer.getheader("Allow").split(", ")) - {"HEAD"} == {method.upper() for method in methods}, path
        client.close()


def send(proxy, path, count, done):
    client = proxy.client()

    def go():
        for _ in range(count):
            client.get(path)
        return done()
    wait_for(go, f"{path} has led there")


def test_answers_in_every_state_are_as_described(proxy):
    look(proxy)
    assert ask(proxy, "POST", "/api/v1/drill/r", {"reason": "test", "fault": "error", "rate": 200})[0] == 202
    look(proxy)
    wait_for(lambda: ask(proxy, "GET", "/api/v1/drill/r")[1]["drill"]["state"] == "passed", "the drill passes")
    assert ask(proxy, "POST", "/api/v1/drill/r/abort", {"reason": "test"})[0] == 409
    assert ask(proxy, "POST", "/api/v1/drill/r", {"reason": "test", "fault": "error", "share_ppm": 1})[0] == 202
    assert ask(proxy, "POST", "/api/v1/drill/r/abort", {"reason": "test"})[0] == 202
    wait_for(lambda: ask(proxy, "GET", "/api/v1/drill/r")[1]["drill"]["state"] == "aborted", "the drill ends")
    assert ask(proxy, "POST", "/api/v1/rollouts/r/start", {"reason": "test"})[0] == 200
    assert ask(proxy, "POST", "/api/v1/rollouts/r/pause", {"reason": "test"})[0] == 200
    assert ask(proxy, "POST", "/api/v1/rollouts/r/resume", {"reason": "test"})[0] == 200
    assert ask(proxy, "PUT", "/api/v1/routes/free/split", {"reason": "test", "weights": {"s": 2, "c": 1}})[0] == 200
    assert ask(proxy, "POST", "/api/v1/events", {"reason": "test", "subject": "c", "text": "2.4.1", "detail": {"commit": "abc"}})[0] == 201
    told = ask(proxy, "POST", "/api/v1/events", {"reason": "test", "rollout": "r", "tags": ["ci"], "title": "t", "link": "https://x/1"})
    assert ask(proxy, "GET", f"/api/v1/events/{told[1]['id']}")[0] == 200
    assert ask(proxy, "POST", "/api/v1/events", {"reason": "test"})[0] == 201
    assert ask(proxy, "POST", "/api/v1/outcomes", {"reason": "test", "outcomes": []})[0] == 200
    send(proxy, "/dark", 3, lambda: any(s["diffs"] for s in ask(proxy, "GET", "/api/v1/shadow/dark/diffs")[1]["shadows"]))
    look(proxy)
    assert ask(proxy, "POST", "/api/v1/rollouts/r/promote", {"reason": "test"})[0] == 200
    wait_for(lambda: ask(proxy, "GET", "/api/v1/rollouts/r")[1]["rollout"]["state"] == "awaiting_approval", "it waits for somebody")
    look(proxy)
    status, answer = ask(proxy, "POST", "/api/v1/rollouts/r/approve", {"reason": "test"})
    assert (status, answer["error"]["code"]) == (409, "refused"), "who started it is none of them"
    proxy.canary.answer = reply(b"boom", status="500 Internal Server Error")
    send(proxy, "/shop", 40, lambda: ask(proxy, "GET", "/api/v1/rollouts/r")[1]["rollout"]["state"] == "rolled_back")
    assert "breach" in ask(proxy, "GET", "/api/v1/rollouts/r")[1]["rollout"]
    incidents = ask(proxy, "GET", "/api/v1/incidents")[1]["incidents"]
    assert ask(proxy, "GET", f"/api/v1/incidents/{incidents[0]['id']}")[0] == 200
    assert ask(proxy, "DELETE", "/api/v1/routes/free/split", {"reason": "test"})[0] == 200
    proxy.config["rollouts"]["r"]["revision"] = "2"
    proxy.config["rollouts"]["r"]["freeze"][0]["to"] = "2999-01-01T00:00:00Z"
    proxy.write_config()
    assert ask(proxy, "POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    look(proxy)
    assert ask(proxy, "POST", "/api/v1/rollouts/r/start", {"reason": "test"})[0] == 200
    look(proxy)
    for word in ("rollback", "abort"):
        ask(proxy, "POST", f"/api/v1/rollouts/r/{word}", {"reason": "test"})
    proxy.config["workers"] = "many"
    proxy.write_config()
    assert ask(proxy, "POST", "/api/v1/reload", {"reason": "test"})[0] == 422
    assert ask(proxy, "POST", "/api/v1/config/versions/1/restore", {"reason": "test"})[0] == 200
    look(proxy)


def test_refusals_are_as_described(proxy):
    over = proxy.status()["admin"]["address"]
    for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer secret"}, 403)):
        assert ask(proxy, "POST", "/api/v1/reload", {"reason": "test"}, over, headers)[0] == status
    for target, body, status in (
        ("/api/v1/reload", {}, 400), ("/api/v1/rollouts/none/start", {"reason": "test"}, 404), ("/api/v1/nothing", None, 404),
        ("/api/v1/status", None, 405), ("/api/v1/config/versions/99/restore", {"reason": "test"}, 404),
    ):
        assert ask(proxy, "POST", target, body)[0] == status, target
    for name in ("shop", "dark", "none"):
        assert ask(proxy, "PUT", f"/api/v1/routes/{name}/split", {"reason": "test", "weights": {"s": 1, "c": 1}})[0] in (400, 404, 409)


def test_the_success_of_every_endpoint_was_seen(proxy):
    """Behind the tests above: what none of them has called is not checked. A new endpoint has to be called by one of them."""
    assert ask(proxy, "POST", "/api/v1/drain", {"reason": "the end"})[0] == 202
    assert ask(proxy, "GET", "/readyz")[0] == 503
    everything = {(method, path) for method, path, _ in proxy.described.operations()}
    unseen = everything - proxy.described.seen - {("POST", "/api/v1/rollouts/{name}/approve")}  # one_rollout, as the others
    assert unseen <= {("POST", "/api/v1/rollouts/{name}/abort"), ("POST", "/api/v1/rollouts/{name}/rollback")}, f"call them: {unseen}"
