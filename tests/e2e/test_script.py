# e2e/test_script.py - Lua hooks: what they decide, what they change, and that none of them takes the proxy down.
import os
import subprocess
import threading

import pytest

from harness import WEIR, Proxy, reply, wait_for

HOOKS = """
local M = {}

local actions = {
  target = function(req) return "v2" end,
  unknown = function(req) return "v9" end,
  number = function(req) return 7 end,
  answer = function(req)
    return { status = 418, headers = { ["x-tea"] = "pot", ["content-type"] = "text/tea" }, body = "short and stout" }
  end,
  empty = function(req) return { status = 204 } end,
  crlf = function(req) return { status = 200, headers = { x = "a\\r\\nb: c" } } end,
  framing = function(req) return { status = 200, headers = { ["Content-Length"] = "3" } } end,
  fields = function(req)
    local t = { req.method, req.path, req.query, req.host, req.scheme, req.source_ip, tostring(req.tls),
                tostring(req:header("x-a")), tostring(req:header("x-none")), tostring(req:cookie("c")), tostring(req:arg("q")) }
    return { status = 200, body = table.concat(t, "|") }
  end,
  api = function(req)
    local h = weir.hash("user", "salt")
    local t = { tostring(h >= 0 and h < 1 and h == weir.hash("user", "salt") and h ~= weir.hash("user")),
                string.format("%.9f", h), tostring(weir.segment("staff")), table.concat(weir.upstreams(), ","),
                tostring(weir.now() > 1700000000) }
    return { status = 200, body = table.concat(t, "|") }
  end,
  set = function(req)
    req:set_header("x-set", "by script")
    req:set_header("x-gone", nil)
  end,
  add = function(req)
    req:add_header("x-a", "two")
    req:add_header("x-new", "three")
  end,
  path = function(req) req:set_path("/new%2Dpath") end,
  query = function(req)
    req:set_query(req:arg("to") or nil)
    if req.query == "" and req:arg("a") then error("still there") end
  end,
  badquery = function(req) req:set_query("a b") end,
  badpath = function(req) req:set_path("/a b") end,
  breakhead = function(req) req:set_header("x-a", "a\\r\\nx-b: c") end,
  hop = function(req) req:set_header("Transfer-Encoding", "chunked") end,
  many = function(req) for i = 1, 1000 do req:set_header("x-" .. i, "v") end end,
  raise = function(req) error("raised on purpose") end,
  loop = function(req) while true do end end,
  caught = function(req) while true do pcall(function() while true do end end) end end,
  hog = function(req) local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end,
  log = function(req) weir.log("warn", "said by a script") end,
}

function M.on_request(req)
  req.ctx.action = req:header("x-do")
  local action = actions[req:header("x-do") or ""]
  if action then return action(req) end
end

local kept

function M.on_response(req, resp)
  local wanted = req:header("x-answer")
  if not wanted then return end
  resp:set_header("x-seen", resp.status .. " " .. tostring(resp:header("x-origin")) .. " " .. tostring(req.ctx.action))
  if wanted == "status" then resp.status = 503 end
  if wanted == "add" then resp:add_header("Set-Cookie", "b=2; Path=/") end
  if wanted == "remove" then resp:set_header("x-origin", nil) end
  if wanted == "bodiless" then resp.status = 204 end
  if wanted == "raise" then error("raised on purpose") end
  if wanted == "late" then req:set_header("x", "y") end
  if wanted == "keep" then kept = req end
  if wanted == "use" then resp:set_header("x-kept", tostring(kept.path)) end
end

return M
"""

KEEPER = """
local kept = {}
return { on_request = function(req)
  kept[#kept + 1] = ("x"):rep(60000) .. #kept
  return { status = 200, body = tostring(#kept) }
end }
"""


# Of CPU time: hooks that end keep it under sanitizers, too.
SCRIPT = {"file": "hooks.lua", "budget": "200ms"}


