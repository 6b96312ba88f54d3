# e2e/test_script_api.py - what hooks are given beside the request: JSON, tokens, shared values, modules and files.
import base64
import hashlib
import hmac
import json
import os
import threading
import time

import pytest

from harness import Proxy, wait_for

HOOKS = """
local greet = require("lib.greet")
local secret = weir.file("secret.txt")
local M = {}

local actions = {
  count = function(req) return tostring(weir.shared.incr(req:arg("key"), 1, 3600)) end,
  greet = function(req) return greet.hello(req:arg("name")) end,
  lazy = function(req) return tostring(require("lib.lazy").loaded) end,
  json = function(req)
    local value, why = weir.json.decode(req:header("x-json") or "")
    return why or weir.json.encode(value, { sorted = true })
  end,
  token = function(req)
    local token = (req:header("authorization") or ""):match("^Bearer (.+)$")
    local claims, why = weir.jwt.verify(token, { alg = "HS256", key = secret, iss = "tests" })
    return claims and claims.sub or why
  end,
  newer = function(req) return tostring(require("weir.semver").at_least(req:arg("v"), "2.10")) end,
}

function M.on_request(req)
  return { status = 200, body = actions[req.path:sub(2)](req) }
end

return M
"""

GREET = 'return { hello = function(name) return "%s, " .. name end }'
SECRET = "thirty-two bytes at the very least"


class House:
    def __init__(self):
        self.proxy = Proxy(workers=2, watch=True, upstreams={"v1": {"endpoints": ["127.0.0.1:9"]}},
                           routes=[{"name": "all", "script": {"file": "hooks.lua", "budget": "500ms"}, "to": "v1"}])
        os.mkdir(self.proxy.path("lib"))
        self.write("hooks.lua", HOOKS)
        self.write("lib/greet.lua", GREET % "hello")
        self.write("lib/lazy.lua", "return { loaded = true }")
        self.write("secret.txt", SECRET)

    def write(self, name, text):
        with open(self.proxy.path(name + ".new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.proxy.path(name + ".new"), self.proxy.path(name))

    def ask(self, target, *fields):
        answer = self.proxy.get(target, *fields)
        return answer.body.decode() if answer.status == 200 else f"{answer.status}: {self.proxy.error_log()[-500:]}"


@pytest.fixture(scope="module", name="house")
def fixture_house():
    house = House()
    house.proxy.start()
    yield house
    house.proxy.end()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=SECRET, alg="HS256", **claims):
    parts = [{"alg": alg, "typ": "JWT"}, {"sub": "u-1", "iss": "tests", "exp": int(time.time()) + 3600, **claims}]
    text = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return text + "." + encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def test_all_workers_count_together(house):
    def ask():
        for _ in range(25):
            assert house.ask("/count?key=together").isdigit()  # a connection each: both workers get some

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.ask("/count?key=together") == "101"
    assert house.proxy.metric("weir_shared_entries") >= 1
    assert house.proxy.metric("weir_shared_memory_bytes") > 0
    assert house.proxy.metric("weir_shared_evicted_total") == 0


def test_what_is_shared_outlives_a_reload(house):
    assert house.ask("/count?key=kept") == "1"
    house.write("hooks.lua", HOOKS + "-- changed")
    status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "a new script"})
    assert status == 200 and answer["result"] in ("applied", "unchanged"), answer  # the watch may have come before
    assert house.ask("/count?key=kept") == "2"


def test_json_in_and_out(house):
    assert house.ask("/json", 'X-JSON: {"b": [1, 2.5, null, []], "a": {}}') == '{"a":{},"b":[1,2.5,null,[]]}'
    assert house.ask("/json", "X-JSON: [1,").startswith("line 1, column ")


@pytest.mark.parametrize("given, wanted", [
    (token(), "u-1"), (token(exp=1), "expired"), (token(iss="others"), "wrong_issuer"), (token("another secret"), "bad_signature"),
    (token(alg="none"), "wrong_algorithm"), (token(nbf=int(time.time()) + 3600), "not_yet_valid"), ("x", "malformed"),
], ids=["good", "expired", "wrong_issuer", "bad_signature", "wrong_algorithm", "not_yet_valid", "malformed"])
def test_a_token_is_verified_with_a_key_beside_the_script(house, given, wanted):
    assert house.ask("/token", f"Authorization: Bearer {given}") == wanted


def test_a_request_without_a_token(house):
    assert house.ask("/token") == "missing"


def test_modules_of_the_binary_and_those_that_only_a_hook_names(house):
    assert house.ask("/newer?v=2.9") == "false" and house.ask("/newer?v=v2.11.0") == "true"
    assert house.ask("/lazy") == "true"


def test_a_changed_module_or_key_is_seen_on_disk(house):
    house.write("lib/greet.lua", GREET % "good day")
    wait_for(lambda: house.ask("/greet?name=you") == "good day, you", "the module is loaded anew")
    house.write("secret.txt", "another secret")
    wait_for(lambda: house.ask("/token", f"Authorization: Bearer {token('another secret')}") == "u-1", "so is the key")
    house.write("secret.txt", SECRET)
    wait_for(lambda: house.ask("/token", f"Authorization: Bearer {token()}") == "u-1", "and again")


def test_a_broken_module_changes_nothing(house):
    said = house.ask("/greet?name=you")
    house.write("lib/greet.lua", "\nreturn hello")
    status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "broken"})
    assert status == 422 and "lib/greet.lua:2:8: unknown global 'hello'" in str(answer), answer
    assert house.ask("/greet?name=you") == said
    house.write("lib/greet.lua", GREET % "hello")
    wait_for(lambda: house.ask("/greet?name=you") == "hello, you", "it is mended")
