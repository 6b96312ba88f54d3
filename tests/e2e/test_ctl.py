# e2e/test_ctl.py - what `weir ctl` sends and how it shows what comes back, against a scripted admin API.
import http.server
import json
import os
import re
import socket
import subprocess
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))


class Api:
    """An admin API that answers everything with what the test put in, and keeps what it was asked."""

    def __init__(self):
        self.status, self.body, self.headers, self.asked = 200, "{}", {}, []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                api.asked.append((self.command, self.path, json.loads(body) if body else None, self.headers))
                data = api.body.encode()
                self.send_response(api.status)
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ctl(self, *words, **more):
        environment = dict(os.environ, **more.pop("env", {}))
        return subprocess.run(
            [WEIR, "ctl", "--admin", self.url, *words], capture_output=True, text=True, timeout=60, env=environment
        )

    def asked_for(self):
        method, path, body, _ = self.asked[-1]
        return method, path, body


@pytest.fixture(name="api")
def fixture_api():
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


def route(**more):
    one = {
        "name": "shop", "match": "host shop.example.com", "action": "forward", "overridden": True, "owner": "team-a",
        "split": [
            {"upstream": "stable", "weight": 1, "file_weight": 95},
            {"upstream": "canary", "weight": 2, "file_weight": 5},
        ],
    }
    return {**one, **more}


# ---- what is sent ------------------------------------------------------------------------------------------------------


def test_split_puts_the_weights_with_the_reason(api):
    api.body = json.dumps({"route": route()})
    done = api.ctl("split", "shop/a b", "stable=95", "can=ary=5", "--reason", 'say "so"\n')
    assert done.returncode == 0, done.stderr
    assert api.asked_for() == (
        "PUT", "/api/v1/routes/shop%2Fa%20b/split",
        {"reason": 'say "so"\n', "weights": {"stable": 95, "can=ary": 5}},
    )
    assert done.stdout == "shop/a b: stable 33.33%, canary 66.67%\n"


def test_split_reset_deletes(api):
    api.body = json.dumps({"route": route(overridden=False)})
    done = api.ctl("split", "shop", "--reset", "--reason", "enough")
    assert api.asked_for() == ("DELETE", "/api/v1/routes/shop/split", {"reason": "enough"})
    assert done.stdout == "shop: stable 33.33%, canary 66.67%, as in the file\n"


def test_every_other_command_asks_the_right_thing(api):
    reason = "weir ctl, no reason given"
    expected = {
        ("status",): ("GET", "/api/v1/status", None),
        ("routes",): ("GET", "/api/v1/routes", None),
        ("upstreams",): ("GET", "/api/v1/upstreams", None),
        ("hygiene",): ("GET", "/api/v1/hygiene", None),
        ("audit",): ("GET", "/api/v1/audit", None),
        ("audit", "--verify"): ("GET", "/api/v1/audit/verify", None),
        ("events",): ("GET", "/api/v1/events?follow=false", None),
        ("events", "--follow"): ("GET", "/api/v1/events", None),
        ("incidents",): ("GET", "/api/v1/incidents", None),
        ("incidents", "v2-1"): ("GET", "/api/v1/incidents/v2-1", None),
        ("config", "versions"): ("GET", "/api/v1/config/versions", None),
        ("config", "diff", "3", "5"): ("GET", "/api/v1/config/versions?diff=3..5", None),
        ("config", "restore", "3", "--reason", "bad day"):
            ("POST", "/api/v1/config/versions/3/restore", {"reason": "bad day"}),
        ("shadow", "a b"): ("GET", "/api/v1/shadow/a%20b", None),
        ("shadow", "shop", "diffs"): ("GET", "/api/v1/shadow/shop/diffs", None),
        ("reload",): ("POST", "/api/v1/reload", {"reason": reason}),
        ("reload", "--reason", "new"): ("POST", "/api/v1/reload", {"reason": "new"}),
        ("drain",): ("POST", "/api/v1/drain", {"reason": reason}),
    }
    for words, asked in expected.items():
        api.ctl(*words)
        assert api.asked_for() == asked, words


