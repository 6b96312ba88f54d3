# e2e/test_hook_library.py - the hooks of scripts/hooks on real traffic: one proxy, a route for each.
import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import WEIR, Origin, Proxy, reply, wait_for
from harness.certificates import openssl
from harness.proxy import ROOT

pytestmark = pytest.mark.once  # of one thread each: the threads of hooks are in the other files

LIBRARY = os.path.join(ROOT, "scripts", "hooks")
HOOKS = sorted(name[:-4] for name in os.listdir(LIBRARY) if not name.endswith("_test.lua"))
SECRET = "a secret of the test: thirty-two bytes"


def instant(seconds_from_now):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)).strftime("%Y-%m-%dT%H:%M:%SZ")


def route(name, **more):
    return {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": "stable",
            "script": {"file": f"hooks/{name}.lua", "budget": "500ms"}, **more}


class House:
    """What the hooks need around them; their tables are edited as an operator would."""

    def __init__(self, directory):
        self.stable, self.canary = Origin(reply(b"stable", "Set-Cookie: own=1")), Origin(reply(b"canary"))
        self.dark, self.targeting = Origin(), Origin()
        self.proxy = Proxy(
            upstreams={name: {"endpoints": [getattr(self, name)]} for name in ("stable", "canary", "dark", "targeting")},
            segments={"staff": {"header": "x-staff", "equals": "1"}, "early_access": {"header": "x-beta", "equals": "1"},
                      "from_cdn": {"header": "x-cdn-key", "equals": "secret"}},
            routes=[route(name) for name in HOOKS if name != "shadow_redaction"] + [
                route("shadow_redaction", shadow=[{"to": "dark", "methods": ["POST"]}])])
        shutil.copytree(LIBRARY, self.proxy.path("hooks"))
        self.edit("early_access", r'from = "[^"]*"', f'from = "{instant(-3600)}"')
        self.edit("early_access", r'till = "[^"]*"', f'till = "{instant(86400)}"')
        self.edit("targeting_service", '"50ms"', '"30s"')  # it answers at once, but the machine may be busy
        self.key = os.path.join(directory, "rsa.pem")
        openssl("genrsa", "-out", self.key, "2048")
        self.edit("jwt_claim", r"(?s)-----BEGIN.*-----END PUBLIC KEY-----", openssl("rsa", "-in", self.key, "-pubout").strip())
        self.edit("jwt_claim", "change me: at least 32 random bytes", SECRET)

    def revive(self):
        return self.proxy.revive()

    def settle(self):
        self.proxy.settle()

    def edit(self, name, pattern, text):
        path = self.proxy.path(f"hooks/{name}.lua")
        with open(path, encoding="utf-8") as file:
            old = file.read()
        new = re.sub(pattern, lambda _: text, old)
        assert new != old, (name, pattern)
        with open(path, "w", encoding="utf-8") as file:
            file.write(new)

    def token(self, algorithm, **claims):
        """A JSON Web Token that is good for an hour."""
        parts = [json.dumps({"alg": algorithm}), json.dumps({"exp": int(time.time()) + 3600, **claims})]
        signed = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
        if algorithm == "HS256":
            signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        else:
            signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed, capture_output=True, check=True).stdout
        return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.fixture(scope="module", name="house")
def fixture_house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("keys"))
    house.proxy.start()
    yield house
    house.proxy.end()
    for origin in (house.stable, house.canary, house.dark, house.targeting):
        origin.stop()


@pytest.fixture(autouse=True)
def all_hooks_end_well(house, proxy):
    """No call of any of them fails."""
    yield
    for result in ("error", "timeout", "memory"):
        assert house.proxy.metric("weir_script_calls_total", result=result) == 0, house.proxy.error_log()


def test_all_of_the_library_is_here(house):
    routes = {row["name"] for row in house.proxy.config["routes"]}
    assert routes == set(HOOKS) and len(HOOKS) == 12


