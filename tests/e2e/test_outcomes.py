# e2e/test_outcomes.py - what is told about releases from outside: business outcomes, deployments, and objectives.
import json
import sqlite3
import subprocess
import time

import pytest

from harness import DEADLINE_S, reply, wait_for
from harness.proxy import WEIR

SOLD = [{"event": "purchase", "worse_than_stable": {"ratio": 0.9}, "told_within": "2s"}]
PATIENT = [{**SOLD[0], "told_within": "1h"}]
HALF = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]


class Shop:
    """Two versions of a shop behind one proxy. What they sell is told afterwards, by the mark that each request had."""

    def __init__(self, make_origin, start, steps=HALF, route=None, guardrails=SOLD, **top):
        self.origins = {"s": make_origin(reply(b"s")), "c": make_origin(reply(b"c"))}
        self.proxy = start(
            upstreams={name: {"endpoints": [origin]} for name, origin in self.origins.items()},
            routes=[{"name": "shop", "split": {"s": 100, "c": 0}, **(route or {})}],
            rollouts={"sale": {"route": "shop", "stable": "s", "canary": "c", "steps": steps, "guardrails": guardrails}},
            **top,
        )
        self.client = self.proxy.client()

    def start(self):
        status, answer = self.proxy.admin("POST", "/api/v1/rollouts/sale/start", {"reason": "go"})
        assert status == 200, answer
        return self

    @property
    def view(self):
        return self.proxy.admin("GET", "/api/v1/rollouts/sale")[1]["rollout"]

    def send(self, count, *fields):
        """The marks of so many requests, by the side that answered."""
        marks = {"s": [], "c": []}
        for _ in range(count):
            side = self.client.get("/", *fields).body.decode()
            marks[side].append(self.origins[side].last.get("x-weir-exposure"))
        return marks

    def tell(self, *outcomes, reason="sales of the shop"):
        return self.proxy.admin("POST", "/api/v1/outcomes", {"outcomes": list(outcomes), "reason": reason})

    def sell(self, marks):
        status, answer = self.tell(*[{"event": "purchase", "exposure": mark} for mark in marks])
        assert status == 200, answer
        return answer

    def one(self, **fields):
        return self.proxy.admin("POST", "/api/v1/outcomes", {"event": "purchase", "reason": "a test", **fields})


@pytest.fixture
def shop(make_origin, start):
    return lambda **options: Shop(make_origin, start, **options)


def refused(answer):
    status, body = answer
    return status, body["error"]["code"] if "error" in body else body


# ---- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_canary_that_sells_less_is_taken_back(shop):
    s = shop().start()
    give_up = time.monotonic() + DEADLINE_S
    old = s.send(40)
    while s.view["state"] != "rolled_back":
        assert time.monotonic() < give_up, s.view
        marks = s.send(40)
        s.sell([mark for mark in marks["s"] + marks["c"][:2] if mark])  # none behind the rollback
    view = s.view
    assert view["breach"]["guardrail"] == "event_purchase_ratio" and view["weight"] == 0
    late = s.sell(old["s"] + old["c"])
    assert late["counted"] == 0 and late["left_out"] == 40, "nobody judges it any more"


def test_equal_sales_take_nothing_back(shop):
    s = shop().start()
    for _ in range(8):
        marks = s.send(40)
        assert s.sell(marks["s"][::2] + marks["c"][::2])["counted"] == 20  # one side before the other
    wait_for(lambda: s.view["guardrails"][0]["progress"] != 0 or "canary 0 of" not in s.view["guardrails"][0]["reason"], "they are compared")
    assert s.view["guardrails"][0]["verdict"] in ("undecided", "not_worse") and s.view["state"] == "holding"
    assert s.proxy.metric("weir_outcomes_total", rollout="sale", result="counted") == 160


def test_sticky_users_count_once(shop):
    s = shop(route={"sticky": {"cookie": "user"}}, guardrails=PATIENT).start()
    marks = {name: s.send(2, f"cookie: user={name}") for name in ("ann", "bob", "cyd", "dan", "eve", "fay")}
    mine = {name: (found["s"] + found["c"])[:1] for name, found in marks.items()}
    assert all(mark.split(".")[5] != "-" for [mark] in mine.values())
    assert s.sell([mark for [mark] in mine.values()])["compared"] == 6
    assert s.sell(mine["ann"]) == {"counted": 1, "compared": 0, "repeated": 0, "left_out": 0}
    assert refused(s.tell({"event": "purchase", "exposure": mine["ann"][0], "count": 2})) == (400, "bad_count")