def test_the_token_is_sent_and_goes_nowhere_else(api, tmp_path):
    token = tmp_path / "token"
    token.write_text("  s3cret \nsecond line\n")
    other = Api()
    try:
        api.status, api.headers = 307, {"Location": other.url + "/api/v1/status"}
        done = api.ctl("--token-file", str(token), "status", env={"http_proxy": other.url, "ALL_PROXY": other.url})
        assert done.returncode == 1
        assert api.asked[-1][3]["Authorization"] == "Bearer s3cret"
        assert other.asked == []
    finally:
        other.server.shutdown()
        other.server.server_close()


def test_an_empty_token_file_is_refused(api, tmp_path):
    token = tmp_path / "token"
    token.write_text("\n")
    done = api.ctl("--token-file", str(token), "status")
    assert done.returncode == 1 and "the first line is not a token" in done.stderr
    assert api.asked == []


# ---- what is shown -----------------------------------------------------------------------------------------------------


def test_routes_are_a_table(api):
    api.body = json.dumps({"routes": [
        route(),
        route(name="old", match="any request", action="redirect", split=[], overridden=False, owner=None),
        *(route(name=name, overridden=False, split=[{"upstream": "a", "weight": 7, "file_weight": file},
                                                    {"upstream": "b", "weight": 3, "file_weight": 100 - file}])
          for name, file in (("released", 100), ("same", 70))),
    ]})
    lines = api.ctl("routes").stdout.splitlines()
    assert [re.split(" {2,}", line) for line in lines] == [
        ["route", "match", "goes to", "weights", "owner"],
        ["shop", "host shop.example.com", "stable 33.33%, canary 66.67%", "overridden", "team-a"],
        ["old", "any request", "redirect", "file", "-"],
        ["released", "host shop.example.com", "a 70%, b 30%", "rollout", "team-a"],
        ["same", "host shop.example.com", "a 70%, b 30%", "file", "team-a"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("weights", "overridden", "file"))}) == 1


def test_what_a_server_says_cannot_steer_the_terminal(api):
    api.body = json.dumps({"routes": [route(name="a\u001b[2Jb\u0007")]})
    assert "a?[2Jb?" in api.ctl("routes").stdout
    api.status, api.body = 409, json.dumps({"error": {"code": "x", "message": "no\u001b[31m"}})
    assert "no?[31m" in api.ctl("routes").stderr


def test_json_is_passed_through(api):
    api.body = '{"routes":[ ],"x":1.50}'
    done = api.ctl("routes", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"routes":[ ],"x":1.50}\n', "")
    api.status, api.body = 404, '{"error":{"code":"no_such_route","message":"m"}}\n'
    done = api.ctl("--json", "split", "x", "a=1", "--reason", "r")
    assert (done.returncode, done.stdout, done.stderr) == (1, api.body, "")


def test_an_error_of_the_api_is_its_message_and_status_1(api):
    api.status, api.body = 403, json.dumps({"error": {"code": "forbidden", "message": "drain needs role operator"}})
    done = api.ctl("drain")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "weir ctl drain: drain needs role operator\n"


def test_a_rejected_reload_prints_every_problem(api):
    problems = ["weir.yaml:3:1: unknown key 'listners' (did you mean 'listeners'?)", "weir.yaml:9:4: no upstream 'x'"]
    api.status = 422
    api.body = json.dumps({"error": {"code": "config_rejected", "message": "nothing was changed", "problems": problems}})
    done = api.ctl("reload")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["weir ctl reload: nothing was changed", *problems]


def test_a_reload_says_what_it_did_and_its_warnings(api):
    api.body = json.dumps({"result": "applied", "generation": 4, "problems": ["a:1:1: warning: w"]})
    done = api.ctl("reload")
    assert (done.returncode, done.stdout) == (0, "applied: generation 4\na:1:1: warning: w\n")


def test_a_broken_audit_chain_is_status_1_with_and_without_json(api):
    api.body = json.dumps({"ok": False, "checked": 7, "bad_id": 5, "why": "the hash does not fit"})
    done = api.ctl("audit", "--verify")
    assert (done.returncode, done.stdout) == (1, "broken: at line 5: the hash does not fit\n")
    assert api.ctl("audit", "--verify", "--json").returncode == 1
    api.body = json.dumps({"ok": True, "checked": 7, "newest_hash": "ab" * 32})
    done = api.ctl("audit", "--verify")
    assert (done.returncode, done.stdout) == (0, f"whole: 7 lines, newest hash {'ab' * 32}\n")


