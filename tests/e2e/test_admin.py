# e2e/test_admin.py - the operators' HTTP: what it answers, to whom, and what it writes down first.
import hashlib
import http.client
import json
import os
import pwd
import re
import sqlite3
import subprocess

import pytest

from harness import Client, Origin, Proxy, WEIR, reply, request, wait_for

ROLES = ("viewer", "operator", "approver", "admin")
TOKENS = {role: f"token-of-{role}" for role in ROLES}


def two_origins():
    a, b = Origin(), Origin()
    a.answer, b.answer = reply(b"a"), reply(b"b")
    return a, b


def split_config(a, b, weights=None, **config):
    return {
        "upstreams": {"v1": {"endpoints": [a]}, "v2": {"endpoints": [b]}},
        "routes": [{"name": "shop", "split": weights or {"v1": 1, "v2": 0}}],
        **config,
    }


@pytest.fixture
def shop(start):
    """A proxy whose route `shop` goes to v1 alone, by a split with v2; two workers."""
    a, b = two_origins()
    return start(**split_config(a, b, workers=2, admin={"bind": "127.0.0.1:0"}))


def bodies(proxy, count=20):
    return {proxy.get().body for _ in range(count)}


def over_tcp(proxy, method, path, body=None, token=None):
    """(status, headers, parsed body)"""
    host, port = proxy.status()["admin"]["address"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    is_json = "json" in response.getheader("Content-Type", "")
    return response.status, dict(response.getheaders()), json.loads(text) if is_json else text


def raw(proxy):
    """A connection to the UNIX socket, for requests that no library sends."""
    client = Client(proxy.admin_path)
    proxy.clients.append(client)
    return client


def code(answer):
    status, body = answer
    return status, body["error"]["code"]


# ---- health ---------------------------------------------------------------------------------------------------------------


def test_health_and_readiness(shop):
    assert shop.admin("GET", "/healthz") == (200, "ok\n")
    assert shop.admin("GET", "/readyz") == (200, "ready\n")


def is_refused(proxy):
    """Closed, or about to be: what the kernel let in meanwhile is reset."""
    try:
        proxy.client().get()
    except ConnectionRefusedError:
        return True
    except (ConnectionError, EOFError):
        return False
    raise AssertionError("it was served")


def test_a_drain_takes_no_more_clients_and_says_so(shop):
    kept = shop.client()
    assert kept.get().status == 200
    assert shop.admin("POST", "/api/v1/drain", {"reason": "maintenance"}) == (202, {"state": "draining"})
    assert shop.admin("GET", "/readyz") == (503, "draining\n")
    assert shop.admin("GET", "/healthz") == (200, "ok\n")
    assert shop.status()["state"] == "draining"
    wait_for(lambda: is_refused(shop), "the port is closed")
    wait_for(lambda: all(w["is_drained"] for w in shop.status()["workers"]), lambda: f"drained: {shop.status()}")
    assert shop.admin("POST", "/api/v1/drain", {"reason": "again"})[0] == 202
    status, body = shop.admin("POST", "/api/v1/reload", {"reason": "too late"})
    assert status == 422 and "draining" in body["error"]["problems"][0]


def test_metrics_in_both_formats(shop):
    status, text = shop.admin("GET", "/metrics")
    assert status == 200 and "# TYPE weir_config_generation gauge" in text and "weir_build_info{" in text
    assert "process_open_fds" in text and "# EOF" not in text
    status, text = shop.admin("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert status == 200 and text.endswith("# EOF\n")


# ---- what is shown ----------------------------------------------------------------------------------------------------------


def test_status(shop):
    status = shop.status()
    assert status["state"] == "serving" and status["pid"] == shop.pid
    assert status["config"]["generation"] == 1 and status["config"]["source"] == "start"
    assert status["listeners"] == [{"name": "web", "bind": shop.config["listeners"]["web"]["bind"],
                                    "address": shop.config["listeners"]["web"]["bind"]}]
    assert [w["index"] for w in status["workers"]] == [0, 1]
    assert status["store"] == {
        "is_usable": True, "problem": None, "waiting_count": 0, "lost_count": 0, "waiting_since": None,
    }
    assert status["last_reload"] is None and status["reloads"] == {"applied": 0, "unchanged": 0, "rejected": 0}
    version = subprocess.run([WEIR, "version"], capture_output=True, text=True, check=True).stdout
    assert f"weir {status['version']}\n" in version


def test_status_counts_what_is_live(start, origin):
    origin.answer = lambda connection, r: connection.reader.fill()
    proxy = start(origin)
    client = proxy.client().send(request())
    wait_for(lambda: proxy.live()["requests"] == 1, lambda: f"one request is live: {proxy.live()}")
    assert proxy.live()["clients"] == 1 and proxy.live()["exchanges"] == 1
    client.close()
    proxy.expect_nothing_live()


def test_routes_show_match_rules_shares_and_owners(start, origin):
    proxy = start(origin, upstreams={"v1": {"endpoints": [origin]}, "v2": {"endpoints": [origin]}}, routes=[
        {"name": "shop", "owner": "team-a", "kind": "release", "expires": "2999-01-01", "doc": "https://x/d",
         "runbook": "https://x/r", "match": {"host": ["a.example", "*.b.example"], "path": {"prefix": "/cart"},
                                             "method": ["GET", "POST"]},
         "rules": [{"name": "staff", "to": "v2", "owner": "team-b", "when": {"all": [
             {"header": "x-staff", "equals": "1"}, {"not": {"source": ["10.0.0.0/8", "2001:db8::/32"]}}]}}],
         "split": {"v1": 3, "v2": 1}, "sticky": {"cookie": "who"}},
        {"name": "old", "redirect": {"to": "https://new.example", "code": 308}},
    ])
    status, body = proxy.admin("GET", "/api/v1/routes")
    assert status == 200 and [r["name"] for r in body["routes"]] == ["shop", "old"]
    shop, old = body["routes"]
    assert shop["match"] == "host a.example *.b.example, path prefix /cart, method GET POST"
    assert shop["action"] == "forward" and shop["sticky"] == "cookie who" and not shop["overridden"]
    assert shop["split"] == [{"upstream": "v1", "weight": 3, "file_weight": 3, "share": 0.75},
                             {"upstream": "v2", "weight": 1, "file_weight": 1, "share": 0.25}]
    assert shop["owner"] == "team-a" and shop["kind"] == "release" and shop["expires"] == "2999-01-01T00:00:00.000Z"
    assert shop["doc"] == "https://x/d" and shop["runbook"] == "https://x/r"
    rule = shop["rules"][0]
    assert rule["when"] == 'all of (header x-staff equals "1"; not (source 10.0.0.0/8 2001:db8::/32))'
    assert rule["to"] == "v2" and rule["owner"] == "team-b" and rule["expires"] is None
    assert old["match"] == "any request" and old["action"] == "redirect" and old["split"] == []
    assert proxy.admin("GET", "/api/v1/routes/old")[1]["route"] == old
    assert code(proxy.admin("GET", "/api/v1/routes/nope")) == (404, "no_such_route")


def test_upstreams_show_health_and_connections(start, origin, gone):
    proxy = start(upstreams={"up": {"endpoints": [origin]}, "down": {"endpoints": [gone]}},
                  routes=[{"name": "d", "match": {"path": {"prefix": "/d"}}, "to": "down"}, {"name": "u", "to": "up"}])
    assert proxy.get().status == 200
    assert proxy.get("/d").status in (502, 503)

    def shown():
        return {u["name"]: u for u in proxy.admin("GET", "/api/v1/upstreams")[1]["upstreams"]}

    wait_for(lambda: shown()["up"]["endpoints"][0]["healthy"] is True, lambda: f"up is healthy: {shown()}")
    wait_for(lambda: shown()["down"]["endpoints"][0]["healthy"] is False, lambda: f"down is not: {shown()}")
    assert shown()["up"]["endpoints"][0]["address"] == origin.address
    wait_for(lambda: shown()["up"]["connections"]["idle"] >= 1, lambda: f"one is pooled: {shown()}")
    wait_for(lambda: shown()["down"]["connections"]["connect_failures"] >= 1, lambda: f"a failure: {shown()}")


def test_the_configuration_is_shown_without_token_digests(start, origin):
    digest = hashlib.sha256(b"s3cret").hexdigest()
    proxy = start(origin, admin={"tokens": [{"name": "ci", "role": "viewer", "sha256": digest}]})
    status, body = proxy.admin("GET", "/api/v1/config")
    assert status == 200 and body["generation"] == 1
    assert '"name": "ci"' in body["text"] and origin.address in body["text"]
    for path in ("/api/v1/config", "/api/v1/config/versions/1", "/api/v1/config/versions?diff=1..1"):
        assert digest not in json.dumps(proxy.admin("GET", path)[1])


def test_hygiene_names_what_expired_and_what_nobody_owns(start, origin):
    proxy = start(origin, segments={"beta": {"header": "x-beta", "present": True, "owner": "team-c"}}, routes=[
        {"name": "one", "owner": "team-a", "to": "a", "rules": [
            {"name": "left", "when": {"segment": "beta"}, "to": "a", "expires": "2001-01-01"}],
         "match": {"path": {"prefix": "/one"}}},
        {"name": "two", "to": "a"}])
    findings = proxy.admin("GET", "/api/v1/hygiene")[1]["findings"]
    assert [(f["what"], f["name"], f["problem"]) for f in findings] == [
        ("rule", "one/left", "expired"), ("route", "two", "no_owner")]
    assert findings[0]["owner"] == "team-a" and "weir.yaml:" in findings[0]["place"]


# ---- HTTP -------------------------------------------------------------------------------------------------------------------


def test_unknown_paths_and_methods(shop):
    assert code(shop.admin("GET", "/nope")) == (404, "not_found")
    assert code(shop.admin("GET", "/api/v1/status/")) == (404, "not_found")
    assert code(shop.admin("POST", "/api/v1/status", {"reason": "x"})) == (405, "method_not_allowed")
    answer = raw(shop).get("/api/v1/routes/shop/split", host="x")
    assert answer.status == 405 and answer.get("Allow") == "PUT, DELETE"
    answer = raw(shop).get("/healthz", method="DELETE", host="x")
    assert answer.status == 405 and answer.get("Allow") == "GET, HEAD"


def test_head_has_the_length_and_no_body(shop):
    client = raw(shop)
    whole = client.get("/healthz", host="x")
    head = client.get("/healthz", method="HEAD", host="x")
    assert head.status == 200 and head.get("Content-Length") == whole.get("Content-Length") == "3"
    assert client.get("/readyz", host="x").body == b"ready\n"


def test_pipelined_requests_are_answered_in_order(shop):
    client = raw(shop)
    client.send(request("/healthz") + request("/readyz") + request("/nope") + request("/healthz"))
    assert [client.response().status for _ in range(4)] == [200, 200, 404, 200]


def test_a_chunked_body_in_pieces_behind_expect(shop):
    client = raw(shop)
    client.send(b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    body = b'{"reason": "piece by piece"}'
    for i in range(0, len(body), 7):
        client.send(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]))
    client.send(b"0\r\n\r\n")
    answer = client.response()
    assert [i.status for i in answer.interim] == [100]
    assert answer.status == 200 and json.loads(answer.body)["result"] == "unchanged"


def test_connection_close_and_http_1_0_end_the_connection(shop):
    client = raw(shop)
    answer = client.get("/healthz", "Connection: close", host="x")
    assert answer.get("Connection") == "close"
    client.expect_closed()
    client = raw(shop)
    assert client.get("/healthz", host="x", version="1.0").status == 200
    client.expect_closed()


@pytest.mark.parametrize("sent, status", [
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    (b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
    (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 70 + b"\r\n", 431),
    (b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b" " * 300000, 413),
    (b"GET /api/v1/routes/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /api/v1/routes/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
], ids=["no host", "two spaces", "two framings", "long target", "long head", "many fields", "long body", "broken escape", "NUL"])
def test_faulty_requests_get_a_json_error(shop, sent, status):
    client = raw(shop)
    client.send(sent)
    answer = client.response()
    assert answer.status == status and answer.get("Content-Type") == "application/json"
    error = json.loads(answer.body)["error"]
    assert error["code"] and error["message"]
    assert shop.admin("GET", "/healthz")[0] == 200


def test_a_request_that_never_ends_is_given_up(shop):
    client = raw(shop)
    client.send(b"GET /healthz HTTP/1.1\r\nHo")
    assert client.response().status == 408
    client.expect_closed()


def test_one_socket_takes_a_bounded_number_of_connections(shop):
    clients = [raw(shop) for _ in range(128)]
    assert clients[-1].get("/healthz", host="x").status == 200
    assert raw(shop).rest() == b""
    clients[0].close()
    wait_for(lambda: shop.admin("GET", "/healthz")[0] == 200 if can_connect(shop) else False, "a place is free again")


def can_connect(proxy):
    try:
        return proxy.admin("GET", "/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


# ---- who may ------------------------------------------------------------------------------------------------------------------


def test_without_tokens_tcp_reads_and_never_writes(shop):
    assert over_tcp(shop, "GET", "/api/v1/status")[0] == 200
    assert over_tcp(shop, "GET", "/metrics")[0] == 200
    for method, path in (("POST", "reload"), ("POST", "drain"), ("PUT", "routes/shop/split"),
                         ("DELETE", "routes/shop/split"), ("POST", "config/versions/1/restore")):
        status, _, body = over_tcp(shop, method, f"/api/v1/{path}", {"reason": "mischief", "weights": {"v1": 0, "v2": 1}})
        assert (status, body["error"]["code"]) == (403, "read_only"), path
    assert shop.status()["state"] == "serving" and bodies(shop) == {b"a"}
    assert shop.admin("GET", "/api/v1/audit")[1]["lines"] == []


def test_without_tokens_a_foreign_name_in_host_reads_nothing(shop):
    """A page whose name was rebound to loopback is a stranger, though its browser is not."""
    host, port = shop.status()["admin"]["address"].rsplit(":", 1)
    for name, status in (("evil.example", 403), (f"evil.example:{port}", 403), ("localhost", 200), (f"{host}:{port}", 200),
                         ("[::1]:80", 200)):
        client = Client((host, int(port)))
        shop.clients.append(client)
        assert client.get("/api/v1/config", host=name).status == status, name
    assert raw(shop).get("/api/v1/config", host="anything").status == 200


@pytest.fixture
def guarded(start):
    a, b = two_origins()
    tokens = [{"name": f"the-{role}", "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
              for role, token in TOKENS.items()]
    return start(**split_config(a, b, admin={"bind": "127.0.0.1:0", "tokens": tokens, "metrics_public": False}))


def test_with_tokens_nothing_but_health_is_public(guarded):
    assert over_tcp(guarded, "GET", "/healthz")[0] == 200
    assert over_tcp(guarded, "GET", "/readyz")[0] == 200
    for path in ("/metrics", "/api/v1/status", "/api/v1/openapi.json", "/no/such/path"):
        status, headers, body = over_tcp(guarded, "GET", path)
        assert (status, body["error"]["code"]) == (401, "unauthenticated"), path
        assert headers["WWW-Authenticate"].startswith("Bearer")
        assert over_tcp(guarded, "GET", path, token="wrong")[2]["error"]["code"] == "bad_token"
    assert over_tcp(guarded, "GET", "/metrics", token=TOKENS["viewer"])[0] == 200


def test_metrics_can_be_public_beside_tokens(start, origin):
    proxy = start(origin, admin={"bind": "127.0.0.1:0", "metrics_public": True, "tokens": [
        {"name": "ci", "role": "viewer", "sha256": "0" * 64}]})
    assert over_tcp(proxy, "GET", "/metrics")[0] == 200
    assert over_tcp(proxy, "GET", "/api/v1/status")[0] == 401


def test_each_endpoint_takes_its_role_and_those_above(guarded):
    document = over_tcp(guarded, "GET", "/api/v1/openapi.json", token=TOKENS["viewer"])[2]
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = operation.get("x-weir-role")
            if needed is None or path in ("/api/v1/drain",):
                continue
            target = path.replace("{name}", "shop").replace("{route}", "shop").replace("{generation}", "1")
            if (method, path) == ("get", "/api/v1/events"):
                target += "?follow=false"  # else it does not end
            missing = {"rollouts": "no_rollout", "incidents": "no_incident", "drill": "no_drill" if method == "get" else "no_rollout",
                       "events": "no_event"}
            missing = missing.get(path.split("/")[3]) if "{" in path else None
            wish = {"reason": "try"} if path == "/api/v1/events" else {"reason": "try", "weights": {"v1": 1, "v2": 0}, "outcomes": []}
            for role in ROLES:
                status, _, body = over_tcp(guarded, method.upper(), target, wish, token=TOKENS[role])
                if ROLES.index(role) >= ROLES.index(needed) and missing:
                    assert (status, body["error"]["code"]) == (404, missing), (method, target, role)  # asked for by name
                elif ROLES.index(role) >= ROLES.index(needed):
                    assert str(status) in operation["responses"], (method, target, role, body)
                else:
                    assert (status, body["error"]["code"]) == (403, "forbidden"), (method, target, role)
                checked += 1
    assert checked >= 4 * 14


def test_the_audit_log_names_tokens_and_unix_users(guarded):
    assert over_tcp(guarded, "POST", "/api/v1/reload", {"reason": "by token"}, TOKENS["operator"])[0] == 200
    assert guarded.admin("POST", "/api/v1/reload", {"reason": "by socket"})[0] == 200
    lines = guarded.admin("GET", "/api/v1/audit")[1]["lines"]
    assert [(l["who"], l["role"], l["action"], l["reason"]) for l in lines] == [
        ("unix:root" if os.getuid() == 0 else lines[0]["who"], "admin", "reload", "by socket"),
        ("the-operator", "operator", "reload", "by token")]
    assert lines[0]["who"].startswith("unix:")


def test_the_socket_is_for_its_owner_alone(shop):
    assert os.stat(shop.admin_path).st_mode & 0o777 == 0o600


# ---- weights ------------------------------------------------------------------------------------------------------------------


def set_split(proxy, reason="try it", route="shop", **weights):
    return proxy.admin("PUT", f"/api/v1/routes/{route}/split", {"weights": weights, "reason": reason})


def test_weights_set_are_in_force_when_the_answer_comes(shop):
    assert bodies(shop) == {b"a"}
    status, body = set_split(shop, v1=0, v2=7)
    assert status == 200
    assert body["route"]["split"] == [{"upstream": "v1", "weight": 0, "file_weight": 1, "share": 0},
                                      {"upstream": "v2", "weight": 1, "file_weight": 0, "share": 1}]
    assert body["route"]["overridden"] and body["route"]["override"]["reason"] == "try it"
    assert bodies(shop) == {b"b"}
    status, body = shop.admin("DELETE", "/api/v1/routes/shop/split", {"reason": "enough"})
    assert status == 200 and not body["route"]["overridden"] and body["route"]["override"] is None
    assert bodies(shop) == {b"a"}


def test_weights_hold_exactly(shop):
    assert set_split(shop, v1=3, v2=1)[0] == 200
    client = shop.client()
    answers = [client.get().body for _ in range(40)]
    assert answers.count(b"b") == 10


@pytest.mark.parametrize("body, message", [
    ({"weights": {"v1": 1, "v3": 1}}, 'no upstream "v3"'),
    ({"weights": {"v1": 1}}, '"v2" that got no weight'),
    ({"weights": {"v1": 0, "v2": 0}}, "add up to 0"),
    ({"weights": {"v1": 9999, "v2": 2}}, "10001"),
    ({"weights": {"v1": -1, "v2": 2}}, "whole number"),
    ({"weights": {"v1": 0.5, "v2": 2}}, "whole number"),
    ({"weights": [1, 2]}, '"weights" is missing'),
    ({}, '"weights" is missing'),
])
def test_weights_that_make_no_sense_change_nothing(shop, body, message):
    status, answer = shop.admin("PUT", "/api/v1/routes/shop/split", {"reason": "x", **body})
    assert (status, answer["error"]["code"]) == (400, "bad_weights")
    assert message in answer["error"]["message"]
    assert shop.admin("GET", "/api/v1/audit")[1]["lines"] == []
    assert not shop.admin("GET", "/api/v1/routes/shop")[1]["route"]["overridden"]


def test_large_weights_are_reduced(shop):
    assert set_split(shop, v1=30000, v2=10000)[0] == 200
    assert [e["weight"] for e in shop.admin("GET", "/api/v1/routes/shop")[1]["route"]["split"]] == [3, 1]


def test_only_routes_with_a_split_have_weights(start, origin):
    proxy = start(origin, routes=[{"name": "hi", "respond": {"status": 200, "body": "hi"}}])
    assert code(set_split(proxy, route="hi", a=1)) == (400, "no_split")
    assert code(set_split(proxy, route="nope", a=1)) == (404, "no_such_route")


def test_weights_outlive_reloads_and_restarts_until_the_file_changes_the_split(shop):
    assert set_split(shop, v1=0, v2=1)[0] == 200
    shop.config["routes"][0]["timeout"] = "9s"
    shop.write_config()
    assert shop.admin("POST", "/api/v1/reload", {"reason": "other things"})[1]["result"] == "applied"
    assert bodies(shop) == {b"b"}

    shop.stop()
    shop.start()
    assert bodies(shop) == {b"b"}
    route = shop.admin("GET", "/api/v1/routes/shop")[1]["route"]
    assert route["overridden"] and route["override"]["reason"] == "try it"

    shop.config["routes"][0]["split"] = {"v1": 1000, "v2": 0}  # the same shares: no change
    shop.write_config()
    assert shop.admin("POST", "/api/v1/reload", {"reason": "same"})[1]["result"] == "applied"
    assert bodies(shop) == {b"b"}

    shop.config["routes"][0]["split"] = {"v1": 1, "v2": 0, "v1b": 0}
    shop.config["upstreams"]["v1b"] = shop.config["upstreams"]["v1"]
    shop.write_config()
    assert shop.admin("POST", "/api/v1/reload", {"reason": "new split"})[1]["result"] == "applied"
    assert bodies(shop) == {b"a"}
    assert not shop.admin("GET", "/api/v1/routes/shop")[1]["route"]["overridden"]
    ended = shop.admin("GET", "/api/v1/audit?limit=1")[1]["lines"][0]
    assert (ended["action"], ended["target"], ended["who"]) == ("split.ended", "shop", "weir")
    assert "those set at run time for route shop" in shop.error_log()

    shop.stop()
    shop.start()
    assert bodies(shop) == {b"a"}


# ---- reasons and the audit log ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "  "}, {"reason": 5}])
def test_a_write_needs_a_reason(shop, body):
    assert code(shop.admin("POST", "/api/v1/reload", body)) == (400, "reason_missing")


def test_a_reason_may_stand_in_the_query(shop):
    assert shop.admin("POST", "/api/v1/reload?reason=from%20the%20query")[0] == 200
    assert shop.admin("GET", "/api/v1/audit")[1]["lines"][0]["reason"] == "from the query"
    assert code(shop.admin("POST", "/api/v1/reload", {"reason": "x" * 1001})) == (400, "reason_too_long")


@pytest.mark.parametrize("body", ["[]", "{", '{"reason": "a", "reason": "b"}', "[" * 1000, '"\\u0000"'],
                         ids=["array", "cut off", "twice the same", "deep", "NUL"])
def test_a_body_that_is_no_json_object_is_refused(shop, body):
    client = raw(shop)
    answer = client.get("/api/v1/reload", method="POST", body=body.encode(), host="x")
    assert answer.status == 400 and json.loads(answer.body)["error"]["code"] == "bad_json"


def test_the_audit_log_tells_before_and_after_and_its_chain_holds(shop):
    assert set_split(shop, v1=1, v2=1)[0] == 200
    assert shop.admin("DELETE", "/api/v1/routes/shop/split", {"reason": "back"})[0] == 200
    body = shop.admin("GET", "/api/v1/audit")[1]
    assert [(l["id"], l["action"], l["target"]) for l in body["lines"]] == [(2, "split.reset", "shop"), (1, "split.set", "shop")]
    assert json.loads(body["lines"][1]["detail"]) == {"from": {"v1": 1, "v2": 0}, "to": {"v1": 1, "v2": 1}}
    verdict = shop.admin("GET", "/api/v1/audit/verify")[1]
    assert verdict == {"ok": True, "checked": 2, "newest_hash": body["lines"][0]["hash"]}
    page = shop.admin("GET", "/api/v1/audit?limit=1")[1]
    assert [l["id"] for l in page["lines"]] == [2] and page["next_before"] == 2
    page = shop.admin("GET", "/api/v1/audit?limit=1&before=2")[1]
    assert [l["id"] for l in page["lines"]] == [1] and page["next_before"] is None
    for query in ("limit=0", "limit=1001", "before=x", "limit=-1"):
        assert code(shop.admin("GET", f"/api/v1/audit?{query}")) == (400, "bad_argument")


def meddle(proxy, sql):
    with sqlite3.connect(proxy.path("state/weir.db")) as db:
        db.executescript(sql)


def test_a_changed_audit_line_is_found(shop):
    for reason in ("one", "two", "three"):
        assert shop.admin("POST", "/api/v1/reload", {"reason": reason})[0] == 200
    meddle(shop, "DROP TRIGGER audit_is_never_changed; UPDATE audit SET reason = 'no' WHERE id = 2")
    verdict = shop.admin("GET", "/api/v1/audit/verify")[1]
    assert (verdict["ok"], verdict["checked"], verdict["bad_id"]) == (False, 1, 2)
    assert verdict["why"] == "it was changed"


def test_what_cannot_be_audited_is_not_done(shop):
    with sqlite3.connect(shop.path("state/weir.db"), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert code(set_split(shop, v1=0, v2=1)) == (503, "audit_unavailable")
        assert bodies(shop) == {b"a"}
        assert "locked" in set_split(shop, v1=0, v2=1)[1]["error"]["message"]
        db.execute("ROLLBACK")
    assert set_split(shop, v1=0, v2=1)[0] == 200
    assert bodies(shop) == {b"b"}
    assert len(shop.admin("GET", "/api/v1/audit")[1]["lines"]) == 1


# ---- the state directory ------------------------------------------------------------------------------------------------------


def test_a_damaged_database_stops_changes_and_no_traffic(shop):
    assert set_split(shop, v1=0, v2=1)[0] == 200
    shop.stop()
    database = shop.path("state/weir.db")
    with open(database, "r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * 8192)
    with open(database, "rb") as file:
        damaged = file.read()
    shop.start()
    assert bodies(shop) == {b"a"}
    store = shop.status()["store"]
    assert not store["is_usable"] and database in store["problem"] and "damaged" in store["problem"]
    assert code(set_split(shop, v1=0, v2=1)) == (503, "audit_unavailable")
    assert code(shop.admin("GET", "/api/v1/audit")) == (503, "store_unavailable")
    assert code(shop.admin("GET", "/api/v1/config/versions")) == (503, "store_unavailable")
    with open(database, "rb") as file:
        assert file.read() == damaged
    # The harness drains by the API, which needs the audit log: end it by a signal alone.
    shop.close_clients()
    shop.process.terminate()
    assert shop.process.wait(30) == 0


def run_to_the_end(proxy, *arguments):
    return subprocess.run([WEIR, "run", "-c", proxy.path("weir.yaml"), *arguments], capture_output=True, text=True,
                          timeout=60, check=False)


def test_two_cannot_share_a_state_directory(shop):
    ended = run_to_the_end(shop)
    assert ended.returncode == 1
    assert f"another weir (pid {shop.pid}) runs with this state directory" in ended.stderr
    assert shop.path("state") in ended.stderr
    assert shop.admin("GET", "/readyz")[0] == 200


@pytest.mark.parametrize("place, cause", [("weir.yaml/state", "Not a directory"), ("no/such/state", "No such file")])
def test_a_state_directory_that_cannot_be_is_named(shop, place, cause):
    ended = run_to_the_end(shop, "--state-dir", shop.path(place))
    assert ended.returncode == 1
    assert f"{shop.path(place)}: the state directory cannot be used: {cause}" in ended.stderr
    assert "--state-dir" in ended.stderr


def test_a_stale_socket_is_taken_over(start, origin):
    proxy = start(origin)
    proxy.process.kill()
    proxy.process.wait()
    assert os.path.exists(proxy.admin_path)
    proxy.start()
    assert proxy.admin("GET", "/readyz")[0] == 200


def test_root_becomes_the_user_and_gives_it_the_state(start, origin):
    """Started by anybody else, `user` changes nothing and says so."""
    proxy = start(origin, user="nobody")
    assert proxy.get().status == 200
    with open(f"/proc/{proxy.pid}/status", encoding="ascii") as file:
        uids = set(re.search(r"^Uid:\s+(.*)$", file.read(), re.MULTILINE)[1].split())
    if os.getuid() != 0:
        assert uids == {str(os.getuid())} and "user: nobody changes nothing" in proxy.error_log()
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    assert uids == {str(nobody)}
    for name in ("state", "state/weir.db", "state/weir.lock", "state/admin.sock"):
        assert os.stat(proxy.path(name)).st_uid == nobody, name
    os.chmod(proxy.directory.name, 0o755)
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "it can still write"})[0] == 200


def test_a_user_that_does_not_exist_is_an_error_for_root(start, origin):
    proxy = start(origin, user="no-such-user" if os.getuid() != 0 else "nobody")
    if os.getuid() == 0:
        proxy.stop()
        proxy.config["user"] = "no-such-user"
        proxy.write_config()
        ended = run_to_the_end(proxy)
        assert ended.returncode == 1 and "there is no user 'no-such-user' to become" in ended.stderr


def test_a_disk_that_is_full_stops_changes_and_no_traffic(start, origin):
    """A limit of 8 KiB for each file stands for the disk."""
    proxy = Proxy(origin)
    os.makedirs(proxy.config["state_dir"])
    proxy.chosen = set()
    proxy.choose_ports()
    proxy.write_config()
    process = subprocess.Popen(["bash", "-c", f"ulimit -f 8; exec {WEIR} run -c {proxy.path('weir.yaml')}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: proxy.has_admin() and can_connect(proxy), "it serves")
        assert proxy.get().status == 200
        assert proxy.admin("POST", "/api/v1/reload", {"reason": "x"})[0] == 503
        assert proxy.get().status == 200
    finally:
        process.terminate()
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and "nothing can be stored" in errors
    proxy.directory.cleanup()


# ---- openapi ------------------------------------------------------------------------------------------------------------------


def test_openapi_describes_what_is_dispatched_and_nothing_else(shop):
    status, document = shop.admin("GET", "/api/v1/openapi.json")
    assert status == 200 and document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        target = path.replace("{name}", "shop").replace("{generation}", "1")
        answer = raw(shop).get(target, method="PATCH", host="x")
        assert answer.status == 405, path
        allowed = set(answer.get("Allow").split(", ")) - {"HEAD"}
        assert allowed == {method.upper() for method in operations}, path
        for method, operation in operations.items():
            assert operation["summary"] and operation["responses"]
            names = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path))
            assert ("requestBody" in operation) == (method != "get")
    assert {"/healthz", "/metrics", "/api/v1/routes/{name}/split", "/api/v1/audit/verify"} <= set(document["paths"])


# ---- starting -----------------------------------------------------------------------------------------------------------------


def test_it_starts_when_every_upstream_is_down(start, gone):
    proxy = start(upstreams={"a": {"endpoints": [gone]}})
    assert proxy.admin("GET", "/readyz")[0] == 200
    assert proxy.get().status in (502, 503)


def test_a_port_in_use_is_named_with_its_holder(start, origin):
    proxy = start(origin)
    second = Proxy(origin, listeners={"web": {"bind": proxy.config["listeners"]["web"]["bind"]}})
    os.makedirs(second.config["state_dir"])
    second.write_config()
    ended = run_to_the_end(second)
    assert ended.returncode == 1
    assert proxy.config["listeners"]["web"]["bind"] in ended.stderr and f"pid {proxy.pid}" in ended.stderr
    assert proxy.get().status == 200
    second.directory.cleanup()


def test_a_configuration_with_problems_does_not_start(start, origin):
    proxy = start(origin)
    with open(proxy.path("bad.yaml"), "w", encoding="utf-8") as file:
        file.write("listners: {}\nroutes:\n  - { name: a, to: nobody }\n")
    ended = subprocess.run([WEIR, "run", "-c", proxy.path("bad.yaml")], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "bad.yaml:1:1:" in ended.stderr and "bad.yaml:3:" in ended.stderr


def run_with_files(proxy, files):
    """`weir run` where only so many files may be open."""
    os.makedirs(proxy.config["state_dir"], exist_ok=True)
    proxy.chosen = set()
    proxy.choose_ports()
    proxy.write_config()
    return subprocess.Popen(["bash", "-c", f"ulimit -n {files}; exec {WEIR} run -c {proxy.path('weir.yaml')}"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "files, limits, wanted",
    [
        (300, {"connections": 5000}, "warn  start: RLIMIT_NOFILE is 300, which allows about 112 clients at once; "
                                     "limits.connections is 5000: raise it to 10076"),
        (100, {}, "warn  start: RLIMIT_NOFILE is 100, which allows about 17 clients at once: raise it to 588 or more"),
        (36, {}, "warn  start: RLIMIT_NOFILE is 36, which allows about 1 client at once: raise it to 588 or more"),
        (100, {"connections": 10}, "info  start: RLIMIT_NOFILE is 100, which allows about 17 clients at once"),
        (2000, {}, "info  start: RLIMIT_NOFILE is 2000, which allows about 962 clients at once"),
    ],
)
def test_the_limit_of_open_files_is_named_when_it_is_too_low(origin, files, limits, wanted):
    proxy = Proxy(origin, limits=limits)
    process = run_with_files(proxy, files)
    try:
        wait_for(lambda: proxy.has_admin() and can_connect(proxy), "it serves")
        assert proxy.get().status == 200
    finally:
        process.terminate()
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert wanted in errors
    proxy.directory.cleanup()


def test_a_limit_of_open_files_that_serves_nobody_is_an_error(origin):
    proxy = Proxy(origin)
    process = run_with_files(proxy, 29)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "RLIMIT_NOFILE is 29, but with 1 worker the process alone opens 30 files: no client could be served" in errors
    assert "raise it to 588 or more with LimitNOFILE= or ulimit -Hn" in errors
    proxy.directory.cleanup()


def test_an_idle_process_opens_no_more_files_than_it_reckons_with(start, gone):
    """What the message about RLIMIT_NOFILE is made of (server/privileges.c)."""
    listeners = {name: {"bind": "127.0.0.1:0"} for name in ("web", "more")}
    proxy = start(workers=3, listeners=listeners, watch=True, admin={"bind": "127.0.0.1:0"},
                  log={"access": "access-file.log"}, upstreams={"a": {"endpoints": [gone]}})
    reckoned = 25 + 3 * (4 + 2)

    def opened():
        return len(os.listdir(f"/proc/{proxy.pid}/fd"))

    # A probe of the endpoint may be under way, or an answer to the admin API.
    wait_for(lambda: opened() <= reckoned, lambda: f"{opened()} files are open, {reckoned} were reckoned with")
    assert opened() > reckoned - 9, "the constants are far too high"
