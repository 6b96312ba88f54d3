# e2e/test_monitors.py - monitors: what is asked of whom, each expectation, peers of every bad kind, and what follows from it.
import json
import subprocess

import pytest

from harness import DEADLINE_S, WEIR, HOLD, RESET, Origin, Proxy, chunked, reply, wait_for
from harness.certificates import Authority

SECOND = {"every": "1s", "timeout": "500ms"}


@pytest.fixture(name="authority", scope="module")
def fixture_authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("certificates")))


def endless(connection, request):
    """A body that does not end, as fast as it is taken."""
    connection.reader.body(request)
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        while True:
            connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    except OSError:
        return "close"


CHUNKED = reply(b"", "Transfer-Encoding: chunked", length=False)

# What an upstream answers, what is expected of it, and what is said of it; None: nothing.
CASES = {
    "any 2xx": (reply(status="204 No Content", length=False), {}, None),
    "a status": (reply(status="404 Not Found"), {"status": 404}, None),
    "a range": (reply(status="302 Found"), {"status": "3xx"}, None),
    "a redirect is not followed": (reply(b"", "Location: http://127.0.0.1:1/", status="302 Found"), {}, "status 302"),
    "another status": (reply(status="500 Oops"), {"status": [200, "404"]}, "status 500"),
    "a header": (reply(b"ok", "X-Build:  7 "), {"headers": {"x-build": "7"}}, None),
    "a header with another value": (reply(b"ok", "X-Build: 8"), {"headers": {"x-build": "7"}}, "header x-build is '8'"),
    "no such header": (reply(), {"headers": {"x-build": "7"}}, "header x-build is missing"),
    "a body": (reply(b"all is ok here"), {"body": "is ok"}, None),
    "a chunked body": (CHUNKED + chunked(b"all is", b" ok here"), {"body": "is ok"}, None),
    "another body": (reply(b"all is bad"), {"body": "is ok"}, "the body does not contain 'is ok'"),
    "no body": (reply(b""), {"body": "is ok"}, "the body does not contain 'is ok'"),
    "quick": (reply(), {"latency": "10s"}, None),
    "slow": ([0.05, reply()], {"latency": "20ms"}, "it took "),
    "a slow body": ([CHUNKED + b"5\r\nsl", 0.05, b"ow!\r\n0\r\n\r\n"], {"latency": "20ms", "body": "slow"}, "it took "),
    "no answer": (HOLD, {}, "imed out"),
    "half a head": ([b"HTTP/1.1 200 OK\r\nX-", HOLD], {}, "imed out"),
    "half a body": ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", HOLD], {}, "imed out"),
    "a body cut off": ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "close"], {}, ""),
    "a reset": (RESET, {}, ""),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", {}, ""),
    "broken chunks": (CHUNKED + b"zz\r\nwhat\r\n0\r\n\r\n", {"body": "what"}, ""),
    "a huge body": (reply(b"x" * (300 << 10)), {}, ""),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"y" * 8000 + b"\r\n", {}, ""),
    "an endless body": (endless, {}, ""),
    "a closed port": (None, {}, ""),
}


def upstream_of(origin, **more):
    return {"endpoints": [origin], **more}


@pytest.fixture(name="house", scope="module")
def fixture_house(authority):
    """An upstream and a monitor for each case."""
    origins = {}
    for name, (answer, _, _) in CASES.items():
        origins[name] = Origin(answer if answer is not None else reply())
        if answer is None:
            origins[name].stop()
    short, long = (authority.make(f"days-{days}", "DNS:up.example", days=days) for days in (5, 60))
    tls = {name: Origin(tls=authority.server(certificate)) for name, certificate in (("short", short), ("long", long))}
    key = {name: name.replace(" ", "-") for name in CASES}
    upstreams = {key[name]: upstream_of(origins[name]) for name in CASES}
    monitors = {key[name]: {"upstreams": [key[name]], "expect": CASES[name][1], **SECOND} for name in CASES}
    for name, origin in tls.items():
        upstreams[f"tls-{name}"] = upstream_of(origin, tls={"sni": "up.example", "ca": authority.cert})
        upstreams[f"stranger-{name}"] = upstream_of(origin, tls={"sni": "other.example", "ca": authority.cert})
    upstreams["plain"] = upstream_of(Origin())
    monitors["certificate"] = {"upstreams": ["tls-short", "tls-long", "plain", "stranger-long"], "expect": {"certificate_days": 30}, **SECOND}
    with Proxy(upstreams=upstreams, monitors=monitors, routes=[
        {"name": f"r{i}", "to": name, "match": {"path": {"prefix": f"/{name}"}}} for i, name in enumerate(upstreams)
    ]) as made:
        made.tls_origin, made.short, made.long = tls["long"], authority.server(short), authority.server(long)
        made.wanted = {("certificate", "tls-short"): "its certificate ends in 4 days", ("certificate", "tls-long"): None,
                       ("certificate", "plain"): "it showed no certificate", ("certificate", "stranger-long"): ""}
        made.wanted.update({(key[name], key[name]): CASES[name][2] for name in CASES})
        yield made


