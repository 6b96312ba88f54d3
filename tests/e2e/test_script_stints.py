# e2e/test_script_stints.py - hooks that run long let others go first, on one worker, whatever becomes of them meanwhile.
import os

import pytest

from harness import Origin, Proxy, reply, request, wait_for

pytestmark = pytest.mark.usefixtures("settled")

# `spin` ends when another request's hook has said so: where a worker is held, that one comes too late.
HOOKS = """
local M = {}

local function spin(key)
  weir.shared.set(key .. "begun", 1, 60)
  while not weir.shared.get(key) do end
  return { status = 200, body = "TEXT " .. key }
end

function M.on_request(req)
  local key = req:arg("key") or ""
  if req.path == "/loop" or req.path == "/short/loop" then while true do end end
  if req.path == "/spin" then return spin(key) end
  if req.path == "/fetch" then
    local first = weir.fetch("v1")
    local said = spin(key)
    said.body = said.body .. " " .. first.body .. weir.fetch("v1").body
    return said
  end
  if req.path == "/search" then -- ever longer, until it is stopped or its time is up
    local length = 10
    while not weir.shared.get(key) do
      local _ = (("a"):rep(length)):find(("a?"):rep(length) .. ("b"):rep(length))
      length = length + 1
    end
    return { status = 200, body = "TEXT " .. key }
  end
  if req.path == "/begun" then return { status = 200, body = tostring(weir.shared.get(key .. "begun")) } end
  if req.path == "/stop" then
    weir.shared.set(key, 1, 60)
    return { status = 200, body = "stopped" }
  end
end

return M
"""
SCRIPT = {"file": "hooks.lua", "budget": "500ms"}
# Of a script that keeps short.
OTHER = """
return { on_request = function(req)
  weir.shared.set(req:arg("key"), 1, 60)
  return { status = 200, body = "stopped" }
end }
"""
MOST_PAUSED = 256


class House:
    def __init__(self):
        self.keys = 0
        self.proxy = Proxy(
            upstreams={"v1": {"endpoints": [Origin(reply(b"v1"))]}},
            routes=[{"name": "plain", "match": {"path": {"prefix": "/plain"}}, "to": "v1"},
                    {"name": "other", "match": {"path": {"prefix": "/other"}}, "script": "other.lua", "to": "v1"},
                    {"name": "short", "match": {"path": {"prefix": "/short"}}, "script": SCRIPT, "timeout": "100ms", "to": "v1"},
                    {"name": "all", "script": SCRIPT, "to": "v1"}])
        self.write("old")
        with open(self.proxy.path("other.lua"), "w", encoding="utf-8") as file:
            file.write(OTHER)

    def write(self, text):
        path = self.proxy.path("hooks.lua")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(HOOKS.replace("TEXT", text))
        os.rename(path + ".new", path)

    def key(self):
        self.keys += 1
        return f"k{self.keys}"

    def calls(self, result):
        return int(self.proxy.metric("weir_script_calls_total", hook="on_request", result=result))

    def spin(self, path="/spin", between=lambda key: None):
        """What a hook says that spins until another request comes to its worker. A machine that keeps us waiting lets its budget end
        first, and its script may not be known to run long any more: then once more."""
        answers = []

        def is_stopped():
            key = self.key()
            client = self.proxy.client()
            client.send(request(f"{path}?key={key}"))
            between(key)
            assert self.proxy.get(f"/stop?key={key}").body == b"stopped"
            answers.append(client.response().body.decode().replace(key, "").split())
            return answers[-1] != ["v1"]

        wait_for(is_stopped, lambda: f"the worker is held until the budget ends: {answers}")
        return answers[-1]


@pytest.fixture(name="house", scope="module")
def fixture_house():
    house = House()
    with house.proxy:
        yield house


def test_a_hook_that_runs_long_lets_others_go_first(house):
    assert house.spin() in (["old"], ["new"])
    assert house.proxy.metric("weir_script_duration_seconds_count", hook="on_request") == house.calls("ok") + house.calls("timeout")


def test_and_so_it_does_after_it_has_waited_for_an_answer_and_before(house):
    assert house.spin("/fetch")[1] == "v1v1"


def test_a_search_that_takes_its_time_is_left_too(house):
    house.spin()
    assert house.spin("/search") in (["old"], ["new"])


def test_many_of_them_take_turns(house):
    in_force = house.spin()[0]

    def is_stopped():
        key = house.key()
        clients = [house.proxy.client().send(request(f"/spin?key={key}")) for _ in range(20)]
        assert house.proxy.get("/plain").body == b"v1"
        assert house.proxy.get(f"/stop?key={key}").body == b"stopped"
        return {client.response().body.decode() for client in clients} == {f"{in_force} {key}"}

    wait_for(is_stopped, "all of them end as their hooks say")


def test_where_as_many_as_may_be_are_paused_the_next_ones_wait_at_the_door(house):
    """Else each of them would hold the worker for its budget, and everybody else with it."""
    in_force = house.spin()[0]

    def is_stopped():
        key = house.key()
        client = house.proxy.h2_client()
        others = [house.proxy.h2_client() for _ in range(3)]
        streams = [(c, c.begin(f"/spin?key={key}")) for c in (client, *others) for _ in range((MOST_PAUSED + 40) // 4)]
        for c, stream in streams[-60::3]:
            c.cancel(stream)
        streams = [pair for pair in streams if pair not in streams[-60::3]]
        assert house.proxy.get("/plain").body == b"v1"
        assert house.proxy.get(f"/other?key={key}").body == b"stopped"
        return {c.answer(stream).body.decode() for c, stream in streams} == {f"{in_force} {key}"}

    wait_for(is_stopped, "all of them end as their hooks say")


def test_over_http2_its_connection_goes_on(house):
    in_force = house.spin()[0]

    def is_stopped():
        key = house.key()
        client = house.proxy.h2_client()
        stream = client.begin(f"/spin?key={key}")
        assert client.get(f"/stop?key={key}").body == b"stopped"
        return client.answer(stream).body.decode() == f"{in_force} {key}"

    wait_for(is_stopped, "another stream stops it")


def test_a_client_that_goes_away_takes_its_hook_along(house):
    house.spin()
    before = house.calls("timeout")
    for _ in range(20):
        client = house.proxy.client()
        client.send(request("/loop"))
        client.reset()
        house.proxy.clients.remove(client)
    assert house.proxy.get("/plain").body == b"v1"
    wait_for(lambda: house.proxy.status()["live"]["requests"] == 0, "all of them have ended")
    assert house.calls("timeout") <= before + 20


def test_the_routes_timeout_counts_what_others_took(house):
    house.spin()
    wait_for(lambda: house.proxy.get("/short/loop").status == 504, "it ends while its hook is paused")


def test_a_reload_leaves_a_paused_hook_what_it_was(house):
    texts, in_force = ["new", "old"], ["old"]

    def reload(key):
        """When the hook has begun."""
        wait_for(lambda: house.proxy.get(f"/begun?key={key}").body == b"1", "the hook has begun")
        house.began_with = in_force[0]
        house.write(texts[0])
        in_force[0] = texts[0]
        texts.reverse()
        status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "a new script"})
        assert status == 200 and answer["result"] == "applied", answer

    house.spin()  # its script is known to run long
    assert house.spin(between=reload) == [house.began_with]
    assert house.spin() == in_force
