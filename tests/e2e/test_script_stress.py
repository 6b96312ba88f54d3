# e2e/test_script_stress.py - Lua hooks under load: reloads lose nothing, limits hold for all at once, memory stays what it is.
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Origin, Proxy, reply, wait_for

pytestmark = pytest.mark.usefixtures("settled")

# Each way to be over a limit, or to fail.
BAD = """
local function deep() return 1 + deep() end
local ways = {
  loop = function() while true do end end,
  caught = function() while true do pcall(error, "again") end end,
  coroutine = function() coroutine.wrap(function() while true do pcall(coroutine.yield) end end)() while true do end end,
  pattern = function() return (("a"):rep(60)):find(("(a*)"):rep(20) .. "b") end,
  sort = function() table.sort({ 3, 2, 1 }, function() while true do end end) end,
  deep = deep,
  hog = function() local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end end,
  huge = function() return ("x"):rep(1e9) end,
  raise = function() error("on purpose") end,
}
return { on_request = function(req)
  local way = ways[req:header("x-way")]
  if way then way() end
  return "v2"
end }
"""
WAYS = ["loop", "caught", "coroutine", "pattern", "sort", "deep", "hog", "huge", "raise"]
BAD_PER_WAY = 12

BUSY = """
return {
  on_request = function(req)
    local words = {}
    for word in (req:header("x-words") or ""):gmatch("%w+") do words[#words + 1] = word:upper() end
    req.ctx.words = words
    req:set_header("x-count", tostring(#words))
    return { status = 200, headers = { ["x-hash"] = tostring(weir.hash(req.path, "salt")) }, body = table.concat(words, ",") }
  end,
}
"""
BUSY_REQUESTS, BUSY_READINGS = 2400, 20

# Each leaves functions in C by a jump: an error that Lua's function raises, one of ours, and a yield.
LEFT = """
return { on_request = function()
  local yields = coroutine.wrap(function() while true do coroutine.yield() end end)
  for _ = 1, 2000 do
    pcall(error, "again")
    pcall(string.rep)
    yields()
  end
  return { status = 200, body = "left" }
end }
"""
LEFT_CALLS = 50


def version_text(number):
    return f"return {{ on_request = function() return {{ status = 200, body = '{number}' }} end }}\n"


class House:
    """A proxy of two workers: /bad, /busy, /left and /version have a script each, everything else has none."""

    def __init__(self):
        self.v1, self.v2 = Origin(reply(b"v1")), Origin(reply(b"v2"))
        self.proxy = Proxy(
            workers=2,
            limits={"script_memory": "2MiB"},
            upstreams={"v1": {"endpoints": [self.v1]}, "v2": {"endpoints": [self.v2]}},
            routes=[
                {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "script": {"file": f"{name}.lua", "budget": budget}, "to": "v1"}
                for name, budget in (("bad", "5ms"), ("busy", "1s"), ("left", "1s"), ("version", "1s"))
            ] + [{"name": "plain", "to": "v1"}])
        for name, text in (("bad", BAD), ("busy", BUSY), ("left", LEFT), ("version", version_text(0))):
            self.write(f"{name}.lua", text)

    def write(self, name, text):
        path = self.proxy.path(name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def calls(self, script, result=None):
        labels = {"script": self.proxy.path(f"{script}.lua"), "hook": "on_request"}
        return int(self.proxy.metric("weir_script_calls_total", **labels, **({"result": result} if result else {})))


@pytest.fixture(name="house", scope="module")
def fixture_house():
    house = House()
    with house.proxy:
        yield house


def test_reloads_with_changed_scripts_lose_no_request_and_hold_at_once(house):
    """A request may meet any version from the one in force when it was sent to the one written when it was answered."""
    stop, in_force, written, asked = threading.Event(), [0], [0], [0, 0, 0]

    def ask(place, is_new_each_time):
        client = house.proxy.client()
        while not stop.is_set():
            lowest = in_force[0]
            answer = client.get("/version")
            assert answer.status == 200 and lowest <= int(answer.body) <= written[0], (lowest, answer.body, written[0])
            asked[place] += 1
            if is_new_each_time:
                client.sock.close()
                client = house.proxy.client()

    with ThreadPoolExecutor(len(asked)) as pool:
        askers = [pool.submit(ask, place, place == 0) for place in range(len(asked))]
        try:
            for number in range(1, 13):
                house.write("version.lua", version_text(number))
                written[0] = number
                status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "a new script"})
                assert status == 200 and answer["result"] == "applied", answer
                in_force[0] = number
                before = list(asked)
                wait_for(lambda: any(a.done() for a in askers) or all(now > then for now, then in zip(asked, before)),
                         "each asker has met it")
        finally:
            stop.set()
        for asker in askers:
            asker.result()
    assert house.proxy.client().get("/version").body == b"12"


def test_every_limit_at_once_leaves_other_routes_and_later_calls_alone(house):
    before = {result: house.calls("bad", result) for result in ("ok", "error", "timeout", "memory")}
    stop = threading.Event()

    def ask_badly(way):
        client = house.proxy.client()
        return [client.get("/bad", f"X-Way: {way}") for _ in range(BAD_PER_WAY)]

    def ask_plainly():
        client, answers = house.proxy.client(), []
        while not stop.is_set():
            answers.append(client.get("/plain"))
        return answers

    with ThreadPoolExecutor(len(WAYS) + 2) as pool:
        plain = [pool.submit(ask_plainly) for _ in range(2)]
        try:
            bad = [answer for answers in pool.map(ask_badly, WAYS) for answer in answers]
        finally:
            stop.set()
        good = [answer for future in plain for answer in future.result()]
    assert {(answer.status, answer.body) for answer in good} == {(200, b"v1")}
    assert {(answer.status, answer.body) for answer in bad} == {(200, b"v1")}, "as the route has it without its script"
    counted = {result: house.calls("bad", result) - before[result] for result in before}
    assert counted["ok"] == 0 and sum(counted.values()) == len(bad), counted
    assert counted["timeout"] >= 5 * BAD_PER_WAY and counted["error"] >= BAD_PER_WAY, counted
    for _ in range(20):  # connections of both workers
        assert house.proxy.client().get("/bad", "X-Way: none").body == b"v2"


def test_thousands_of_calls_leave_the_states_as_large_as_hundreds_did(house):
    """Garbage comes and goes: the highest of some readings, before and after."""
    held, clients = [], [house.proxy.client() for _ in range(4)]
    words = " ".join(f"word{i}" for i in range(5))
    for _ in range(BUSY_READINGS):
        for _ in range(BUSY_REQUESTS // BUSY_READINGS // len(clients)):
            for client in clients:
                answer = client.get("/busy/x", f"X-Words: {words}")
                assert answer.status == 200 and answer.body.startswith(b"WORD0,WORD1,")
        held.append(house.proxy.metric("weir_script_memory_bytes"))
    half = len(held) // 2
    assert 0 < max(held[half:]) <= 1.5 * max(held[:half]), held


def test_errors_and_yields_by_the_hundred_thousand_leave_the_worker_whole(house):
    """Each jumps over frames that a sanitizer keeps accounts of: it has to see that they are gone."""
    client = house.proxy.client()
    for _ in range(LEFT_CALLS):
        answer = client.get("/left")
        assert answer.status == 200 and answer.body in (b"left", b"v1"), answer  # the latter: it had to wait for too long
    assert house.proxy.client().get("/plain").body == b"v1"
