# e2e/test_gates.py - what a webhook in front of a weight may answer, and what that does.
import re
import socket
import subprocess
import threading

from harness import DEADLINE_S, RESET, reply, wait_for
from harness.proxy import WEIR

# What the gate answers: what the log says of it, or None where it is a yes.
ANSWERS = {
    "ok": (reply(b"yes"), None),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", None),
    "absent": (reply(b"no", status="404 Not Found"), "it answered, status 404"),
    "broken": (reply(b"no", status="500 Internal Server Error"), "it answered, status 500"),
    "long": (reply(b"y" * 2_000_000), "the answer is too long"),
    "garbage": (b"\0\1\2 yes\r\n\r\n", ""),
    "reset": (RESET, ""),
}


def rollout(name, url):
    steps = [{"webhook": url, "timeout": "1h"}, {"weight": "10%", "hold": "1h"}, {"weight": "100%"}]
    return {"route": name, "stable": "s", "canary": "c", "revision": "1", "steps": steps,
            "guardrails": [{"metric": "error_rate", "max": "50%"}]}


def test_nothing_but_2xx_opens_a_gate(make_origin, start):
    elsewhere, stable, canary = (make_origin(reply(body)) for body in (b"yes", b"stable", b"canary"))
    table = dict(ANSWERS)
    table["moved"] = (reply(b"", f"Location: http://{elsewhere.address}/", status="302 Found"), "it answered, status 302")
    gates = {name: make_origin(says) for name, (says, _) in table.items()}
    urls = {name: f"http://{gate.address}/" for name, gate in gates.items()}
    said = {name: log for name, (_, log) in table.items()}
    with socket.socket() as deaf:  # bound, and nobody listens: a connection is refused for as long as it is held
        deaf.bind(("127.0.0.1", 0))
        urls["refused"], said["refused"] = f"http://127.0.0.1:{deaf.getsockname()[1]}/", ""
        proxy = start(
            upstreams={"s": {"endpoints": [stable]}, "c": {"endpoints": [canary]}},
            routes=[{"name": name, "match": {"path": {"exact": f"/{name}"}}, "split": {"s": 100, "c": 0}} for name in urls],
            rollouts={name: rollout(name, url) for name, url in urls.items()},
        )
        for name in urls:
            status, answer = proxy.admin("POST", f"/api/v1/rollouts/{name}/start", {"reason": "test"})
            assert status == 200, answer

        def view(name):
            return proxy.admin("GET", f"/api/v1/rollouts/{name}")[1]["rollout"]

        for name, log in said.items():
            if log is None:
                wait_for(lambda: view(name)["state"] == "holding", lambda: (name, view(name), proxy.error_log()))
                continue
            line = f"rollout {name}: its gate has not said yes: {log}"
            wait_for(lambda: line in proxy.error_log(), lambda: (name, proxy.error_log()))
            assert (view(name)["state"], view(name)["weight"]) == ("awaiting_webhook", 0), name
    assert not elsewhere.requests, "a redirect is not followed"


def ctl(proxy, *words):
    return subprocess.run([WEIR, "ctl", "--state-dir", proxy.config["state_dir"], *words], capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_gate_that_is_late_or_broken_says_yes_in_the_end(make_origin, start):
    """What it said meanwhile is there to be read. The broken one is asked again by itself."""
    gone = threading.Event()
    gates = {"late": make_origin([gone, reply(b"yes")]), "broken": make_origin(reply(b"no", status="500 Internal Server Error"))}
    proxy = start(
        upstreams={"s": {"endpoints": [make_origin()]}, "c": {"endpoints": [make_origin()]}},
        routes=[{"name": name, "match": {"path": {"exact": f"/{name}"}}, "split": {"s": 100, "c": 0}} for name in gates],
        rollouts={name: rollout(name, f"http://{gate.address}/") for name, gate in gates.items()},
    )
    view = lambda name: proxy.admin("GET", f"/api/v1/rollouts/{name}")[1]["rollout"]  # noqa: E731
    try:
        for name in gates:
            assert proxy.admin("POST", f"/api/v1/rollouts/{name}/start", {"reason": "test"})[0] == 200
        wait_for(lambda: view("broken").get("gate", {}).get("status") == 500, lambda: view("broken"))
        gate = view("broken")["gate"]
        assert gate["asked"] == gate["failures_in_a_row"] == gate["step"] == 1 and gate["next_ask_ms"] > 0, gate
        shown = ctl(proxy, "rollout", "broken")
        assert re.search(r"gate +step 1, asked \d+ times?: status 500, at ", shown), shown
        assert "gate: 500" in ctl(proxy, "rollouts")
        gates["broken"].answer = reply(b"yes")
        wait_for(lambda: "error" in view("late").get("gate", {}), lambda: view("late"), 2 * DEADLINE_S)
        gate = view("late")["gate"]
        assert view("late")["state"] == "awaiting_webhook" and gate["answered_at"] and "status" not in gate, gate
        gates["late"].answer = reply(b"yes")
        for word in ("pause", "resume"):  # has it asked at once
            assert proxy.admin("POST", f"/api/v1/rollouts/late/{word}", {"reason": "test"})[0] == 200
        for name in gates:
            wait_for(lambda: view(name)["state"] == "holding", lambda: (view(name), proxy.error_log()), 2 * DEADLINE_S)
            shown = view(name)
            assert shown["gate"]["status"] == 200 and "error" not in shown["gate"], shown
            assert shown["history"][0]["reason"] == f"webhook_passed: status 200, asked {shown['gate']['asked']} times", shown
            assert shown["gate"]["asked"] > 1, shown
    finally:
        gone.set()