def test_audit_lines_and_versions_are_tables(api):
    line = {"id": 3, "at": "T1", "who": "unix:root", "action": "split", "target": "shop", "reason": "try it"}
    api.body = json.dumps({"lines": [line]})
    assert [re.split(" {2,}", text) for text in api.ctl("audit").stdout.splitlines()] == [
        ["id", "at", "who", "action", "target", "reason"], [" 3", "T1", "unix:root", "split", "shop", "try it"],
    ]
    version = {"generation": 2, "at": "T2", "by": "file", "source": "watch", "digest": "ab", "current": True}
    api.body = json.dumps({"versions": [version]})
    assert [re.split(" {2,}", text.strip()) for text in api.ctl("config", "versions").stdout.splitlines()] == [
        ["generation", "applied", "by", "source", "digest"], ["2", "T2", "file", "watch", "ab", "in force"],
    ]


def test_a_drill_is_a_table_and_below_it_what_each_guardrail_saw_in_lines_that_fit(api):
    guardrails = [{"step": 1, "weight": 0.05, "name": "errors", "fault": "error", "result": "fired", "planned_ms": 120, "detect_ms": 694.2,
                   "is_late": True, "requests": 24, "rollback_ms": 9.0, "reason": "errors: " + "canary 5 of 7 requests, " * 5 + "2134 of 100"},
                  {"step": 3, "weight": 1, "name": "slow", "fault": "latency", "result": "silent", "detect_ms": None, "requests": 900,
                   "rollback_ms": None, "reason": "", "why": "too little traffic: " + "it looks at 200 or more " * 5}]
    api.body = json.dumps({"drill": {"rollout": "shop", "state": "failed", "begun_at": "T1", "who": "ci", "detail": {"guardrails": guardrails}}})
    done = api.ctl("drill", "shop", "--last")
    lines = done.stdout.splitlines()
    assert done.returncode == 3 and lines[0] == "shop: drill failed, begun T1 by ci"
    assert [re.split(" {2,}", line.strip()) for line in lines[1:4]] == [
        ["step", "weight", "guardrail", "fault", "result", "planned", "noticed", "requests", "weight 0"],
        ["1", "5%", "errors", "error", "fired, late", "120ms", "694ms", "24", "9ms"], ["3", "100%", "slow", "latency", "silent", "-", "-", "900", "-"],
    ]
    assert lines[4].startswith("    errors: canary") and lines[5].endswith("2134 of 100") and max(map(len, lines)) <= 100
    assert lines[6].startswith("    slow at 100%, silent: too little traffic: it looks at 200 or more")


def test_a_plan_without_traffic_never_ends_and_lists_no_guardrail(api):
    steps = [{"kind": "weight", "earliest": "T1", "weight": 0.2, "is_slowed_by_requests": True,
              "notices": [{"guardrail": "errors", "is_all_bad": True, "seconds": None}]},
             {"kind": "weight", "earliest": None, "waits_for": "never", "weight": 1, "lasts_ms": 0}]
    traffic = {"requests_per_s": 0, "error_rate": 0, "measured_s": 2}
    api.body = json.dumps({"plan": {"name": "shop", "traffic": traffic, "ends_at": None, "steps": steps}})
    assert api.ctl("rollout", "shop", "plan").stdout.splitlines()[1:] == [
        "  T1  20% for ever: its min_requests never come", "  never  100%", "  never  the end",
        "Without traffic no guardrail notices anything.",
    ]


def test_incidents_are_told_in_full_and_events_are_lines(api):
    incident = {"detected_at": "T1", "rollout": "checkout-v2", "revision": "2.4.1", "guardrail": "error_rate",
                "cause": "4.1 % errors", "time_to_detect_ms": 840, "time_to_zero_exposure_ms": None, "id": "v2-1"}
    api.body = json.dumps({"incidents": [incident]})
    assert api.ctl("incidents").stdout.splitlines() == [
        "T1  checkout-v2 2.4.1  error_rate  v2-1", "    detected in 840ms, exposure 0 in -", "    4.1 % errors",
    ]
    incident |= {"evidence": {"canary_requests_to_detect": 7}, "timeline": [{"at": "T0", "what": "began"}, {"at": "T1", "what": "was bad"}]}
    api.body = json.dumps({"incident": incident})
    assert [line.strip() for line in api.ctl("incidents", "v2-1").stdout.splitlines()] == [
        "checkout-v2 2.4.1: error_rate was breached", "at               T1", "because          4.1 % errors",
        "detected in      840ms, 7 requests of the canary", "exposure 0 in    -", "T0  began", "T1  was bad",
    ]
    events = [{"at": f"T{number}", "kind": "deploy", "subject": subject, "text": "out", "who": "ci"}
              for number, subject in ((2, "v2"), (1, ""))]
    api.body = json.dumps({"events": events})
    assert api.ctl("events").stdout == "T1  deploy  out  (ci)\nT2  deploy  v2  out  (ci)\n"