def shown(proxy):
    """{(monitor, upstream): what is said of it}"""
    upstreams = proxy.admin("GET", "/api/v1/upstreams")[1]["upstreams"]
    return {(m["name"], u["name"]): m for u in upstreams for m in u["monitors"]}


def checks(proxy, monitor, upstream):
    return sum(proxy.metric("weir_monitor_checks_total", monitor=monitor, upstream=upstream, result=r) for r in ("ok", "failed"))


def test_each_expectation_and_each_bad_peer(house):
    def is_done():
        return all(m["verdict"] != "unknown" for m in shown(house).values())

    def twice():
        return all(m["verdict"] == "good" or m["failures_in_a_row"] >= 2 for m in shown(house).values())
    wait_for(is_done, lambda: [name for name, m in shown(house).items() if m["verdict"] == "unknown"])
    wait_for(twice, lambda: shown(house))
    wrong = []
    for name, wanted in house.wanted.items():
        m = shown(house)[name]
        is_right = m["complaint"] is None if wanted is None else m["complaint"] and wanted in m["complaint"]
        if m["verdict"] != ("good" if wanted is None else "bad") or not is_right:
            wrong.append((name, wanted, m))
    assert not wrong
    assert house.admin("GET", "/readyz")[0] == 200, "nothing of it says anything about readiness"


def test_a_certificate_is_that_of_today(house):
    """Each check makes a connection of its own: one that is kept would show the certificate that it began with."""
    origin = house.tls_origin
    origin.tls = house.short
    wait_for(lambda: shown(house)["certificate", "tls-long"]["complaint"] == "its certificate ends in 4 days", lambda: shown(house))
    assert house.metric("weir_monitor_up", monitor="certificate", upstream="tls-long") == 0
    origin.tls = house.long
    wait_for(lambda: shown(house)["certificate", "tls-long"]["verdict"] == "good", lambda: shown(house))


# ---- what follows from it ------------------------------------------------------------------------------------------------


def test_it_is_asked_as_written_and_is_no_traffic(start, make_origin):
    origin = make_origin()
    proxy = start(origin, monitors={"home": {"upstreams": ["a"], **SECOND, "request": {
        "method": "HEAD", "path": "/up?x=1", "host": "shop.example", "headers": {"x-probe": "1"}}}})
    wait_for(lambda: origin.requests, "it is asked")
    asked = origin.requests[0]
    assert (asked.method, asked.target) == ("HEAD", "/up?x=1")
    assert [asked.get(name) for name in ("host", "x-probe", "x-weir-monitor")] == ["shop.example", "1", "home"]
    assert proxy.metric("weir_requests_total") == 0 and not proxy.access_lines()
    wait_for(lambda: len(origin.requests) >= 3, "it is asked again and again")
    assert max(len(connection.requests) for connection in origin.connections) == 1, "each time over a connection of its own"


def test_readiness_and_ctl_say_what_fails_and_that_it_is_over(start, make_origin):
    origin = make_origin(reply(b"fine"))
    proxy = start(origin, monitors={"site": {"upstreams": ["a"], "expect": {"body": "fine"}, "unready_after": 2, **SECOND}})
    wait_for(lambda: shown(proxy)["site", "a"]["verdict"] == "good", lambda: shown(proxy))
    assert proxy.admin("GET", "/readyz") == (200, "ready\n")
    origin.answer = reply(b"broken")
    wait_for(lambda: proxy.admin("GET", "/readyz")[0] == 503, lambda: shown(proxy))
    assert proxy.admin("GET", "/readyz")[1] == "monitor site: upstream a: the body does not contain 'fine'\n"
    assert shown(proxy)["site", "a"]["failures_in_a_row"] >= 2, "a single failure does not count"
    assert proxy.get().body == b"broken", "traffic is not stopped by it"
    assert proxy.admin("GET", "/healthz")[0] == 200
    origin.answer = reply(b"fine")
    wait_for(lambda: proxy.admin("GET", "/readyz")[0] == 200, lambda: shown(proxy))


def test_a_reload_in_the_middle_of_a_check(start, make_origin):
    """What was asked before the reload is not judged by what is expected after it; a monitor that is gone leaves nothing."""
    origin = make_origin(HOLD)
    slow = {"upstreams": ["a"], "every": "1h", "timeout": "1h", "request": {"path": "/old"}, "expect": {"body": "old"}}
    proxy = start(origin, monitors={"one": slow, "two": dict(slow)})
    wait_for(lambda: len(origin.requests) == 2, "both are asked")
    origin.answer = reply(b"new")
    proxy.config["monitors"] = {"one": {**slow, "expect": {"body": "new"}}, "three": {"upstreams": ["a"], "expect": {"body": "new"}, **SECOND}}
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    origin.hang_up()
    wait_for(lambda: checks(proxy, "three", "a") >= 2, lambda: shown(proxy))  # the answers from before came earlier
    assert set(shown(proxy)) == {("one", "a"), ("three", "a")}
    assert shown(proxy)["one", "a"]["verdict"] == "unknown" and shown(proxy)["three", "a"]["verdict"] == "good", proxy.error_log()