# ---- exposures ---------------------------------------------------------------------------------------------------------


def test_only_requests_that_count_have_a_mark(shop):
    rules = [{"name": "testers", "when": {"header": "x-tester", "equals": "1"}, "to": "c"}]
    s = shop(route={"rules": rules})
    forged = "x-weir-exposure: 1.c.500000.0.0123456789abcdef.-.sale"
    assert s.send(1, forged) == {"s": [None], "c": []}, "nothing is watched yet, and the client's is gone"
    s.start()
    assert s.send(1, "x-tester: 1", forged)["c"] == [None], "a rule sent it"
    marks = s.send(20, forged)
    assert len(marks["s"]) == len(marks["c"]) == 10
    assert {mark.split(".")[1] for mark in marks["c"]} == {"c"} and {mark.split(".")[1] for mark in marks["s"]} == {"s"}
    for origin in s.origins.values():
        origin.answer = reply(b"echo", f"x-weir-exposure: {marks['c'][0]}")
    assert s.client.get("/").get("x-weir-exposure") is None, "what an upstream echoes does not reach the client"


def test_an_id_counts_once_and_there_are_no_more_outcomes_than_requests(shop):
    s = shop(guardrails=PATIENT).start()
    marks = s.send(20)
    sale = {"event": "purchase", "exposure": marks["c"][0], "id": "order-1"}
    assert s.tell(sale)[1]["counted"] == 1
    assert s.tell(sale, sale)[1] == {"counted": 0, "compared": 0, "repeated": 2, "left_out": 0}
    assert s.tell({**sale, "id": "order-2", "count": 9})[1]["counted"] == 9, "summed up by who tells"
    assert refused(s.tell({**sale, "id": "order-3"})) == (409, "too_many")
    full = {**sale, "exposure": marks["s"][0], "count": 9}
    assert s.tell({**full, "id": "order-4"}, {**full, "id": "order-5"})[1]["left_out"] == 9, "one of a call was too many"
    s.send(18)
    assert s.tell({**full, "id": "order-5"})[1]["counted"] == 9, "and is not taken for one that was counted"
    lines = [line for line in s.proxy.admin("GET", "/api/v1/audit")[1]["lines"] if line["action"] == "outcomes.tell"]
    assert [(line["target"], line["reason"]) for line in lines] == [("sale", "sales of the shop")], "one a minute"


def test_a_mark_of_the_future_waits_no_longer_than_others(shop):
    s = shop().start()
    parts = s.send(4)["c"][0].split(".")
    for ahead in (str(int(parts[6]) + 3600000), str(2**62 - 1)):
        assert s.one(exposure=".".join([*parts[:6], ahead, parts[7]]))[1] == {"counted": 1, "compared": 1, "repeated": 0, "left_out": 0}
    wait_for(lambda: "canary 2 of" in s.view["guardrails"][0].get("reason", ""), "they are compared")


def test_outcomes_that_the_log_cannot_take_are_not_counted(shop):
    s = shop(guardrails=PATIENT).start()
    mark = s.send(10)["s"][0]
    with sqlite3.connect(s.proxy.path("state/weir.db"), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert refused(s.one(exposure=mark, id="1")) == (503, "audit_unavailable")
        db.execute("ROLLBACK")
    assert s.one(exposure=mark, id="1")[1]["counted"] == 1


def test_outcomes_of_another_revision_are_left_out(shop):
    s = shop().start()
    marks = s.send(4)
    s.proxy.config["rollouts"]["sale"]["revision"] = "2"
    s.proxy.write_config()
    assert s.proxy.admin("POST", "/api/v1/reload", {"reason": "2"})[0] == 200
    s.start()
    assert s.sell(marks["s"] + marks["c"]) == {"counted": 0, "compared": 0, "repeated": 0, "left_out": 4}


# ---- without a mark ----------------------------------------------------------------------------------------------------


def now(ahead_s=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead_s))


def test_a_side_and_a_time_do_where_the_share_was_one(shop):
    s = shop(guardrails=PATIENT).start()
    s.send(20)
    early = {"rollout": "sale", "upstream": "c", "at": now(-3600)}
    assert s.one(**early)[1]["left_out"] == 1, "another share was in force"
    wait_for(lambda: s.one(rollout="sale", upstream="c", at=now())[1]["counted"] == 1, "its weight is a second old")
    assert s.one(route="shop", upstream="s", at=now(), count=3)[1]["compared"] == 3