STEPS = [
    {"weight": 0.1, "hold_ms": 600000, "min_requests": 500, "requires_proof": True},
    {"approve": 2, "approvers": ["ann", "ben"], "allow_starter": False},
    {"webhook": "http://gate", "timeout_ms": 300000},
    {"weight": 1.0, "hold_ms": 0, "min_requests": 0, "requires_proof": False},
]
CLOSED = {"is_open": False, "why": "outside of the windows", "opens_at": "2999-01-01T00:00:00.000Z"}
STANDS = {  # what is known, and what is next
    "pending": ({"step": 0}, "weir ctl rollout shop start --reason TEXT (first: weir ctl rollout shop plan)", "start"),
    "running": ({"calendar": CLOSED}, "the next step waits for outside of the windows; opens at 2999-01-01T00:00:00.000Z, in ", "window"),
    "holding": ({"hold_left_ms": 200000}, "the hold ends in 3m 20s; sooner by: weir ctl rollout shop promote --reason TEXT", "3m 20s"),
    "holding for requests": ({}, "the hold is over; it waits for requests: the canary had 37 of 500", "requests"),
    "holding for proof": ({"requests": {"at_step": 500}}, "the hold is over; it waits for proof that the canary is not worse", "guardrails"),
    "awaiting_approval": (
        {"step": 2, "approvals": ["ann"]},
        "1 more to approve (1 of 2 have: ann): ann, ben, not eve who has started it; weir ctl rollout shop approve --reason TEXT", "1 to approve",
    ),
    "awaiting_webhook": ({"step": 3, "hold_left_ms": 61000}, "the webhook has to say yes within 1m 01s, or the release fails", "1m 01s"),
    "awaiting_webhook that says no": (
        {"step": 3, "hold_left_ms": 61000, "gate": {"step": 3, "asked": 2, "failures_in_a_row": 2, "status": 503, "answered_at": "T1", "next_ask_ms": 9000}},
        "the webhook has to say yes within 1m 01s, or the release fails", "1m 01s, gate: 503",
    ),
    "awaiting_webhook that says nothing": (
        {"step": 3, "hold_left_ms": 61000, "gate": {"step": 3, "asked": 1, "failures_in_a_row": 1, "error": "late", "answered_at": "T1", "is_asked_now": True}},
        "the webhook has to say yes within 1m 01s, or the release fails", "1m 01s, gate fails",
    ),
    "paused": ({"hold_left_ms": 4000}, "weir ctl rollout shop resume --reason TEXT, with 4s left, or rollback", "resume"),
    "baking": ({"step": 4, "hold_left_ms": 3660000}, "it has succeeded in 1h 01m; until then the guardrails may take it back", "1h 01m"),
    "succeeded": ({"step": 4, "hold_left_ms": 5}, "nothing; the next release has a new revision in the configuration", "-"),
    "rolling_back": ({"is_in_force": False}, "weight 0 is not in force in every worker yet", "-"),
    "rolled_back": ({}, "a new revision in the configuration, then: weir ctl rollout shop start --reason TEXT", "revision"),
    "failed": ({}, "a new revision in the configuration, then: weir ctl rollout shop start --reason TEXT", "revision"),
}