def test_its_own_tests_pass_where_it_was_copied_to():
    done = subprocess.run([WEIR, "script", "test", LIBRARY, "--min-coverage", "100%", "--budget", "500ms"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_percentage(house, proxy):
    sides = {user: proxy.get("/percentage", f"X-User-Id: user-{user}").body for user in range(100)}
    assert 2 <= sum(body == b"canary" for body in sides.values()) <= 25
    assert all(proxy.get("/percentage", f"Cookie: user=user-{user}").body == sides[user] for user in range(10))
    assert len(house.canary.requests) + len(house.stable.requests) == 110


def test_locale(proxy):
    assert proxy.get("/locale", "CF-IPCountry: CH", "X-Cdn-Key: secret").body == b"canary"
    assert proxy.get("/locale", "CF-IPCountry: CH").body == b"stable"
    assert proxy.get("/locale", "Accept-Language: en;q=0.5, de-AT;q=0.9").body == b"canary"


def test_app_version(proxy):
    answers = {version: proxy.get("/app_version", f"X-App-Version: {version}") for version in ("1.9", "2.9.9", "3.0.0-beta.2")}
    assert [answer.status for answer in answers.values()] == [426, 200, 200]
    assert [answer.body for answer in answers.values()][1:] == [b"stable", b"canary"]


def test_device(house, proxy):
    assert proxy.get("/device", "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Mobile/15E148").body == b"canary"
    assert house.canary.last.get("x-device") == "phone"
    assert proxy.get("/device", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/127.0").body == b"stable"
    assert house.stable.last.get("x-device") == "desktop"


def test_jwt_claim(house, proxy):
    def ask(token):
        return proxy.get("/jwt_claim", f"Authorization: Bearer {token}").body

    person = {"iss": "https://login.example.com", "aud": "shop"}
    assert ask(house.token("RS256", plan="beta", **person)) == b"canary"
    assert ask(house.token("RS256", plan="free", **person)) == b"stable"
    assert ask(house.token("RS256", plan="beta", iss="https://login.example.com")) == b"stable", "it is for somebody else"
    assert ask(house.token("HS256", plan=["free", "staff"], iss="internal")) == b"canary"
    assert ask(house.token("HS256", plan="beta", iss="internal", exp=int(time.time()) - 60)) == b"stable"


def test_experiment(house, proxy):
    seen = set()
    for user in range(40):
        answer = proxy.get("/experiment", f"Cookie: user=user-{user}", "X-Experiment: checkout-button=blue")
        origin = {b"stable": house.stable, b"canary": house.canary}[answer.body]
        exposure = answer.get("x-experiment-exposure")
        assert origin.last.get("x-experiment") == exposure
        assert exposure in {b"stable": (None, "checkout-button=control"), b"canary": ("checkout-button=blue",)}[answer.body]
        seen.add(exposure)
    assert len(seen) == 3


def test_early_access(proxy):
    answer = proxy.get("/early_access", "X-Beta: 1")
    assert answer.body == b"canary" and answer.get("x-early-access").startswith("till 20")
    assert proxy.get("/early_access", "Cookie: user=u-1042").body == b"canary"
    answer = proxy.get("/early_access", "Cookie: user=u-1")
    assert answer.body == b"stable" and not answer.has("x-early-access")


def test_bots(house, proxy):
    assert proxy.get("/bots", "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)").body == b"stable"
    assert house.stable.last.get("x-bot") == "1"
    proxy.get("/bots", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/127.0", "X-Bot: claimed")
    assert not house.stable.last.has("x-bot")


def test_maintenance(house, proxy):
    page, program = proxy.get("/maintenance", "Accept: text/html"), proxy.get("/maintenance", "Accept: */*")
    assert (page.status, program.status, page.get("retry-after")) == (503, 503, "1800")
    assert b"<h1>Back soon</h1>" in page.body and json.loads(program.body) == {"error": "maintenance"}
    assert not house.stable.requests
    assert proxy.get("/maintenance", "X-Staff: 1").body == b"stable"


def test_ab_cookie(proxy):
    answer = proxy.get("/ab_cookie")
    cookies = answer.all("set-cookie")
    side, = [cookie[3] for cookie in cookies if cookie.startswith("ab=")]
    assert answer.body == {"a": b"stable", "b": b"canary"}[side]
    assert ("own=1" in cookies) == (side == "a"), "the upstream's own cookie stays"
    for side, body in (("a", b"stable"), ("b", b"canary")):
        answer = proxy.get("/ab_cookie", f"Cookie: ab={side}")
        assert answer.body == body and not any(cookie.startswith("ab=") for cookie in answer.all("set-cookie"))


def test_targeting_service(house, proxy):
    house.targeting.answer = reply(b'{"upstream":"canary"}')
    for _ in range(3):
        assert proxy.get("/targeting_service/cart", "Cookie: user=u-1").body == b"canary"
    asked, = house.targeting.requests
    assert (asked.start, asked.body) == ("POST /decide HTTP/1.1", b'{"path":"/targeting_service/cart","user":"u-1"}')
    house.targeting.answer = reply(b"broken", status="500 Broken")
    for _ in range(3):
        assert proxy.get("/targeting_service/cart", "Cookie: user=u-2").body == b"stable"
    assert len(house.targeting.requests) >= 2


def test_shadow_redaction(house, proxy):
    def post(body, *fields):
        return proxy.get("/shadow_redaction", "Content-Type: application/json", *fields, method="POST", body=body)

    assert post(b'{"card":{"number":"4111-1111"}}', "X-Api-Key: k").status == 200
    wait_for(lambda: house.dark.requests and house.dark.last.is_complete, "the copy comes")
    assert house.stable.last.body == b'{"card":{"number":"4111-1111"}}' and house.stable.last.get("x-api-key") == "k"
    assert house.dark.last.body == b'{"card":{"number":"*"}}' and not house.dark.last.has("x-api-key")
    assert post(b'{"card":{"number":"4111').status == 200
    wait_for(lambda: proxy.metric("weir_shadow_dropped_total", route="shadow_redaction", reason="vetoed") == 1, "it is kept back")
    assert len(house.dark.requests) == 1
