# e2e/test_metrics.py - what /metrics says after real traffic of every kind, in the eyes of Prometheus' own checker.
import subprocess

import pytest

from harness import CLOSE, Authority, Origin, Proxy, reply, request, wait_for
from harness.h2_origin import H2Origin

AWKWARD = 'unix:/no "such" \\n {place="é"}, at all'


@pytest.fixture(name="ca", scope="module")
def fixture_ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(name="house")
def fixture_house(ca, gone):
    """A proxy with upstreams of every kind, each behind a path of the same name, and listeners with TLS and without."""
    certificate = ca.make("shop", "DNS:shop.example.com", "IP:127.0.0.1")
    upstreams = {
        "plain": {"endpoints": [Origin()]},
        "h2": {"endpoints": [H2Origin()], "protocol": "http2"},
        "tls": {"endpoints": [Origin(tls=ca.server(certificate))], "protocol": "http1",
                "tls": {"sni": "shop.example.com", "ca": ca.cert}},
        "gone": {"endpoints": [gone]},
        "awkward": {"endpoints": [AWKWARD]},  # the only label whose characters are free
    }
    routes = [{"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": name} for name in upstreams]
    routes += [
        {"name": "split", "match": {"path": {"prefix": "/split"}}, "split": {"plain": 1, "h2": 1}},
        {"name": "fixed", "match": {"path": {"prefix": "/fixed"}}, "respond": {"status": 418, "body": "tea"}},
        {"name": "limited", "match": {"path": {"prefix": "/limited"}}, "to": "plain",
         "rate_limit": {"rate": "1/m", "burst": 1, "by": {"source": "ip"}}},
    ]
    listeners = {"web": {"bind": "127.0.0.1:0"},
                 "secure": {"bind": "127.0.0.1:0", "tls": {"certificates": [certificate.pair()]}}}
    with Proxy(upstreams=upstreams, routes=routes, listeners=listeners) as proxy:
        yield proxy


def dies_when_used_again(connection, _):
    if len(connection.requests) > 1:
        return CLOSE
    connection.send(reply())
    return None


def http1_traffic(proxy):
    paths = ("/plain", "/tls", "/gone", "/awkward", "/split", "/split", "/fixed", "/limited", "/limited", "/nowhere")
    assert [proxy.get(path).status for path in paths] == [200, 200, 502, 502, 200, 200, 418, 200, 429, 404]
    assert proxy.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").status == 400


def http2_traffic(proxy, ca):
    context = ca.client(alpn=["h2"])
    for client in (proxy.h2_client(), proxy.h2_client("secure", tls=context)):
        streams = [client.begin(path) for path in ("/h2", "/plain", "/gone", "/nowhere")]
        assert [client.answer(stream).status for stream in streams] == [200, 200, 502, 404]
        client.cancel(client.begin("/h2", end=False, method="POST"))


def failed_handshake(proxy):
    proxy.client("secure").send(request("/")).rest()
    wait_for(lambda: proxy.metric("weir_tls_handshakes_total", result="failed") == 1, "the failure is counted")


def retried_request(proxy):
    """On a connection to an origin that dies when it is used again."""
    proxy.origins[0].hang_up()
    proxy.origins[0].answer = dies_when_used_again
    client = proxy.client()
    assert [client.get("/plain").status for _ in range(2)] == [200, 200]
    assert proxy.metric("weir_retries_total", upstream="plain", result="ok") >= 1


def rejected_reload(proxy):
    with open(proxy.path("weir.yaml"), "w", encoding="utf-8") as file:
        file.write("nonsense")
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "to see it counted"})[0] == 422


def test_promtool_accepts_the_metrics_of_real_traffic(house, ca):
    """promtool reports what cannot be parsed, and breaches of Prometheus' rules for names, types and labels."""
    http1_traffic(house)
    http2_traffic(house, ca)
    failed_handshake(house)
    retried_request(house)
    rejected_reload(house)
    status, text = house.admin("GET", "/metrics")
    assert status == 200
    for wanted in ('code="418"', 'code="429"', 'result="failed"', 'result="rejected"', 'protocol="http2"', "é"):
        assert wanted in text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