@pytest.mark.parametrize("case", STANDS)
def test_a_rollout_says_what_is_next(api, case):
    facts, wanted, waits = STANDS[case]
    reason = "error_rate_ratio: canary 9 of 37 requests, stable 1 of 340; evidence for more than 1.5 times stable's: 37 of 100"
    rollout = {
        "name": "shop", "revision": "2.4.1", "state": case.split()[0], "stable": "v1", "canary": "v2", "step": 1, "weight": 0.1,
        "started_by": "eve", "steps": STEPS, "requests": {"stable": 340, "canary": 37, "at_step": 37}, "calendar": {"is_open": True},
        "guardrails": [{"name": "error_rate_ratio", "verdict": "undecided", "progress": 0.78, "reason": reason}],
        "history": [{"at": "T1", "from": "pending", "to": "holding", "who": "eve", "reason": "release 2.4.1"}], **facts,
    }
    api.body = json.dumps({"rollout": rollout})
    said = api.ctl("rollout", "shop").stdout
    assert max(map(len, said.splitlines())) <= 100, said
    flat = re.sub(r"\s+", " ", said)
    late = "" if rollout.get("is_in_force", True) else ", not in every worker yet"
    assert said.startswith(f"shop 2.4.1: {case.split()[0]}, v2 has 10% of what it shares with v1{late}\n  next        ")
    assert f"next {wanted}" in flat and f" undecided 78% {reason} " in flat
    assert flat.endswith("history T1 pending -> holding by eve: release 2.4.1 "), flat
    gates = {503: "gate step 3, asked 2 times: status 503, at T1; asked again in 9s", None: "gate step 3, asked 1 time: late, at T1; it is being asked"}
    assert "gate" not in rollout or f" {gates[rollout['gate'].get('status')]} history" in flat, flat
    step = rollout["step"]
    assert re.findall(r"> (\d)", said) == ([str(step)] if step else []), said
    api.body = json.dumps({"rollouts": [rollout]})
    assert re.split(" {2,}", api.ctl("rollouts").stdout.splitlines()[1])[6] == waits


def test_a_stream_that_ends_is_status_1_and_what_came_before_is_printed(api):
    api.body = 'id: 1\nevent: deploy\ndata: {"at": "T1", "kind": "deploy", "text": "out", "who": "ci"}\n\n: \n\ndata: {"half'
    done = api.ctl("events", "--follow")
    assert (done.returncode, done.stdout) == (1, "T1  deploy  out  (ci)\n")
    assert "has ended" in done.stderr
    api.status, api.body = 403, json.dumps({"error": {"code": "forbidden", "message": "not you"}})
    done = api.ctl("events", "--follow")
    assert (done.returncode, done.stdout) == (1, "") and "not you" in done.stderr


@pytest.mark.once
def test_an_endpoint_is_unhealthy_before_it_fails_a_monitor(api):
    def monitor(name, **verdicts):
        return {"name": name, "verdict": "bad", "failures_in_a_row": 2, "endpoints": [
            {"address": address, "verdict": verdict, "complaint": "status 500" if verdict == "bad" else None} for address, verdict in verdicts.items()]}
    endpoints = [{"address": address, "weight": 1, "healthy": healthy} for address, healthy in zip("abcde", (True, True, False, None, None))]
    monitors = [monitor("home", a="good", b="good", c="bad", d="unknown", e="bad"), monitor("cart", b="bad")]
    api.body = json.dumps({"upstreams": [{"name": "v1", "endpoints": endpoints, "connections": {}, "monitors": monitors}]})
    lines = api.ctl("upstreams").stdout.splitlines()
    assert [re.split(" {2,}", line[8:].strip())[2] for line in lines[1:6]] == ["healthy", "fails cart", "unhealthy", "unknown", "fails home"], lines
    assert lines[6:] == ["monitor home: v1 c: status 500 (2 in a row)", "monitor home: v1 e: status 500 (2 in a row)",
                         "monitor cart: v1 b: status 500 (2 in a row)"]


@pytest.mark.once
def test_causes_are_sentences_and_words_in_json(api):
    def moved(who, reason):
        return {"at": "T1", "from": "holding", "to": "baking", "who": who, "reason": reason}
    reasons = [("weir", "hold_over"), ("weir", "webhook_passed: status 200"), ("weir", "errors: canary 5 of 25"), ("ann", "opened")]
    api.body = json.dumps({"rollout": {"name": "shop", "state": "baking", "history": [moved(*one) for one in reasons]}})
    said = [line.split(" by ")[1] for line in api.ctl("rollout", "shop").stdout.splitlines() if " -> baking" in line]
    assert said == ["weir: the hold is over", "weir: the webhook said yes: status 200", "weir: errors: canary 5 of 25", "ann: opened"]
    assert [one["reason"] for one in json.loads(api.ctl("rollout", "shop", "--json").stdout)["rollout"]["history"]][0] == "hold_over"
    lines = ["rolled_back, the canary with 0 %: in_force", "evidence against the canary begins to grow", "error_rate: in 60 s"]
    api.body = json.dumps({"incident": {"rollout": "shop", "timeline": [{"at": "T1", "what": line} for line in lines]}})
    said = [line.split("  T1  ")[1] for line in api.ctl("incidents", "1").stdout.splitlines() if "  T1  " in line]
    assert said == ["rolled_back, the canary with 0 %: the weight is in force in every worker", *lines[1:]]


