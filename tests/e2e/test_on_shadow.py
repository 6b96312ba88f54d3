# e2e/test_on_shadow.py - the hook on_shadow: it vetoes and redacts copies, and neither requests nor secrets feel a fault of it.
import collections
import itertools
import json
import re
import subprocess

import pytest

from harness import HOLD, WEIR, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2_origin import H2Origin

SECRET = "4111-1111"
CARD = ('{"card":{"number":"%s"},"n":1}' % SECRET).encode()
HIDDEN = CARD.replace(SECRET.encode(), b"*")

HOOKS = """
local function redact(req)
  local body = req:body()
  if body then req:set_body((body:gsub('("number":)"[^"]*"', '%1"*"'))) end
end

local actions = {
  veto = function(req) return false end,
  allow = function(req) return true end,
  redact = redact,
  edit = function(req)
    req:set_header("x-secret", nil)
    req:set_header("x-seen", table.concat({ req.shadow, req.method, req.path, req.query, req.host, req:header("x-secret") or "-" }, "|"))
    req:set_header("via", nil)
    req:set_path("/hidden")
  end,
  hide = function(req)
    req:set_header("x-secret", nil)
    req:set_path("/hidden")
  end,
  question = function(req) req:set_query((req.query:gsub("token=[^&]*", "token=*"))) end,
  measure = function(req)
    local body = req:body()
    req:set_header("x-body", body and (#body .. " " .. body:sub(1, 3) .. body:sub(-3)) or "none")
  end,
  empty = function(req) req:set_body("") end,
  same = function(req) req:set_body(req:body()) end,
  ctx = function(req)
    req:set_header("x-ctx", tostring(req.ctx.said) .. " " .. tostring(weir.segment("staff")))
    req.ctx.back = "seen"
  end,
  raise = function(req) redact(req) error("raised on purpose") end,
  word = function(req) return "no" end,
  bodiless = function(req) req:set_body("x") end,
  fetch = function(req) weir.fetch("a", { path = "/asked" }) end,
  long = function(req) req:set_body(("x"):rep(64 * 1024 + 1)) end,
  loop = function(req) while true do pcall(function() while true do end end) end end,
  hog = function(req) local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end,
}

local M = {}

function M.on_request(req)
  if req:header("x-say") then req.ctx.said = req:header("x-say") end
  if req:header("x-do") == "early" then req:body() end
  if req:header("x-do") == "shadow" then return { status = 200, body = tostring(req.shadow) } end
end

function M.on_shadow(req)
  local action = actions[req:header("x-do") or ""]
  if action then return action(req) end
end

function M.on_response(req, resp)
  if req.ctx.back then resp:set_header("x-back", req.ctx.back) end
end

return M
"""

SCRIPT = {"file": "hooks.lua", "budget": "1s"}  # of CPU time: hooks that end keep it under sanitizers, too