class House:
    """A proxy with a script on its route `all`; /plain has a route without."""

    def __init__(self, start, make_origin):
        self.v1, self.v2 = make_origin(reply(b"v1", "X-Origin: one")), make_origin(reply(b"v2", "X-Origin: two"))
        self.start = start

    def open(self, script=None, split=None, route=None, files=None, **config):
        self.proxy = Proxy(
            upstreams={"v1": {"endpoints": [self.v1]}, "v2": {"endpoints": [self.v2]}},
            segments={"staff": {"header": "x-staff", "equals": "1"}},
            routes=[
                {"name": "plain", "match": {"path": {"prefix": "/plain"}}, "to": "v1"},
                {"name": "all", "script": {**SCRIPT, **(script or {})}, "split": split or {"v1": 1}, **(route or {})},
            ],
            **config)
        for name, text in (files or {"hooks.lua": HOOKS}).items():
            self.write(name, text)
        return self.proxy

    def write(self, name, text):
        """As editors do: whole, or not at all."""
        with open(self.proxy.path(name + ".new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.proxy.path(name + ".new"), self.proxy.path(name))

    def calls(self, result, hook="on_request"):
        return int(self.proxy.metric("weir_script_calls_total", hook=hook, result=result))

    def say(self, what, *fields):
        return self.proxy.get("/path", f"X-Do: {what}", *fields)


@pytest.fixture(name="house")
def fixture_house(make_origin):
    house = House(None, make_origin)
    yield house
    house.proxy.end()


# ---- on_request ----------------------------------------------------------------------------------------------------------


def test_a_script_names_the_upstream_and_without_its_word_the_split_decides(house):
    house.open().start()
    assert house.proxy.get("/").body == b"v1"
    assert house.say("target").body == b"v2"
    assert house.proxy.metric("weir_requests_total", route="all", upstream="v2", code="200") == 1
    assert house.calls("ok") == 2 and house.calls("ok", "on_response") == 2
    assert house.proxy.metric("weir_script_duration_seconds_count", hook="on_request") == 2


def test_a_rule_beats_the_script(house):
    house.open(route={"rules": [{"name": "r", "when": {"segment": "staff"}, "to": "v1"}]}).start()
    assert house.say("target", "X-Staff: 1").body == b"v1"
    assert house.say("target").body == b"v2"
    assert house.say("answer", "X-Staff: 1").status == 418, "it may answer all the same"


def test_targeted_requests_take_nothing_from_the_block_and_get_no_cookie(house):
    house.open(split={"v1": 1, "v2": 1}, route={"sticky": {"cookie": "id"}}).start()
    assert house.say("target").get("set-cookie") is None
    assert house.proxy.get("/").get("set-cookie") is not None


def test_a_script_answers_itself(house):
    house.open().start()
    answer = house.say("answer")
    assert (answer.status, answer.body) == (418, b"short and stout")
    assert (answer.get("x-tea"), answer.get("content-type"), answer.get("x-weir-error")) == ("pot", "text/tea", None)
    answer = house.say("empty")
    assert (answer.status, answer.body) == (204, b"")
    assert not house.v1.requests
    assert house.proxy.metric("weir_requests_total", route="all", upstream="", code="418") == 1


def test_a_script_sees_the_request(house):
    house.open().start()
    answer = house.proxy.get("/a/../b?q=1&r", "X-Do: fields", "X-A: one", "X-A: two", "Cookie: b=2; c=3")
    assert answer.body.decode() == "GET|/b|q=1&r|example.com|http|127.0.0.1|nil|one, two|nil|3|1"


def test_the_api_tells_of_segments_upstreams_and_stable_hashes(house):
    house.open().start()
    first = house.say("api", "X-Staff: 1").body.decode().split("|")
    assert first[0] == "true" and first[2:] == ["true", "v1,v2", "true"]
    assert house.say("api").body.decode().split("|")[1:3] == [first[1], "false"]
    assert first[1] == "0.792929605", "users would move to other sides"


def test_a_script_edits_what_goes_on(house):
    house.open().start()
    house.say("set", "X-Gone: 1", "Connection: x-set")
    assert house.v1.last.get("x-set") == "by script" and not house.v1.last.has("x-gone")
    house.proxy.get("/path?q=1", "X-Do: path")
    assert house.v1.last.start == "GET /new%2Dpath?q=1 HTTP/1.1"
    house.proxy.get("/path?to=x?y%26z", "X-Do: query")
    assert house.v1.last.start == "GET /path?x?y%26z HTTP/1.1"
    house.proxy.get("/path?a=1", "X-Do: query")
    assert house.v1.last.start == "GET /path HTTP/1.1"


def test_a_script_adds_lines_beside_those_that_are_there(house):
    house.open().start()
    house.v1.answer = reply(b"v1", "Set-Cookie: a=1; Path=/")
    answer = house.say("add", "X-A: one", "X-Answer: add")
    assert house.v1.last.all("x-a") == ["one", "two"]
    assert house.v1.last.get("x-new") == "three"
    assert answer.all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


@pytest.mark.parametrize("action, told", [
    ("unknown", "there is no upstream 'v9'"), ("number", "not a number"), ("crlf", "holds a control character"),
    ("framing", "belongs to the connection"), ("badpath", "a path begins with /"), ("badquery", "a query has no space"), ("breakhead", "holds a control character"),
    ("hop", "belongs to the connection"), ("many", "too many edits"), ("raise", "raised on purpose"),
])
def test_a_hook_that_fails_is_told_and_the_request_goes_on(house, action, told):
    house.open().start()
    answer = house.say(action)
    assert (answer.status, answer.body) == (200, b"v1")
    assert house.calls("error") == 1
    wait_for(lambda: told in house.proxy.error_log(), lambda: house.proxy.error_log())
    line, = [line for line in house.proxy.error_log().splitlines() if told in line]
    assert "hooks.lua" in line and "on_request: error" in line and "stack traceback" in line
    assert not house.v1.last.has("x-b")


@pytest.mark.parametrize("action, result", [("loop", "timeout"), ("caught", "timeout"), ("hog", "memory"), ("raise", "error")])
def test_a_hook_that_is_cut_off_is_counted_and_with_fail_ends_the_request(house, action, result):
    budget = "1s" if result == "memory" else "50ms"
    house.open(script={"on_error": "fail", "budget": budget}, limits={"script_memory": "1MiB"}).start()
    answer = house.say(action)
    assert (answer.status, answer.get("x-weir-error")) == (500, "script_error")
    assert house.calls(result) == 1
    assert house.proxy.access_line(status=500)["reason"] == "script_error"
    assert house.say("target").body == b"v2", "the worker is well"


def test_the_log_line_of_a_script(house):
    house.open().start()
    house.say("log")
    wait_for(lambda: "said by a script" in house.proxy.error_log(), lambda: house.proxy.error_log())


# ---- on_response ----------------------------------------------------------------------------------------------------------


def test_a_script_edits_answers_and_keeps_ctx(house):
    house.open(route={"response_headers": {"set": {"x-last": "route"}}}).start()
    answer = house.say("target", "X-Answer: status")
    assert (answer.status, answer.get("x-seen"), answer.get("x-last"), answer.body) == (503, "200 two target", "route", b"v2")
    answer = house.say("set", "X-Answer: remove")
    assert (answer.status, answer.get("x-origin"), answer.get("x-seen")) == (200, None, "200 one set")


@pytest.mark.parametrize("wanted, told", [("bodiless", "have no body"), ("raise", "on purpose"), ("late", "has gone on")])
def test_an_answer_whose_hook_fails_goes_on(house, wanted, told):
    house.open().start()
    answer = house.proxy.get("/path", f"X-Answer: {wanted}")
    assert (answer.status, answer.body) == (200, b"v1")
    assert house.calls("error", "on_response") == 1
    wait_for(lambda: told in house.proxy.error_log(), lambda: house.proxy.error_log())


def test_an_answer_whose_hook_fails_becomes_500_with_fail(house):
    house.open(script={"on_error": "fail"}).start()
    answer = house.proxy.get("/path", "X-Answer: raise")
    assert (answer.status, answer.get("x-weir-error")) == (500, "script_error")


def test_a_req_that_was_kept_is_dead(house):
    house.open().start()
    house.proxy.get("/path", "X-Answer: keep")
    assert house.proxy.get("/path", "X-Answer: use").get("x-kept") is None
    wait_for(lambda: "belongs to a call that has ended" in house.proxy.error_log(), lambda: house.proxy.error_log())


# ---- what others notice of it ----------------------------------------------------------------------------------------------


def test_endless_loops_leave_other_routes_alone(house):
    house.open(script={"budget": "5ms"}).start()
    stop, looped = threading.Event(), []

    def loop():
        client = house.proxy.client()
        while not stop.is_set():
            looped.append(client.get("/path", "X-Do: caught").status)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        client = house.proxy.client()
        for _ in range(50):
            assert client.get("/plain").status == 200
    finally:
        stop.set()
        thread.join()
    assert set(looped) == {200}
    assert house.calls("timeout") == len(looped)


def test_what_scripts_keep_is_bounded(house):
    house.open(script={"file": "keeper.lua", "budget": "1s"}, files={"keeper.lua": KEEPER}, limits={"script_memory": "1MiB"}).start()
    client, answers = house.proxy.client(), []

    def is_anew():
        answers.append(client.get("/").body)
        return answers[-1] == b"1" and len(answers) > 1

    for _ in range(3):
        wait_for(is_anew, lambda: f"its state is made anew: {answers[-3:]}")
    assert answers[0] == b"1"
    assert max(int(body) for body in answers if body != b"v1") < 40, "of 60 kB each, in 1 MiB and a half"
    held = wait_for(lambda: house.proxy.metric("weir_script_memory_bytes"), "the state's memory is published")
    assert held <= 1.5 * 1024 * 1024


def test_http2_requests_have_their_hooks_too(house):
    house.open().start()
    client = house.proxy.h2_client()
    assert client.get("/", ("x-do", "target")).body == b"v2"
    assert client.get("/", ("x-do", "answer")).status == 418


# ---- loading ---------------------------------------------------------------------------------------------------------------


def script_that_answers(text):
    return "return { on_request = function(req) return { status = 200, body = '" + text + "' } end }"


def test_a_changed_script_is_a_reload_and_loses_no_request(house):
    house.open(files={"hooks.lua": script_that_answers("0")}, workers=2).start()
    stop, seen = threading.Event(), []

    def ask():
        while not stop.is_set():
            answer = house.proxy.get("/")
            seen.append((answer.status, answer.body))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for i in range(1, 6):
            house.write("hooks.lua", script_that_answers(str(i)))
            status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "a new script"})
            assert status == 200 and answer["result"] == "applied", answer
            wait_for(lambda: seen and seen[-1][1] == str(i).encode(), lambda: f"{i} answers: {seen[-3:]}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in seen} == {200}


def test_a_changed_script_is_seen_on_disk(house):
    house.open(files={"hooks.lua": script_that_answers("old")}, watch=True).start()
    assert house.proxy.get("/").body == b"old"
    house.write("hooks.lua", script_that_answers("new"))
    wait_for(lambda: house.proxy.get("/").body == b"new", "the script is loaded anew")


def test_a_broken_script_changes_nothing(house):
    house.open(files={"hooks.lua": script_that_answers("old")}).start()
    house.write("hooks.lua", "return {")
    status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "broken"})
    assert status == 422 and "hooks.lua:1:" in str(answer), answer
    assert house.proxy.get("/").body == b"old"
    house.write("hooks.lua", script_that_answers("old"))