@pytest.mark.once
def test_who_is_not_known_is_told_of_the_token_file(api):
    api.status, api.body = 401, json.dumps({"error": {"code": "unauthenticated", "message": "a token is needed"}})
    done = api.ctl("routes")
    assert (done.returncode, done.stdout) == (1, "") and "a token is needed" in done.stderr and "Use --token-file FILE: " in done.stderr
    done = subprocess.run([WEIR, "top", "--admin", api.url, "--once"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "") and "answers with status 401; use --token-file FILE: " in done.stderr, done.stderr
    assert "Is weir running there?" not in done.stderr


def test_findings_of_hygiene_are_a_table(api):
    api.body = json.dumps({"findings": []})
    assert api.ctl("hygiene").stdout == "nothing has expired, and everything has an owner\n"
    finding = {"what": "rule", "name": "shop/testers", "problem": "expired", "owner": "team-a", "place": "w.yaml:3:4"}
    api.body = json.dumps({"findings": [finding]})
    assert api.ctl("hygiene").stdout.splitlines()[1].split() == list(finding.values())


def test_a_diff_is_printed_line_by_line(api):
    api.body = json.dumps({"from": 1, "to": 2, "diff": "@@ -1 +1 @@\n-a\n+b\n"})
    assert api.ctl("config", "diff", "1", "2").stdout == "@@ -1 +1 @@\n-a\n+b\n"


def test_health_that_nobody_asked_for_is_unknown(api):
    endpoints = [{"address": "a:1", "weight": 1, "healthy": None}, {"address": "b:1", "weight": 2, "healthy": False}]
    api.body = json.dumps({"upstreams": [{
        "name": "u", "endpoints": endpoints, "connections": {"active": 3, "idle": 2, "pending": 1},
    }]})
    assert [line.split() for line in api.ctl("upstreams").stdout.splitlines()[1:]] == [
        ["u", "a:1", "1", "unknown", "3", "active,", "2", "idle,", "1", "pending"],
        ["b:1", "2", "unhealthy"],
    ]


# ---- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "[]", "{}", "<html>", '{"routes":3}', '{"routes":[],"routes":[]}'])
def test_an_answer_that_is_none_is_an_error(api, body):
    api.body = body
    done = api.ctl("routes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the answer is not what this version of weir knows" in done.stderr


def test_an_error_without_a_message_names_the_status(api):
    api.status, api.body = 500, "oops"
    done = api.ctl("routes")
    assert done.returncode == 1 and "status 500" in done.stderr


def test_a_silent_server_is_left_after_the_timeout():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = subprocess.run(
            [WEIR, "ctl", "--admin", f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "200ms", "status"],
            capture_output=True, text=True, timeout=30,
        )
    assert done.returncode == 1
    assert re.search(r"could not reach http://127\.0\.0\.1:\d+: .*timed out", done.stderr)


def test_a_refused_connection_has_a_hint():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = subprocess.run([WEIR, "ctl", "--admin", url, "status"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == (
        f"weir ctl status: could not reach {url}: Connection refused\n"
        "Is weir running there? --state-dir or --admin choose another instance.\n"
    )


# ---- shadow --------------------------------------------------------------------------------------------------------------


def compared(**more):
    latency = {"count": 40, "p50_ms": 1.25, "p90_ms": 2, "p99_ms": 3.5}
    one = {
        "upstream": "dark", "control": "twin", "since": "2026-01-02T03:04:05.000Z", "verdict": "different",
        "pairs": {"same": 1, "different": 36, "noise": 3, "checked": 40, "skipped": 2},
        "fields": [
            {"field": "$.price", "verdict": "different", "settled": True, "shadow_only": 36, "control_only": 0, "both": 0,
             "unchecked": 1, "evidence": 12345678, "evidence_needed": 600},
            {"field": "$.at", "verdict": "noise", "settled": False, "shadow_only": 3, "control_only": 0, "both": 0,
             "unchecked": 0, "evidence": 1.5, "evidence_needed": 200},
        ],
        "latency": {"primary": latency, "shadow": dict(latency, p99_ms=70), "control": latency},
    }
    return {**one, **more}


def test_shadow_shows_verdicts_with_their_evidence_and_latencies_side_by_side(api):
    api.body = json.dumps({"route": "shop", "compares_dropped": 7, "shadows": [compared()]})
    done = api.ctl("shadow", "shop")
    assert done.returncode == 0, done.stderr
    assert done.stdout == """\
shop to dark: different  (1 same, 36 different, 3 noise, 2 without an answer to compare)
noise is learnt from twin, since 2026-01-02T03:04:05.000Z
field    verdict             shadow alone  control alone  both  evidence
$.price  different                     37              0     0  1.23e+07 of 600
$.at     noise, not settled             3              0     0  1.5 of 200
latency  answers  p50 ms  p90 ms  p99 ms
primary       40     1.2     2.0     3.5
shadow        40     1.2     2.0    70.0
control       40     1.2     2.0     3.5
7 pairs of this process were not compared: they came too fast
"""


def test_shadow_without_a_control_or_a_comparison_says_so(api):
    fields = [{"field": "status", "verdict": "different", "settled": True, "shadow_only": 0, "control_only": 0, "both": 0,
               "unchecked": 4}]
    api.body = json.dumps({"route": "shop", "compares_dropped": 0, "shadows": [compared(control=None, fields=fields)]})
    done = api.ctl("shadow", "shop")
    assert "no control: what differs is different, since" in done.stdout
    assert "status  different             4              0     0  -\n" in done.stdout
    api.body = json.dumps({"route": "shop", "compares_dropped": 0, "shadows": []})
    assert api.ctl("shadow", "shop").stdout == "shop compares no shadow: add compare: to one of its shadows\n"


def a_diff():
    return {
        "at": "2026-01-02T03:04:05.000Z", "verdict": "different",
        "request": {"method": "GET", "host": "shop.example.com", "target": "/cart?x=1"},
        "primary": {"status": 200}, "shadow": {"status": 200}, "control": {"status": 200}, "difference_count": 9,
        "differences": [
            {"field": "$.items[*].price", "place": "$.items[3].price", "verdict": "different", "settled": True,
             "control_differs": False, "primary": "1", "shadow": "2", "control": "1"},
            {"field": "$.at (presence)", "place": "$.at", "verdict": "noise", "settled": False,
             "control_differs": True, "primary": "\u001b[31m", "shadow": None, "control": "5"},
        ],
    }


def test_shadow_diffs_look_like_a_diff_and_steer_no_terminal(api):
    api.body = json.dumps({"route": "shop", "compares_dropped": 0, "shadows": [{"upstream": "dark", "diffs": [a_diff()]}]})
    done = api.ctl("shadow", "shop", "diffs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == """\
2026-01-02T03:04:05.000Z GET shop.example.com/cart?x=1 to dark: different
@@ $.items[3].price  different
- primary  1
+ shadow   2
@@ $.at  noise, not settled
- primary  ?[31m
+ shadow   (absent)
~ control  5
and 7 more
"""
    api.body = json.dumps({"route": "shop", "compares_dropped": 0, "shadows": [{"upstream": "dark", "diffs": []}]})
    assert api.ctl("shadow", "shop", "diffs").stdout == "shop to dark: no pair that differs is kept\n"


def test_shadow_diffs_are_coloured_on_a_terminal_only(api):
    api.body = json.dumps({"route": "shop", "compares_dropped": 0, "shadows": [{"upstream": "dark", "diffs": [a_diff()]}]})
    master, slave = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    shown = b""
    with subprocess.Popen(
        [WEIR, "ctl", "--admin", api.url, "shadow", "shop", "diffs"], stdout=slave, env=dict(environment, TERM="xterm")
    ) as process:
        os.close(slave)
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:  # Linux says EIO when the other side is closed
            pass
        assert process.wait(60) == 0
    os.close(master)
    assert b"\x1b[31m- primary  1\x1b[0m" in shown
    assert b"\x1b[32m+ shadow   2\x1b[0m" in shown
    assert b"\x1b" not in api.ctl("shadow", "shop", "diffs").stdout.encode()


def test_shadow_takes_no_other_word(api):
    done = api.ctl("shadow", "shop", "diff")
    assert done.returncode == 2 and '"diff" is not diffs' in done.stderr
    assert api.asked == []
