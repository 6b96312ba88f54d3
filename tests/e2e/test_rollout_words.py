# e2e/test_rollout_words.py - what a word to a rollout is answered with is so: in every worker, from the answer on.
import re
import subprocess

from harness import DEADLINE_S, Releases
from harness.proxy import WEIR

STEPS = [{"weight": "50%", "hold": "1h"}, {"weight": "100%", "hold": "1h"}]
GUARDRAILS = [{"metric": "error_rate", "max": "50%"}]
WORDS = ("start", "promote", "pause", "resume", "rollback")


def stands(view):
    return view["state"], view["weight"], view["is_in_force"]


def test_an_answer_tells_of_weights_that_are_in_force(make_origin, start):
    names = [f"r{number}" for number in range(8)]
    r = Releases(make_origin, start, {name: {"steps": STEPS, "guardrails": GUARDRAILS, "bake": "1h"} for name in names}, workers=4)
    wanted = [("holding", 0.5, True), ("holding", 1, True), ("paused", 1, True), ("holding", 1, True), ("rolled_back", 0, True)]
    for name in names:
        assert [stands(r.say(name, word)) for word in WORDS] == wanted, name
        for _ in range(8):  # connections of their own, for every worker
            assert r.proxy.client().get(f"/{name}").body == b"stable"
    assert stands(r.say(names[0], "rollback")) == ("rolled_back", 0, True), "again, and from nowhere"


def test_a_script_that_reads_rolled_back_may_rely_on_it(make_origin, start):
    r = Releases(make_origin, start, {"shop": {"steps": STEPS, "guardrails": GUARDRAILS}}, workers=4)

    def say(word):
        command = [WEIR, "ctl", "--state-dir", r.proxy.config["state_dir"], "rollout", "shop", word, "--reason", "test"]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout.splitlines()[0]

    assert re.fullmatch(r"shop 1: holding, c-shop has 50% of what it shares with s-shop", say("start"))
    assert re.fullmatch(r"shop 1: rolled_back, c-shop has 0% of what it shares with s-shop", say("rollback"))
    r.expect_no_exposure("shop")
