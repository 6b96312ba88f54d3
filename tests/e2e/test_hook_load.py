# e2e/test_hook_load.py - every hook of scripts/hooks at once, under load, on two workers: beside bad hooks, and through reloads.
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_hook_library import HOOKS, House, route

from harness import reply, wait_for

BAD = """
local ways = {
  function() while true do end end,
  function() return (("a"):rep(60)):find(("(a*)"):rep(20) .. "b") end,
  function() local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end end,
  function() error("on purpose") end,
}
local turn = 0
return { on_request = function() turn = turn % #ways + 1 ways[turn]() end }
"""
ASKERS, ROUNDS, BAD_ASKERS = 3, 6, 2
PHONE, COMPUTER = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Mobile/15E148", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/127.0"

# What each is asked, and what it may say: statuses and bodies.
EITHER, STABLE, CANARY = (200, {b"stable", b"canary"}), (200, {b"stable"}), (200, {b"canary"})
ASKED = {
    "ab_cookie": [((), EITHER), (("Cookie: ab=a",), STABLE), (("Cookie: ab=b",), CANARY)],
    "app_version": [(("X-App-Version: 2.9.9",), STABLE), (("X-App-Version: 3.0.0",), CANARY), (("X-App-Version: 1.9",), (426, None))],
    "bots": [(("User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)",), STABLE), ((COMPUTER,), EITHER)],
    "device": [((PHONE,), CANARY), ((COMPUTER,), STABLE)],
    "early_access": [(("X-Beta: 1",), CANARY), (("Cookie: user=u-1",), STABLE)],
    "experiment": [(("Cookie: user=user-1",), EITHER)],
    "jwt_claim": [((), STABLE), (("Authorization: Bearer x.y.z",), STABLE)],
    "locale": [(("Accept-Language: en;q=0.5, de-AT;q=0.9",), CANARY), ((), STABLE)],
    "maintenance": [((), (503, None)), (("X-Staff: 1",), STABLE)],
    "percentage": [(("X-User-Id: user-1",), EITHER)],
    "shadow_redaction": [((), STABLE)],
    "targeting_service": [(("Cookie: user=u-1",), CANARY)],
}


@pytest.fixture(name="house", scope="module")
def fixture_house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("keys"))
    house.targeting.answer = reply(b'{"upstream":"canary"}')
    house.proxy.config["workers"] = 2
    house.proxy.config["routes"].append(route("bad"))
    house.proxy.config["routes"][-1]["script"]["budget"] = "5ms"
    with open(house.proxy.path("hooks/bad.lua"), "w", encoding="utf-8") as file:
        file.write(BAD)
    house.proxy.start()
    yield house
    house.proxy.end()
    for origin in (house.stable, house.canary, house.dark, house.targeting):
        origin.stop()


def ask_all(house, asked):
    """Each hook in turn, on a new connection a round, so that both workers have some; counts the rounds."""
    for _ in range(ROUNDS):
        client = house.proxy.client()
        for name in HOOKS:
            for fields, (status, bodies) in ASKED[name]:
                answer = client.get(f"/{name}/x", *fields)
                assert answer.status == status and (bodies is None or answer.body in bodies), (name, fields, answer.status, answer.body)
        asked.append(1)


def ask_badly(house, stop, asked):
    while not stop.is_set():
        client = house.proxy.client()
        for _ in range(4):
            answer = client.get("/bad")
            assert (answer.status, answer.body) == (200, b"stable"), "as the route has it without its script"
            asked.append(1)


def reload(house, number):
    """With a change to each hook's file."""
    for name in HOOKS:
        with open(house.proxy.path(f"hooks/{name}.lua"), "a", encoding="utf-8") as file:
            file.write(f"-- {number}\n")
    status, answer = house.proxy.admin("POST", "/api/v1/reload", {"reason": "changed hooks"})
    assert status == 200 and answer["result"] == "applied", answer


def test_all_hooks_at_once_beside_bad_ones_and_through_reloads(house):
    assert set(ASKED) == set(HOOKS)
    stop, good, bad = threading.Event(), [], []
    with ThreadPoolExecutor(ASKERS + BAD_ASKERS) as pool:
        bad_askers = [pool.submit(ask_badly, house, stop, bad) for _ in range(BAD_ASKERS)]
        askers = [pool.submit(ask_all, house, good) for _ in range(ASKERS)]
        try:
            for number in (1, 2):
                wait_for(lambda: len(good) >= number * 2 or any(asker.done() for asker in askers), "they have begun")
                reload(house, number)
            for asker in askers:
                asker.result()
        finally:
            stop.set()
        for asker in bad_askers:
            asker.result()
    for name in HOOKS:
        for result in ("error", "timeout", "memory"):
            assert house.proxy.metric("weir_script_calls_total", script=house.proxy.path(f"hooks/{name}.lua"), result=result) == 0, name
    counted = {result: house.proxy.metric("weir_script_calls_total", script=house.proxy.path("hooks/bad.lua"), result=result)
               for result in ("ok", "error", "timeout", "memory")}
    assert counted["ok"] == 0 and sum(counted.values()) == len(bad) > 0, counted
