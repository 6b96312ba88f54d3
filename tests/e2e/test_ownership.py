# e2e/test_ownership.py - who owns the weights of a route: the file, an operator, or a rollout; and what ends that.
import json
import signal
import sqlite3
import subprocess
import threading

import pytest

from harness import WEIR, Releases, wait_for
from harness.releases import answers

LONG = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
CASE = {"steps": LONG, "bake": "1h", "guardrails": [{"metric": "error_rate", "max": "90%", "window": "30s"}]}


@pytest.fixture
def release(make_origin, start):
    """A release of `shop` beside a third upstream, which has two fifths of the split."""
    def one(**case):
        third = make_origin(answers(b"third"))
        case = {**CASE, "route": {"split": {"s-shop": 60, "c-shop": 0, "third": 40}}, **case}
        r = Releases(make_origin, start, {"shop": case}, upstreams={"third": {"endpoints": [third]}}, workers=2)
        r.third = third
        return r
    return one


def weights(r, route="shop"):
    """In force, by upstream, in percent."""
    status, answer = r.proxy.admin("GET", f"/api/v1/routes/{route}")
    assert status == 200, answer
    return {entry["upstream"]: round(100 * entry["share"], 6) for entry in answer["route"]["split"]}


def reload(r):
    """By the API: everything is in force when it answers."""
    r.proxy.write_config()
    return r.proxy.admin("POST", "/api/v1/reload", {"reason": "test"})


def expect_reload(r):
    status, answer = reload(r)
    assert status == 200, answer


def stands(r):
    view = r.view("shop")
    return [view[name] for name in ("state", "step", "weight", "canary", "changed_at")]


def expect_refusal(r, *words):
    """The reload is refused with these words, and what was in force stays."""
    before, stood = weights(r), stands(r)
    status, answer = reload(r)
    assert status == 422 and all(word in json.dumps(answer) for word in words), answer
    assert weights(r) == before and stands(r) == stood


def actions(r, target="shop"):
    lines = r.proxy.admin("GET", "/api/v1/audit?limit=1000")[1]["lines"]
    return [line["action"] for line in reversed(lines) if line["target"] == target]


STATES = {
    "pending": ((), 0),
    "holding": (("start",), 30),
    "paused": (("start", "pause"), 30),
    "baking": (("start", "promote", "promote"), 60),
    "succeeded": (("start", "promote", "promote", "promote"), 60),
    "rolled_back": (("start", "rollback"), 0),
    "failed": (("start", "abort"), 0),
}


def test_in_every_state_the_rollout_owns_its_pair_and_nobody_else_sets_it(release):
    r = release()
    for revision, (state, (words, canary)) in enumerate(STATES.items(), 2):
        r.proxy.config["rollouts"]["shop"]["revision"] = str(revision)
        expect_reload(r)
        for word in words:
            r.say("shop", word)
        wait_for(lambda: r.view("shop")["state"] == state, lambda: r.view("shop"))
        expected = {"s-shop": 60 - canary, "c-shop": canary, "third": 40}
        assert weights(r) == expected, state
        body = {"weights": {"s-shop": 1, "c-shop": 1, "third": 1}, "reason": "mine"}
        status, answer = r.proxy.admin("PUT", "/api/v1/routes/shop/split", body)
        assert (status, answer["error"]["code"]) == (409, "owned_by_rollout"), (state, answer)
        assert r.proxy.admin("DELETE", "/api/v1/routes/shop/split", {"reason": "mine"})[0] == 409, state
        assert weights(r) == expected, state
    said = subprocess.run(
        [WEIR, "ctl", "--state-dir", r.proxy.path("state"), "split", "shop", "s-shop=1", "c-shop=1", "third=1", "--reason", "mine"],
        capture_output=True, text=True, timeout=60,
    )
    assert said.returncode == 1 and 'rollout "shop" owns weights of route "shop"' in said.stderr, said
    assert "split.set" not in actions(r)


def test_weights_of_a_rollout_survive_reload_and_restart(release):
    r = release()
    r.say("shop", "start")
    expected = {"s-shop": 30, "c-shop": 30, "third": 40}
    r.proxy.config["limits"] = {"headers": "31KiB"}
    expect_reload(r)
    assert weights(r) == expected
    r.proxy.stop()
    r.proxy.start()
    assert weights(r) == expected


def test_a_split_that_the_file_changes_is_shared_out_anew_at_the_same_weight(release):
    """The pair's part of it is the file's, and how it is shared out is the rollout's."""
    r = release()
    r.say("shop", "start")
    r.proxy.config["routes"][0]["split"] = {"third": 20, "c-shop": 70, "s-shop": 10}
    expect_reload(r)
    assert weights(r) == {"third": 20, "c-shop": 40, "s-shop": 40}
    assert r.view("shop")["state"] == "holding"


def add_third_as_canary(r):
    r.proxy.config["rollouts"]["shop"]["canary"] = "third"


def test_another_pair_begins_at_zero_and_the_former_canary_has_the_files_share(release):
    r = release()
    r.proxy.config["routes"][0]["split"] = {"s-shop": 100, "c-shop": 0, "third": 0}
    expect_reload(r)
    r.say("shop", "start")
    met, is_over = len(r.third.requests), threading.Event()
    client = r.proxy.client()

    def send():
        while not is_over.is_set():
            client.get("/shop")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        add_third_as_canary(r)
        expect_reload(r)
    finally:
        is_over.set()
        sender.join()
    assert (r.view("shop")["state"], r.view("shop")["weight"]) == ("pending", 0)
    assert weights(r) == {"s-shop": 100, "c-shop": 0, "third": 0}
    assert len(r.third.requests) == met, "at no time it had the weight that another one had earned"
    assert "rollout.new_pair" in actions(r)
    r.expect_no_exposure("shop")