# ---- an upstream of several endpoints, and what rollouts make of it ------------------------------------------------------


def ctl(proxy, *words):
    run = subprocess.run([WEIR, "ctl", "--admin", f"unix:{proxy.admin_path}", *words], capture_output=True,
                         text=True, timeout=DEADLINE_S, check=False)
    return run.stdout + run.stderr


SITE = {"site": {"upstreams": ["s", "c"], "every": "1s", "timeout": "900ms", "expect": {"body": "fine"}}}
STEPS = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]


@pytest.fixture(name="pair")
def fixture_pair(start, make_origin):
    """A rollout with two endpoints a side, which a monitor asks."""
    def make(guardrail):
        sides = {name: [make_origin(reply(b"fine")) for _ in range(2)] for name in ("s", "c")}
        proxy = start(upstreams={name: {"endpoints": origins} for name, origins in sides.items()}, monitors=SITE,
                      routes=[{"name": "shop", "split": {"s": 100, "c": 0}}],
                      rollouts={"shop": {"route": "shop", "stable": "s", "canary": "c", "revision": "1", "steps": STEPS, "guardrails": [guardrail]}})
        wait_for(lambda: all(e["verdict"] == "good" for m in shown(proxy).values() for e in m["endpoints"]), lambda: shown(proxy))
        assert proxy.admin("POST", "/api/v1/rollouts/shop/start", {"reason": "test"})[0] == 200
        wait_for(lambda: rollout(proxy)["state"] == "holding", lambda: rollout(proxy))
        return proxy, sides
    return make


def rollout(proxy):
    return proxy.admin("GET", "/api/v1/rollouts/shop")[1]["rollout"]


def test_one_bad_endpoint_of_two_is_seen_everywhere_and_takes_a_canary_back(pair):
    """The good one answers in between, and that takes nothing back of what the bad one did."""
    proxy, sides = pair({"monitor": "site", "max_failures": 3})
    bad = sides["c"][1]
    bad.answer = reply(b"broken")
    wait_for(lambda: rollout(proxy)["state"] == "rolled_back", lambda: (rollout(proxy), shown(proxy)))
    failing = [{"name": "site", "upstream": "c", "endpoint": bad.address, "complaint": "the body does not contain 'fine'"}]
    # On a slow machine any of the others may have been late once.
    wait_for(lambda: proxy.admin("GET", "/api/v1/status")[1]["failing_monitors"] == failing, lambda: shown(proxy))
    site = shown(proxy)["site", "c"]
    assert (site["verdict"], site["complaint"]) == ("bad", "the body does not contain 'fine'"), site
    assert site["endpoints"][1]["verdict"] == "bad", site
    assert proxy.metric("weir_monitor_up", monitor="site", upstream="c") == 0
    wait_for(lambda: proxy.metric("weir_monitor_up", monitor="site", upstream="s") == 1, lambda: shown(proxy))
    assert f"site: c {bad.address}: the body does not contain 'fine'" in ctl(proxy, "status")
    lines = ctl(proxy, "upstreams").splitlines()
    assert [line for line in lines if bad.address in line and "fails site" in line], lines
    assert [line for line in lines if line.startswith(f"monitor site: c {bad.address}: the body does not contain 'fine'")], lines
    bad.answer = reply(b"fine")
    wait_for(lambda: shown(proxy)["site", "c"]["failures_in_a_row"] == 0, lambda: shown(proxy))
    wait_for(lambda: "monitors" not in ctl(proxy, "status"), lambda: ctl(proxy, "status"))


def test_a_stable_that_fails_its_monitor_is_short_and_the_way_back_is_taken(pair):
    proxy, sides = pair({"metric": "error_rate", "max": "50%"})
    sides["s"][0].answer = reply(b"broken")
    wait_for(lambda: shown(proxy)["site", "s"]["verdict"] == "bad", lambda: shown(proxy))
    wait_for(lambda: "stable_is_short" not in rollout(proxy), "the other one can take it")
    sides["s"][1].answer = reply(b"broken")
    why = "no endpoint of it is healthy: " + "; ".join(
        f"monitor site: {origin.address}: the body does not contain 'fine'" for origin in sides["s"])
    wait_for(lambda: rollout(proxy).get("stable_is_short_because") == why, lambda: (rollout(proxy), shown(proxy)))
    status, answer = proxy.admin("POST", "/api/v1/rollouts/shop/rollback", {"reason": "test"})
    assert (status, answer["rollout"]["stable_is_short_because"]) == (200, why), answer
    wait_for(lambda: rollout(proxy)["state"] == "rolled_back", lambda: rollout(proxy))
    assert f"stable s may not be able to take the load that goes back to it: {why}" in proxy.error_log()
    lines = proxy.admin("GET", "/api/v1/audit?limit=1000")[1]["lines"]
    details = [json.loads(line["detail"]) for line in lines if line["action"] == "rollout.rollback"]
    assert [detail["stable_is_short_because"] for detail in details] == [why], lines
    said = " ".join(ctl(proxy, "rollout", "shop").split())
    assert "it may not be able to take the load of a way back: no endpoint of it is healthy" in said
