# e2e/test_incidents.py - what is told of a breach: to people as it happens, and later to who looks it up.
import json
import subprocess
import threading

import pytest

from harness import WEIR, Releases, wait_for
from harness.releases import answers

LONG = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
GUARDRAILS = [{"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}]
BAD = answers(b"boom", status="500 Internal Server Error")
FACTS = {"rollout", "route", "stable", "canary", "revision", "state", "step", "weight", "from", "to", "cause", "text", "who"}


class Receiver:
    """A webhook or an Alertmanager: keeps what it is sent, and says in turn what `says` has; the last one repeats."""

    def __init__(self, make_origin, *says):
        self.got, self.says, self.origin = [], list(says), make_origin()
        self.origin.answer = self.answer
        self.url = f"http://{self.origin.address}"

    def answer(self, connection, request):
        self.got.append((request.target, json.loads(connection.body(request))))
        return connection.play([self.says.pop(0) if len(self.says) > 1 else self.says[0]])

    def of(self, cause):
        """Notices, or alerts, of that cause."""
        flat = [note[0] if isinstance(note, list) else note for _, note in self.got]
        return [note for note in flat if note.get("annotations", note)["cause"] == cause]


@pytest.fixture
def told(make_origin, start):
    """A release with three who are told: one answers at the second try, one holds its answer back, one is an Alertmanager."""
    held = threading.Event()
    busy = Receiver(make_origin, answers(b"later", status="503 Service Unavailable"), answers(b"ok"))
    slow, alerts = Receiver(make_origin, held, answers(b"ok")), Receiver(make_origin, answers(b"ok"))
    stern = Receiver(make_origin, answers(b"no", status="400 Bad Request"))
    r = Releases(
        make_origin, start, {"shop": {"steps": LONG, "guardrails": GUARDRAILS, "notify": ["ops", "slow", "stern"]}},
        notify={"ops": {"webhook": f"{busy.url}/hook", "alertmanager": alerts.url}, "slow": {"webhook": slow.url},
                "stern": {"webhook": stern.url}},
    )
    yield r, busy, slow, alerts, stern, held
    held.set()


def test_an_incident_tells_everything(told):
    r, busy, slow, alerts, stern, held = told
    busy.says = [answers(b"ok")]
    r.climb("shop", 0.5)
    r.send("shop", 20)
    wait_for(lambda: busy.of("started") and slow.got, "the start was told, to one that holds its answer back")
    busy.says = [answers(b"later", status="503 Service Unavailable"), answers(b"ok")]
    r.canary["shop"].answer = BAD
    r.send_until("shop", "rolled_back")
    r.expect_no_exposure("shop")
    incident = r.incident("shop")
    assert not held.is_set(), "nobody waited for who holds its answer back"
    assert incident["time_to_detect_ms"] >= 0 and incident["time_to_zero_exposure_ms"] >= 0
    evidence = incident["evidence"]
    assert 1 <= evidence["canary_requests_to_detect"] <= evidence["canary_requests"]
    assert incident["cause"] == evidence["reason"] and incident["revision"] == "1"

    def ends():
        return {(t["target"], t["kind"]): (t["was_told"], t["result"], t["tries"]) for t in r.incident("shop")["told"] if t["of"] == "breach"}

    held.set()
    wait_for(lambda: len(ends()) == 4, lambda: (r.incidents("shop"), busy.got, stern.got))
    assert ends() == {
        ("ops", "webhook"): (True, "answered 200", 2), ("ops", "alertmanager"): (True, "answered 200", 1),
        ("slow", "webhook"): (True, "answered 200", 1), ("stern", "webhook"): (False, "answered 400", 1),
    }
    assert len(busy.of("breach")) == 2 and busy.of("breach")[0] == busy.of("breach")[1], "the same notice again"
    incident = r.incident("shop")
    assert [t["at"] for t in incident["timeline"]] == sorted(t["at"] for t in incident["timeline"])
    lines = [t["what"] for t in incident["timeline"]]
    where = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in (
        "holding, the canary with 50 %: started", "guardrail error_rate", "rolling_back, the canary with 0 %: breach",
        "no exposure in any worker", "rolled_back, the canary with 0 %: in_force")]
    assert where == sorted(where), lines
    assert "stern by webhook was not told of breach: answered 400" in lines
    assert r.proxy.admin("GET", f"/api/v1/incidents/{incident['id']}") == (200, {"incident": incident})
    assert r.proxy.admin("GET", "/api/v1/incidents/none")[0] == 404
    said = subprocess.run([WEIR, "ctl", "incidents", incident["id"], "--state-dir", r.proxy.path("state")],
                          capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and "no exposure in any worker" in said.stdout and "was breached" in said.stdout, said
    assert r.proxy.admin("GET", "/api/v1/audit/verify")[1]["ok"]


def test_what_is_sent(told):
    r, busy, _, alerts, _, held = told
    held.set()
    busy.says = [answers(b"ok")]
    r.climb("shop", 0.5)
    r.canary["shop"].answer = BAD
    r.send_until("shop", "rolled_back")
    wait_for(lambda: busy.of("in_force") and alerts.of("in_force"), lambda: (busy.got, alerts.got))
    assert {path for path, _ in busy.got} == {"/hook"} and {path for path, _ in alerts.got} == {"/api/v2/alerts"}
    notice = busy.of("breach")[0]
    assert set(notice) == FACTS and (notice["from"], notice["to"], notice["who"]) == ("holding", "rolling_back", "weir"), notice
    assert set(busy.of("started")[0]) == FACTS | {"reason"}
    labels = [note[0]["labels"] for _, note in alerts.got]
    assert all(l == {"alertname": "WeirRollout", "severity": "critical", "rollout": "shop", "route": "shop"} for l in labels), "one alert a rollout: the same labels"
    assert "startsAt" in alerts.of("breach")[0] and "endsAt" not in alerts.of("breach")[0]
    assert "endsAt" in alerts.of("started")[0], "nothing is wrong"


def test_an_incident_goes_with_an_export(told, tmp_path):
    r, _, _, _, _, held = told
    held.set()
    r.climb("shop", 0.5)
    r.canary["shop"].answer = BAD
    r.send_until("shop", "rolled_back")
    r.incident("shop")
    wait_for(lambda: len(r.incident("shop")["told"]) == 8, lambda: r.incidents("shop"))
    incident = r.incident("shop")
    exported = subprocess.run([WEIR, "ctl", "export", "--state-dir", r.proxy.path("state")], capture_output=True, timeout=60)
    state = tmp_path / "other"
    state.mkdir(mode=0o700)
    done = subprocess.run([WEIR, "ctl", "import", "-", "--state-dir", state], input=exported.stdout, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    again = subprocess.run([WEIR, "ctl", "export", "--state-dir", state], capture_output=True, timeout=60)
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    row = next(row for row in rows if incident["id"] in row.values() or incident["id"] in row.get("row", {}).values())
    row = row.get("row", row)
    assert (json.loads(row["told"]), json.loads(row["timeline"])) == (incident["told"], incident["timeline"])