def test_what_is_wrong_is_said(shop):
    s = shop().start()
    [mark, *_] = s.send(4)["c"]
    cases = {
        (400, "bad_exposure"): {"exposure": mark[:-9]},
        (404, "no_rollout"): {"rollout": "other", "upstream": "c", "at": now()},
        (400, "no_event"): {"exposure": mark, "event": "signup"},
        (400, "not_of_pair"): {"rollout": "sale", "upstream": "x", "at": now()},
        (400, "in_the_future"): {"rollout": "sale", "upstream": "c", "at": now(3600)},
        (400, "at_missing"): {"rollout": "sale", "upstream": "c"},
        (400, "bad_outcome"): {"exposure": mark, "count": 0},
        (400, "reason_missing"): {"exposure": mark, "reason": " "},
    }
    assert {wanted: refused(s.one(**fields)) for wanted, fields in cases.items()} == {wanted: wanted for wanted in cases}
    assert refused(s.tell(*[{"event": "purchase", "exposure": mark}] * 1001)) == (413, "too_many")
    good, bad = {"event": "purchase", "exposure": mark}, {"event": "purchase"}
    status, answer = s.tell(good, bad)
    assert status == 400 and answer["error"]["message"].startswith("outcome 2:"), answer
    assert s.proxy.metric("weir_outcomes_total") == 0, "all of a call or none"


def test_one_outcome_a_line(shop):
    s = shop().start()
    marks = s.send(6)
    lines = "\n".join(json.dumps({"event": "purchase", "exposure": mark}) for mark in marks["s"] + marks["c"])
    path, kind = "/api/v1/outcomes?reason=lines", {"Content-Type": "application/x-ndjson"}
    assert s.proxy.admin("POST", path, lines.encode(), kind)[1]["counted"] == 6
    status, answer = s.proxy.admin("POST", path, b'{"event": "purchase"\n', kind)
    assert status == 400 and "outcome 1" in answer["error"]["message"]


# ---- objectives --------------------------------------------------------------------------------------------------------

OBJECTIVES = {
    "shop": {"route": "shop", "availability": "99%"},
    "quick": {"route": "shop", "availability": "90%", "latency": {"below": "1h", "for": "99%"}, "window": "1h"},
    "idle": {"route": "other", "availability": "99.9%"},
}


def ctl(proxy, *words):
    return subprocess.run([WEIR, "ctl", "--admin", f"unix:{proxy.admin_path}", *words], capture_output=True, text=True, check=True).stdout


def slos(proxy):
    status, answer = proxy.admin("GET", "/api/v1/slos")
    assert status == 200, answer
    return {slo["name"]: slo for slo in answer["slos"]}


def test_budgets_burn_and_what_is_left_outlives_the_process(make_origin, start):
    origin = make_origin(reply(b"ok"))
    proxy = start(
        upstreams={"s": {"endpoints": [origin]}},
        routes=[{"name": "other", "match": {"path": {"prefix": "/other"}}, "to": "s"}, {"name": "shop", "to": "s"}],
        slos=OBJECTIVES,
    )
    client = proxy.client()
    assert proxy.metric("weir_slo_budget_remaining_ratio", slo="shop") == 1
    for status in ["200 OK"] * 190 + ["404 Not Found"] * 5 + ["503 Service Unavailable"] * 5:
        origin.answer = reply(b"", status=status)
        client.get("/")
    for window in ("5m", "30m", "1h", "6h", "3d"):
        assert proxy.metric("weir_slo_burn_rate", slo="shop", window=window) == pytest.approx(2.5), "2.5 % of 1 %"
    assert proxy.metric("weir_slo_budget_remaining_ratio", slo="shop") == pytest.approx(-1.5)
    assert proxy.metric("weir_slo_budget_remaining_ratio", slo="quick") == pytest.approx(0.75)
    assert proxy.metric("weir_slo_budget_remaining_ratio", slo="idle") == 1
    seen = slos(proxy)
    assert (seen["shop"]["requests"], seen["shop"]["errors"], seen["quick"]["slow"]) == (200, 5, 0)
    assert seen["quick"]["burn_rate"]["6h"] is None and seen["quick"]["judged_by"] == "availability"
    table = ctl(proxy, "slos")
    assert "99 % answered" in table and "-150.0 %" in table and "99 % in 1h 00m" in table, table
    proxy.close_clients()
    proxy.stop()
    proxy.start()
    again = slos(proxy)["shop"]
    assert (again["requests"], again["errors"], again["budget_remaining"]) == (200, 5, pytest.approx(-1.5))
    assert proxy.client().get("/").status == 503
    assert slos(proxy)["shop"]["errors"] == 6