CONFIG = """
listeners: {{ web: {{ bind: 127.0.0.1:8080 }} }}
upstreams: {{ v1: {{ endpoints: [ 127.0.0.1:3001 ] }}, v2: {{ endpoints: [ 127.0.0.1:3002 ] }} }}
routes:
  - {{ name: all, script: {script}, to: v1 }}
"""


def check(directory, text, script="hooks.lua", command="check", *arguments):
    (directory / "hooks.lua").write_text(text)
    (directory / "weir.yaml").write_text(CONFIG.format(script=script))
    return subprocess.run([WEIR, command, "-c", directory / "weir.yaml", *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("text, line, told", [
    ("local x = \n\nreturn {", "3", "unexpected symbol near"),
    ("local t\n\nlocal y = t.x\nreturn {}", "3", "attempt to index a nil value (local 't')"),
    ("\nwhile true do end", "2", "the call used up its time"),
    ("\nlocal x = ('x'):rep(30000000)\nreturn {}", "2", "memory"),
    ("return 5", "1", "the script returns number, not a table of hooks"),
    ("", "1", "the script returns nil, not a table of hooks"),
    ("\nreturn {}", "2", "the script has no hook (write: return { on_request = function(req) ... end })"),
    ("local M = {}\n\nfunction M.on_requets() end\nreturn M", "3", "there is no hook 'on_requets' (did you mean 'on_request'?)"),
    ("return { on_request = 1 }", "1", "'on_request' is not a function"),
    ("\nos.exit()\nreturn {}", "2", "unknown global 'os'"),
    ("weir.log('warn', 'x')\nreturn {}", "1", "weir.log works in hooks only"),
    ("x = 1\nreturn {}", "1", "cannot make a global 'x'"),
    ("return { on_request = function(req)\n  return weir.hsah('u')\nend }", "2:15", "unknown member 'weir.hsah' (did you mean 'weir.hash'?)"),
    ("return { on_request = function(req)\n  local f <close> = nil\nend }", "2", "there are no to-be-closed variables in scripts (write `local` without <close>)"),
    ("return { on_request = function(req)\n  local x = tonmuber(req:arg('x'))\nend }", "2:13", "unknown global 'tonmuber' (did you mean 'tonumber'?)"),
    ("\x1bLua", "1", "attempt to load a binary chunk"),
])
def test_check_tells_what_is_wrong_with_a_script_and_where(tmp_path, text, line, told):
    done = check(tmp_path, text)
    assert done.returncode == 1
    assert told in done.stderr
    assert f"{tmp_path}/hooks.lua:{line}:" in done.stderr


def test_check_tells_of_settings_of_scripts(tmp_path):
    assert check(tmp_path, "return { on_request = function() end }").returncode == 0
    assert check(tmp_path, "return { on_request = function() end }", "{ file: hooks.lua, budget: 5ms }").returncode == 0
    assert "could not read" in check(tmp_path, "", "none.lua").stderr
    assert "budgte" in check(tmp_path, "", "{ file: hooks.lua, budgte: 5ms }").stderr
    assert "file" in check(tmp_path, "", "{ budget: 5ms }").stderr


def test_explain_says_that_a_script_has_its_say(tmp_path):
    done = check(tmp_path, "return { on_request = function() end }", "hooks.lua", "explain", "http://a/")
    assert done.returncode == 0, done.stderr
    assert "hooks.lua is not run here, and may name another upstream, or answer" in done.stdout
    assert "weir.fetch" not in done.stdout
    done = check(tmp_path, "return { on_request = function() weir.fetch('v1') end }", "hooks.lua", "explain", "http://a/")
    assert "its hooks ask v1 by weir.fetch, and nothing is asked here" in done.stdout, done.stdout + done.stderr