def route(name, script=None, **shadow):
    row = {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": "a", "script": {**SCRIPT, **(script or {})}}
    return {**row, "shadow": [{"to": "dark", "methods": ["GET", "POST"], "max_body": "2MiB", **shadow}]}


class House:
    """One proxy; the path's first part is the route, X-Do what its hook does."""

    def __init__(self):
        self.live, self.dark, self.twin, self.dark_h2 = Origin(), Origin(), Origin(), H2Origin()
        upstreams = {"a": {"endpoints": [self.live]}, "dark": {"endpoints": [self.dark]}, "twin": {"endpoints": [self.twin]},
                     "narrow": {"endpoints": [self.dark], "max_connections": 1, "max_pending": 0},
                     "dark-h2": {"endpoints": [self.dark_h2], "protocol": "http2"}}
        compare = {"control": "twin", "max_body": "64KiB"}
        self.proxy = Proxy(
            upstreams=upstreams, limits={"script_memory": "3MiB"},
            segments={"staff": {"cookie": "staff", "equals": "1"}},
            routes=[
                route("plain"), route("small", max_body="64KiB"), route("tight", max_memory="1MiB", max_body="32MiB"),
                route("h2", headers={"set": {"x-last": "config"}}),
                route("compared", compare=compare, record="shadow.jsonl"),
                route("slow", script={"budget": "300ms"}), route("full", compare=compare, timeout="1h"),
                route("fail", script={"on_error": "fail"}, max_body="64KiB"), route("quick", script={"budget": "50ms"}),
                {**route("v1"), "rewrite": {"path_prefix": "/v2"}},
            ])
        self.shadow_of("h2")["to"], self.shadow_of("full")["to"] = "dark-h2", "narrow"
        with open(self.proxy.path("hooks.lua"), "w", encoding="utf-8") as file:
            file.write(HOOKS)

    def shadow_of(self, name):
        return next(r for r in self.proxy.config["routes"] if r["name"] == name)["shadow"][0]

    def count(self, name="weir_shadow_requests_total", **labels):
        return int(self.proxy.metric(name, **labels))


class Change:
    """How far counters have moved since it was made."""

    def __init__(self, house, route_name):
        self.house, self.route = house, route_name
        self.before = self.read()

    def read(self):
        """One look at all of them, so that they belong together."""
        text = self.house.proxy.admin("GET", "/metrics")[1]

        def counts(name, label, wanted, prefix=""):
            for line in text.splitlines():
                found = re.fullmatch(name + r"\{(.*)\} (\d+)", line)
                labels = dict(re.findall(r'(\w+)="([^"]*)"', found[1])) if found else {}
                if labels and labels.items() >= wanted.items():
                    yield prefix + labels[label], int(found[2])

        route = {"route": self.route}
        total = collections.Counter()
        for key, count in itertools.chain(counts("weir_shadow_requests_total", "result", route),
                                          counts("weir_shadow_dropped_total", "reason", route),
                                          counts("weir_script_calls_total", "result", {"hook": "on_shadow"}, "call_")):
            total[key] += count
        return total

    def seen(self):
        now = self.read()
        return dict(now - self.before)

    def expect(self, **wanted):
        wait_for(lambda: self.seen() == wanted, lambda: f"{wanted}: {self.seen()}\n{self.house.proxy.error_log()}")


@pytest.fixture(scope="module", name="whole")
def fixture_whole():
    house = House()
    with house.proxy:
        yield house


@pytest.fixture(name="house")
def fixture_house(whole):
    whole.proxy.revive()
    yield whole
    whole.proxy.settle()


def ask(house, path, action, *fields, **options):
    answer = house.proxy.get(path, f"X-Do: {action}", *fields, **options)
    assert (answer.status, answer.body, answer.error) == (200, b"ok", None)
    return answer


# ---- what it says ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["none", "allow"])
def test_a_copy_goes_unless_it_is_vetoed(house, action):
    change = Change(house, "plain")
    ask(house, "/plain", action)
    change.expect(ok=1, call_ok=1)


def test_a_vetoed_copy_is_not_sent(house):
    change = Change(house, "plain")
    ask(house, "/plain", "veto")
    ask(house, "/plain", "veto", method="POST", body=b"x" * 70_000)
    change.expect(dropped=2, vetoed=2, call_ok=2)
    assert not house.dark.requests and len(house.live.requests) == 2


def test_edits_are_the_copys_alone(house):
    change = Change(house, "plain")
    ask(house, "/plain/a/../b?q=1", "edit", "X-Secret: hush", "Cookie: a=1")
    change.expect(ok=1, call_ok=1)
    assert house.live.last.start == "GET /plain/a/../b?q=1 HTTP/1.1"
    assert house.live.last.get("x-secret") == "hush" and not house.live.last.has("x-seen")
    copy = house.dark.last
    assert copy.start == "GET /hidden?q=1 HTTP/1.1" and not copy.has("x-secret")
    assert copy.get("x-seen") == "dark|GET|/plain/b|q=1|example.com|-"
    assert copy.get("via").endswith("(shadow)") and copy.get("x-shadow") == "1", "what tells a copy cannot be taken away"
    assert not copy.has("cookie"), "the shadow's own edits come last"


def test_a_rewrite_still_applies(house):
    change = Change(house, "v1")
    ask(house, "/v1/b?q=1", "none")
    ask(house, "/v1/b?q=1", "edit")
    change.expect(ok=2, call_ok=2)
    assert {r.target for r in house.live.requests} == {"/v2/b?q=1"}
    assert {r.target for r in house.dark.requests} == {"/v2/b?q=1", "/v2/hidden?q=1"}


def test_a_query_is_redacted(house):
    change = Change(house, "v1")
    ask(house, f"/v1/b?a=1&token={SECRET}&b=2", "question")
    change.expect(ok=1, call_ok=1)
    assert (house.live.last.target, house.dark.last.target) == (f"/v2/b?a=1&token={SECRET}&b=2", "/v2/b?a=1&token=*&b=2")


def test_ctx_goes_from_hook_to_hook_and_segments_ask_about_the_request(house):
    change = Change(house, "plain")
    assert ask(house, "/plain", "ctx", "X-Say: hello", "Cookie: staff=1").get("x-back") == "seen"
    change.expect(ok=1, call_ok=1)
    assert house.dark.last.get("x-ctx") == "hello true"
    assert ask(house, "/plain", "ctx").get("x-back") == "seen", "also where on_shadow is the first to touch it"
    change.expect(ok=2, call_ok=2)
    assert house.dark.last.get("x-ctx") == "nil false"


def test_elsewhere_there_is_no_body_and_no_shadow(house):
    assert house.proxy.get("/plain", "X-Do: shadow").body == b"nil"
    ask(house, "/plain", "early")
    wait_for(lambda: "req:body works in on_shadow only" in house.proxy.error_log(), lambda: house.proxy.error_log())


# ---- bodies ----------------------------------------------------------------------------------------------------------------


def test_a_body_is_redacted(house):
    change = Change(house, "plain")
    ask(house, "/plain", "redact", "Content-Digest: sha-256=:x:", "Digest: y", method="POST", body=CARD)
    change.expect(ok=1, call_ok=1)
    assert house.live.last.body == CARD and house.live.last.get("content-digest") == "sha-256=:x:"
    assert house.dark.last.body == HIDDEN and house.dark.last.get("content-length") == str(len(HIDDEN))
    assert not house.dark.last.has("content-digest") and not house.dark.last.has("digest")


@pytest.mark.parametrize("action,framed", [("redact", False), ("measure", True)])
def test_a_body_in_chunks_with_trailers(house, action, framed):
    change = Change(house, "plain")
    client = house.proxy.client()
    client.send(request("/plain", f"X-Do: {action}", "Transfer-Encoding: chunked", "Trailer: x-sum", method="POST"))
    client.send(chunked(CARD[:9], CARD[9:20], CARD[20:], trailers=b"X-Sum: 7\r\n"))
    assert client.response().status == 200
    change.expect(ok=1, call_ok=1)
    copy = house.dark.last
    assert house.live.last.body == CARD and house.live.last.trailers == [("X-Sum", "7")]
    assert (copy.is_chunked, copy.body) == (framed, CARD if framed else HIDDEN)
    assert copy.trailers == ([("X-Sum", "7")] if framed else []) and copy.has("trailer") == framed


@pytest.mark.parametrize("size", [1, 20_000, 300_000])
@pytest.mark.parametrize("action", ["measure", "same"])
def test_the_hook_sees_the_whole_body_however_it_came(house, size, action):
    change = Change(house, "plain")
    body = bytes(65 + i % 23 for i in range(size))
    client = house.proxy.client()
    client.send(request("/plain", f"X-Do: {action}", "Transfer-Encoding: chunked", method="POST"))
    seen = 0
    for at in range(0, size, 50_000):  # the primary has each part before the next leaves
        part = body[at : at + 50_000]
        client.send(b"%x\r\n%s\r\n" % (len(part), part))
        seen += len(part)
        wait_for(lambda: len(house.live.received) >= seen, "the request goes on")
    assert not house.dark.requests, "nothing is sent before the hook has seen it"
    client.send(b"0\r\n\r\n")
    assert client.response().status == 200
    change.expect(ok=1, call_ok=1)
    assert house.dark.last.body == house.live.last.body == body
    ends = body[:3] + body[-3:]
    assert action == "same" or house.dark.last.get("x-body") == f"{size} {ends.decode()}"


def test_no_body_is_nil_and_an_empty_one_goes_with_its_length(house):
    change = Change(house, "plain")
    ask(house, "/plain", "measure")
    change.expect(ok=1, call_ok=1)
    assert house.dark.last.get("x-body") == "none"
    ask(house, "/plain", "empty", method="POST", body=CARD)
    change.expect(ok=2, call_ok=2)
    assert (house.dark.last.get("content-length"), house.dark.last.is_chunked) == ("0", False)


@pytest.mark.parametrize("client", ["h1", "h2"])
def test_http2(house, client):
    change = Change(house, "h2")
    body = CARD + b" " * 200_000
    if client == "h1":
        ask(house, "/h2", "redact", method="POST", body=body)
    else:
        connection = house.proxy.h2_client()
        stream = connection.begin("/h2", ("x-do", "redact"), method="POST", end=False)
        connection.data(stream, body[:70_000]).data(stream, body[70_000:])
        connection.trailers(stream, ("x-sum", "7"))
        assert connection.answer(stream).status == 200
    change.expect(ok=1, call_ok=1)
    copy = house.dark_h2.last
    assert bytes(copy.body) == HIDDEN + b" " * 200_000 and not copy.trailers
    assert copy.field("content-length") == str(len(copy.body)) and copy.field("x-last") == "config"
    assert house.live.last.body == body


# ---- bounds ----------------------------------------------------------------------------------------------------------------


def test_a_body_over_max_body_is_not_shown(house):
    change = Change(house, "small")
    ask(house, "/small", "none", method="POST", body=bytes(65_537))
    client = house.proxy.client()
    client.send(request("/small", "Transfer-Encoding: chunked", method="POST") + chunked(bytes(40_000), bytes(40_000)))
    assert client.response().status == 200
    change.expect(dropped=2, max_body=2)
    ask(house, "/small", "none", method="POST", body=bytes(65_536))
    change.expect(dropped=2, max_body=2, ok=1, call_ok=1)


def test_what_is_held_counts_against_max_memory(house):
    change = Change(house, "tight")
    client = house.proxy.client()
    client.send(request("/tight", "Content-Length: 4194304", method="POST") + bytes(4 << 20))
    assert client.response().status == 200
    change.expect(dropped=1, max_memory=1)
    assert not house.dark.requests


def test_a_request_that_ends_takes_its_held_copy_along(house):
    change = Change(house, "plain")
    house.live.answer = [HOLD]
    client = house.proxy.client()
    client.send(request("/plain", "Content-Length: 100", method="POST") + b"part")
    wait_for(lambda: b"part" in house.live.received, "the part arrives")
    client.reset()
    change.expect(dropped=1, incomplete=1)


def test_a_held_copy_keeps_the_script_it_began_with(house):
    change = Change(house, "plain")
    client = house.proxy.client()
    client.send(request("/plain", "X-Do: redact", f"Content-Length: {len(CARD)}", method="POST") + CARD[:10])
    house.live.wait_requests(1)
    with open(house.proxy.path("hooks.lua"), "a", encoding="utf-8") as file:
        file.write("\n-- changed\n")
    assert house.proxy.admin("POST", "/api/v1/reload", {"reason": "a new script"})[1]["result"] == "applied"
    client.send(CARD[10:])
    assert client.response().status == 200
    change.expect(ok=1, call_ok=1)
    assert house.dark.last.body == HIDDEN
    client.close()
    wait_for(lambda: house.proxy.status()["config"]["snapshots"] == 1, "the old configuration is gone")


# ---- faults ----------------------------------------------------------------------------------------------------------------


FAULTS = {
    "raise": ("error", "raised on purpose"),
    "word": ("error", "on_shadow returns false to keep the copy back"),
    "fetch": ("error", "weir.fetch works in on_request only"),
    "long": ("error", "longer than max_body"),
    "hog": ("memory", "the call used up its memory"),
}


@pytest.mark.parametrize("path", ["/small", "/fail"])
@pytest.mark.parametrize("action", FAULTS)
def test_a_hook_that_fails_sends_nothing(house, path, action):
    result, told = FAULTS[action]
    change = Change(house, path[1:])
    ask(house, path, action, method="POST", body=CARD)
    change.expect(dropped=1, script_error=1, **{f"call_{result}": 1})
    assert not house.dark.requests and house.live.last.body == CARD

    def is_told():
        """Complaints are a line a second at most."""
        ask(house, path, action, method="POST", body=CARD)
        return f"on_shadow: {result}: " in house.proxy.error_log() and told in house.proxy.error_log()

    wait_for(is_told, lambda: house.proxy.error_log())
    assert not house.dark.requests


def test_there_is_nothing_to_replace_where_there_is_no_body(house):
    change = Change(house, "plain")
    ask(house, "/plain", "bodiless")
    change.expect(dropped=1, script_error=1, call_error=1)


def test_a_hook_that_loops_is_the_copys_affair(house):
    change = Change(house, "quick")
    client = house.proxy.client()
    for count in range(1, 9):  # more than a breaker bears: it is not the shadow that fails
        response = client.get("/quick", "X-Do: loop", method="POST", body=CARD)
        assert (response.status, response.body, response.error) == (200, b"ok", None)
        assert len(house.live.requests) == count
    change.expect(dropped=8, script_error=8, call_timeout=8)
    assert not house.dark.requests
    ask(house, "/quick", "redact", method="POST", body=CARD)
    change.expect(dropped=8, script_error=8, call_timeout=8, ok=1, call_ok=1)


@pytest.mark.parametrize("body", [None, CARD])
def test_the_request_leaves_before_the_hook_runs(house, body):
    """When the origin has the request, a hook that loops has not been cut off yet."""
    counted = []

    def answer(connection, r):
        connection.body(r)
        counted.append(house.count("weir_script_calls_total", hook="on_shadow", result="timeout"))
        connection.send(reply())

    house.live.answer = answer

    def is_ahead():
        """A busy machine may keep the origin from looking in time; a hook that goes first always does."""
        before = house.count("weir_script_calls_total", hook="on_shadow", result="timeout")
        ask(house, "/slow", "loop", method="POST" if body else "GET", body=body)
        change = counted[-1] - before
        wait_for(lambda: house.count("weir_script_calls_total", hook="on_shadow", result="timeout") == before + 1, "it is cut off")
        return change == 0

    wait_for(is_ahead, "the request is ahead of the hook")


# ---- what is compared and recorded -------------------------------------------------------------------------------------------


def records(house):
    return [json.loads(line) for line in house.proxy.read("shadow.jsonl").splitlines()]


def shadow_of(house, tail=""):
    one, = house.proxy.admin("GET", f"/api/v1/shadow/compared{tail}")[1]["shadows"]
    return one


def test_secrets_are_neither_recorded_nor_shown_and_the_control_gets_the_same_copy(house):
    """One call for both copies. What differs is shown with its request, as redacted."""
    change = Change(house, "compared")
    house.dark.answer = reply(b"other")
    written = len(records(house))
    ask(house, "/compared", "redact", "Content-Type: application/json", method="POST", body=CARD)
    ask(house, f"/compared/{SECRET}?q=1", "hide", f"X-Secret: {SECRET}")
    wait_for(lambda: change.seen().get("ok") == 4, lambda: f"both copies of both: {change.seen()}")
    change.expect(ok=4, call_ok=2)
    assert sorted(r.body for r in house.dark.requests) == sorted(r.body for r in house.twin.requests) == [b"", HIDDEN]
    assert sorted(r.target for r in house.twin.requests) == ["/compared", "/hidden?q=1"]
    assert not any(r.has("x-secret") for r in house.dark.requests + house.twin.requests)
    wait_for(lambda: len(records(house)) == written + 2, "both are recorded")
    wait_for(lambda: len(shadow_of(house, "/diffs")["diffs"]) >= 2, "both differ")
    assert SECRET not in json.dumps(shadow_of(house, "/diffs")) and SECRET not in house.proxy.read("shadow.jsonl")
    lines = {line["request"]["method"]: line["request"] for line in records(house)[written:]}
    assert lines["POST"]["body"] == HIDDEN.decode()
    assert lines["GET"]["target"] == "/hidden?q=1"


def test_a_control_gets_its_copy_also_when_the_shadow_has_no_place_for_it(house):
    """What the copy for the shadow was made of goes with it; that of the control must not."""
    change = Change(house, "full")
    house.dark.answer = [HOLD]
    ask(house, "/full", "redact", method="POST", body=CARD)
    house.dark.wait_requests(1)
    before = house.count("weir_shadow_dropped_total", route="full", upstream="narrow", reason="max_pending")
    ask(house, "/full", "redact", method="POST", body=CARD)
    wait_for(lambda: house.count("weir_shadow_dropped_total", route="full", upstream="narrow", reason="max_pending") == before + 1,
             lambda: f"the second finds no place: {change.seen()}")
    house.twin.wait_requests(2)
    wait_for(lambda: [r.body for r in house.twin.requests] == [HIDDEN] * 2, lambda: f"{house.twin.requests}")


def test_what_is_kept_back_is_not_recorded(house):
    change = Change(house, "compared")
    written = len(records(house))
    for action in ("veto", "raise", "none"):
        ask(house, "/compared", action, "Content-Type: application/json", method="POST", body=CARD)
    change.expect(dropped=2, vetoed=1, script_error=1, ok=2, call_ok=2, call_error=1)
    wait_for(lambda: len(records(house)) == written + 1, "the one that went")
    pairs = shadow_of(house)["pairs"]
    assert pairs["skipped"] == 0, pairs


# ---- without a server --------------------------------------------------------------------------------------------------------


CONFIG = """
listeners: { web: { bind: 127.0.0.1:8080 } }
upstreams: { v1: { endpoints: [ 127.0.0.1:3001 ] }, v2: { endpoints: [ 127.0.0.1:3002 ] } }
routes:
  - { name: all, script: hooks.lua, to: v1%s }
"""


def run(directory, text, shadow, *words):
    (directory / "hooks.lua").write_text(text)
    (directory / "weir.yaml").write_text(CONFIG % (", shadow: [ { to: v2 } ]" if shadow else ""))
    return subprocess.run([WEIR, words[0], "-c", directory / "weir.yaml", *words[1:]], capture_output=True, text=True, timeout=60)


def test_check_knows_the_hook(tmp_path):
    good = "\nreturn { on_shadow = function(req) end }"
    done = run(tmp_path, good, True, "check")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(tmp_path, good, False, "check")
    assert done.returncode == 0 and "hooks.lua:2: warning: on_shadow is never called" in done.stderr
    done = run(tmp_path, "return { on_shadwo = function(req) end }", True, "check")
    assert done.returncode == 1 and "did you mean 'on_shadow'?" in done.stderr


BODIES = [
    ('{"card": {"number": "4111"}, "total": 7}', '{"card": {"number": "[redacted]"}, "total": 7}'),
    ('[{"number" : "4111"},{"number":""}]', '[{"number" : "[redacted]"},{"number":"[redacted]"}]'),
    ('{"total": 7}', '{"total": 7}'),
    ('{"number": 4111}', None),
    ('{"number": "41\\"11"}', None),
    ('{"numb\\u0065r": "4111"}', None),
]


def test_the_example_hides_numbers_or_keeps_the_copy_back(make_origin, examples):
    live, dark = make_origin(), make_origin()
    with open(f"{examples}/redact.lua", encoding="utf-8") as file:
        hook = file.read()
    shadow = {"to": "dark", "methods": ["GET", "POST"]}
    proxy = Proxy(upstreams={"live": {"endpoints": [live]}, "dark": {"endpoints": [dark]}},
                  routes=[{"name": "pay", "to": "live", "script": {**SCRIPT, "file": "redact.lua"}, "shadow": [shadow]}])
    with open(proxy.path("redact.lua"), "w", encoding="utf-8") as file:
        file.write(hook)
    with proxy:
        for body, hidden in BODIES:
            seen = len(dark.requests)
            vetoed = proxy.metric("weir_shadow_dropped_total", reason="vetoed")
            for kind in ("application/json", "text/plain"):
                proxy.get("/pay", f"Content-Type: {kind}", "X-Customer: 7", method="POST", body=body.encode())
            expected = vetoed + (1 if hidden else 2)
            wait_for(lambda: proxy.metric("weir_shadow_dropped_total", reason="vetoed") == expected, f"{body}: kept back")
            if hidden:
                wait_for(lambda: len(dark.requests) == seen + 1 and dark.last.body, f"{body}: hidden")
                assert dark.last.body.decode() == hidden and not dark.last.has("x-customer")
        proxy.get("/pay", "X-Customer: 7")
        wait_for(lambda: dark.last.method == "GET", "one without a body is copied")


def test_explain_says_that_the_hook_has_its_say(tmp_path):
    done = run(tmp_path, "return { on_shadow = function(req) end }", True, "explain", "http://a/")
    assert done.returncode == 0, done.stderr
    assert "gets a copy of 100%, unless on_shadow of the script keeps it back" in done.stdout
    done = run(tmp_path, "return { on_request = function(req) end }", True, "explain", "http://a/")
    assert "on_shadow" not in done.stdout