def test_another_pair_has_nothing_while_that_cannot_be_stored(release):
    r = release()
    r.proxy.config["routes"][0]["split"] = {"s-shop": 100, "c-shop": 0, "third": 0}
    expect_reload(r)
    r.say("shop", "start")
    locker = sqlite3.connect(r.proxy.path("state/weir.db"), isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    add_third_as_canary(r)
    r.proxy.write_config()
    generation = r.proxy.metric("weir_config_generation")
    r.proxy.signal(signal.SIGHUP)
    wait_for(lambda: r.proxy.metric("weir_config_generation") > generation, "loaded")
    wait_for(lambda: r.view("shop")["is_store_down"], lambda: r.view("shop"))
    assert weights(r) == {"s-shop": 100, "c-shop": 0, "third": 0}
    assert {answer.body for answer in r.send("shop", 40)} == {b"stable"}
    locker.execute("ROLLBACK")
    locker.close()
    wait_for(lambda: r.view("shop")["state"] == "pending", lambda: r.view("shop"))
    assert "rollout.new_pair" in actions(r)


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_rollout_that_was_taken_out_begins_anew_when_it_comes_back(release, how):
    """What the canary had is nobody's word any more: it is not given back without a start."""
    r = release()
    r.say("shop", "start")

    def apply():
        if how == "reload":
            return expect_reload(r)
        r.proxy.stop()
        r.proxy.write_config()
        return r.proxy.start()

    rollouts = r.proxy.config.pop("rollouts")
    apply()
    assert weights(r) == {"s-shop": 60, "c-shop": 0, "third": 40}, "the file's"
    assert actions(r)[-1] == "rollout.removed"
    r.proxy.config["rollouts"] = rollouts
    apply()
    view = r.view("shop")
    assert (view["state"], view["weight"], view["requests"]["canary"]) == ("pending", 0, 0), view
    assert weights(r) == {"s-shop": 60, "c-shop": 0, "third": 40}
    r.client = r.proxy.client()
    assert r.say("shop", "start")["weight"] == 0.5
    r.say("shop", "rollback")
    wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    r.proxy.config.pop("rollouts")
    apply()
    r.proxy.config["rollouts"] = rollouts
    apply()
    assert r.view("shop")["state"] == "rolled_back", "over is over"
    assert actions(r).count("rollout.removed") == 1


def test_of_two_rollouts_on_one_route_the_second_is_refused(release):
    r = release()
    r.say("shop", "start")
    rollouts = r.proxy.config["rollouts"]
    rollouts["other"] = {**rollouts["shop"]}
    expect_refusal(r, "rollout 'shop' has this pair of route 'shop' already", "a route has one rollout at a time")
    rollouts["other"]["canary"] = "third"
    expect_refusal(r, "rollout 'shop' has the split of route 'shop' already")


def test_a_rollout_whose_route_or_upstream_is_gone_is_refused_and_goes_on_as_it_was(release):
    r = release()
    r.say("shop", "start")
    route, upstreams = r.proxy.config["routes"][0], r.proxy.config["upstreams"]
    route["name"] = "store"
    expect_refusal(r, "there is no route 'shop'")
    route["name"] = "shop"
    canary = upstreams.pop("c-shop")
    expect_refusal(r, "there is no upstream 'c-shop'")
    route["split"] = {"s-shop": 60, "third": 40}
    expect_refusal(r, "the canary 'c-shop' is not in the split of route 'shop'")
    upstreams["c-shop"] = canary
    route["split"] = {"c-shop": 60, "third": 40}
    expect_refusal(r, "the stable 's-shop' is not in the split of route 'shop'")


def test_a_route_that_is_renamed_is_another_pair(release):
    r = release()
    r.say("shop", "start")
    r.proxy.config["routes"][0]["name"] = r.proxy.config["rollouts"]["shop"]["route"] = "store"
    expect_reload(r)
    assert r.view("shop")["state"] == "pending"
    assert weights(r, "store") == {"s-shop": 60, "c-shop": 0, "third": 40}


def test_a_rollout_that_is_renamed_is_another_one(release):
    r = release()
    r.say("shop", "start")
    rollouts = r.proxy.config["rollouts"]
    rollouts["renamed"] = rollouts.pop("shop")
    expect_reload(r)
    assert r.views()["renamed"]["state"] == "pending" and list(r.views()) == ["renamed"]
    assert weights(r) == {"s-shop": 60, "c-shop": 0, "third": 40}
    assert actions(r)[-1] == "rollout.removed"


def test_what_an_operator_set_ends_with_the_name_of_its_route(release):
    r = release()
    r.proxy.config.pop("rollouts")
    expect_reload(r)
    body = {"weights": {"s-shop": 0, "c-shop": 1, "third": 1}, "reason": "mine"}
    assert r.proxy.admin("PUT", "/api/v1/routes/shop/split", body)[0] == 200
    assert weights(r) == {"s-shop": 0, "c-shop": 50, "third": 50}
    r.proxy.config["routes"][0]["name"] = "store"
    expect_reload(r)
    assert weights(r, "store") == {"s-shop": 60, "c-shop": 0, "third": 40}
    assert actions(r)[-1] == "split.ended"
    r.proxy.config["routes"][0]["name"] = "shop"
    expect_reload(r)
    assert weights(r) == {"s-shop": 60, "c-shop": 0, "third": 40}
