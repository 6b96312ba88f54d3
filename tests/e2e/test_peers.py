# e2e/test_peers.py - clients that others wrote: curl, nghttp, h2load, Node, websockets, Chromium. What they need must be installed.
import asyncio
import base64
import hashlib
import json
import os
import re
import subprocess
import tempfile
import threading

import pytest
import websockets

from harness import CLOSE, DEADLINE_S, HOLD, Authority, Origin, Proxy, chunked, reply, wait_for
from harness.h2_origin import Codes, H2Origin

# Their own code takes the time, and what workers share is met by h2load and by the other files: once is enough.
once = pytest.mark.once
UPSTREAMS = pytest.mark.parametrize("upstream", ["h1", "h2"])
MESSAGE_MOST_BYTES = 2 << 20  # what is random grows when it is deflated
PIECE = bytes(range(256)) * 4096  # 1 MiB
LINK = "</hinted.js>; rel=preload; as=script"
HINTS = f"HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\n\r\n".encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"


@pytest.fixture(scope="module", name="ca")
def fixture_ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module", name="chat")
def fixture_chat():
    chat = Chat()
    yield chat
    chat.end()


@pytest.fixture(scope="module", name="certificate")
def fixture_certificate(ca):
    return ca.make("localhost", "DNS:localhost")


@pytest.fixture(scope="module", name="house")
def fixture_house(certificate, chat):
    listeners = {"web": {"bind": "127.0.0.1:0"}, "tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [certificate.pair()]}}}
    upstreams = {
        "h1": {"endpoints": [Origin()]},
        "h2": {"endpoints": [H2Origin()], "protocol": "http2"},
        "chat": {"endpoints": [chat.address]},
    }
    routes = [{"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": name} for name in ("h2", "chat")]
    routes.append({"name": "h1", "to": "h1"})
    with Proxy(listeners=listeners, upstreams=upstreams, routes=routes, workers=2) as proxy:
        yield proxy


def echo(connection, seen):
    """HTTP/1.1: a 103, then the body (`ok` for none) with a trailer."""
    message = connection.reader.body(seen)
    connection.send(HINTS + CHUNKED + chunked(message.body or b"ok", trailers=b"X-Sum: 7\r\n"))


def echo_h2(stream):
    stream.head(103, ("link", LINK)).head(200, ("trailer", "x-sum")).send(bytes(stream.body) or b"ok").send_trailers(("x-sum", "7"))


def serve_echo(proxy):
    """Both origins answer with what they get; `proxy.origins` in the order of UPSTREAMS."""
    proxy.origins[0].answer, proxy.origins[1].answer = echo, echo_h2


def run(*command, data=None):
    """What the program prints; it must succeed."""
    done = subprocess.run(command, input=data, capture_output=True, timeout=2 * DEADLINE_S, check=False)
    assert done.returncode == 0, (command, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def secure_url(proxy, path):
    return f"https://localhost:{proxy.ports['tls']}{path}"


# ---- curl and nghttp2's tools --------------------------------------------------------------------------------------------


@once
@UPSTREAMS
@pytest.mark.parametrize("how", ["alpn", "prior-knowledge"])
def test_curl(proxy, ca, upstream, how):
    serve_echo(proxy)
    options = ["--http2", "--cacert", ca.cert] if how == "alpn" else ["--http2-prior-knowledge"]
    url = secure_url(proxy, f"/{upstream}") if how == "alpn" else proxy.url(f"/{upstream}")
    out = run("curl", "-sS", *options, "--data-binary", "@-", "-w", "%{http_version} %{http_code}", url, data=PIECE)
    assert out == PIECE + b"2 200"
    proxy.expect_nothing_live()


@once
@UPSTREAMS
def test_nghttp_sees_early_hints_and_trailers(proxy, upstream):
    serve_echo(proxy)
    out = run("nghttp", "-nv", secure_url(proxy, f"/{upstream}")).decode()
    assert "The negotiated protocol: h2" in out, out
    fields = re.findall(r"recv \(stream_id=\d+(?:, sensitive)?\) (:status|link|x-sum): (.*)", out)
    assert fields == [(":status", "103"), ("link", LINK), (":status", "200"), ("x-sum", "7")], out
    proxy.expect_nothing_live()


@UPSTREAMS
def test_h2load_over_tls(proxy, upstream):
    out = run("h2load", "-n200", "-c4", "-m10", secure_url(proxy, f"/{upstream}")).decode()
    assert "Application protocol: h2" in out, out
    assert "200 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    assert "status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx" in out, out
    proxy.expect_nothing_live()


# ---- Node ----------------------------------------------------------------------------------------------------------------


def node(proxy, ca, path, scenario):
    with open(os.path.join(os.path.dirname(__file__), "harness", "http2_client.js"), "rb") as file:
        return json.loads(run("node", "-", secure_url(proxy, path), ca.cert, scenario, data=file.read()))


@once
@UPSTREAMS
def test_node_sends_and_gets_a_body_with_trailers(proxy, ca, upstream):
    serve_echo(proxy)
    seen = node(proxy, ca, f"/{upstream}", "echo")
    assert seen == {"protocol": "h2", "status": 200, "interim": [103], "trailer": "7", "bytes": 3 << 20, "same": True}
    assert proxy.origins[upstream == "h2"].last.trailers == [("x-up", "5")]
    proxy.expect_nothing_live()


@once
@UPSTREAMS
def test_a_request_that_node_cancels_is_cancelled_upstream(proxy, ca, upstream):
    def begin(connection, seen):
        if seen.target.endswith("/next"):
            connection.send(reply())
            return None
        connection.send(CHUNKED + b"5\r\nfirst\r\n")
        return None if connection.play([HOLD]) else CLOSE

    def begin_h2(stream):
        if stream.path.endswith("/next"):
            stream.reply()
        else:
            stream.head().send(b"first")

    proxy.origins[0].answer, proxy.origins[1].answer = begin, begin_h2
    seen = node(proxy, ca, f"/{upstream}", "cancel")
    assert seen == {"protocol": "h2", "status": 200, "code": int(Codes.CANCEL), "next": 200}
    if upstream == "h2":
        assert proxy.origins[1].requests[0].wait_reset() == Codes.CANCEL
    else:
        assert proxy.origins[0].connections[0].wait_end()
    proxy.access_line(path=f"/{upstream}", reason="client_aborted")
    proxy.expect_nothing_live()


# ---- websockets ------------------------------------------------------------------------------------------------------------


class Chat:
    """A WebSocket server with a thread of its own. It pings first of all, then echoes, and leaves when told to."""

    def __init__(self):
        self.ends = []  # (code, reason) of each conversation
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.start())
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def start(self):
        return await websockets.serve(self.serve, "127.0.0.1", 0, max_size=MESSAGE_MOST_BYTES)

    async def serve(self, client):
        try:
            await asyncio.wait_for(await client.ping(), DEADLINE_S)
            async for message in client:
                await (client.close(4002, "server is done") if message == "leave" else client.send(message))
        except websockets.ConnectionClosedError:
            pass  # with another code than 1000
        self.ends.append((client.close_code, client.close_reason))

    def wait_end(self):
        wait_for(lambda: self.ends, "the server sees the conversation's end")
        return self.ends.pop()

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()

    def end(self):
        asyncio.run_coroutine_threadsafe(self.stop(), self.loop).result(DEADLINE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def converse(proxy, ca, listener, talk):
    """Runs talk(client) through the proxy, to the end of the connection."""
    async def connect():
        url, secure = f"ws://localhost:{proxy.ports['web']}/chat", {}
        if listener == "tls":
            url, secure = f"wss://localhost:{proxy.ports['tls']}/chat", {"ssl": ca.client()}
        async with websockets.connect(url, max_size=MESSAGE_MOST_BYTES, **secure) as client:
            await talk(client)
            await client.wait_closed()

    asyncio.run(asyncio.wait_for(connect(), 2 * DEADLINE_S))


@once
@pytest.mark.parametrize("listener", ["web", "tls"])
def test_a_websocket_conversation(proxy, ca, chat, listener):
    data = os.urandom(1 << 20)

    async def talk(client):
        for message in ("", "hello", "gr\u00fc\u00df dich \u2603", data, "x" * 70000):
            await client.send(message)
            assert await client.recv() == message
        await asyncio.wait_for(await client.ping(b"are you there"), DEADLINE_S)
        await client.close(4001, "client is done")
        assert client.close_code == 4001

    converse(proxy, ca, listener, talk)
    assert chat.wait_end() == (4001, "client is done")
    line = proxy.access_line(path="/chat")
    assert (line["status"], line["protocol"]) == (101, "HTTP/1.1")
    proxy.expect_nothing_live()


@once
def test_a_websocket_that_the_server_closes(proxy, ca, chat):
    async def talk(client):
        await client.send("leave")
        with pytest.raises(websockets.ConnectionClosedError):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4002, "server is done")

    converse(proxy, ca, "tls", talk)
    assert chat.wait_end()[0] == 4002
    proxy.expect_nothing_live()


# ---- Chromium --------------------------------------------------------------------------------------------------------------

PAGE = b"""<!doctype html><title>page</title><p id=protocol></p><p id=hinted></p>
<script src=/hinted.js></script>
<script>
  document.getElementById('protocol').textContent = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  document.getElementById('hinted').textContent = window.hinted;
</script>
"""
# No sandbox and no devices, as root in a container; nothing goes out to the network.
CHROMIUM = ["chromium-headless-shell", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def key_hash(certificate):
    """Of the public key, as Chromium wants it for a key to trust: what comes by an untrusted one is never cached."""
    key = run("openssl", "pkey", "-in", certificate.key, "-pubout", "-outform", "DER")
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@once
def test_chromium_follows_early_hints(proxy, certificate):
    """The page leaves the origin only when the hinted script was asked for: whoever ignores the 103 gets no page."""
    is_asked = threading.Event()

    def answer(connection, seen):
        connection.reader.body(seen)
        if seen.target == "/hinted.js":
            is_asked.set()
            connection.send(reply(b"window.hinted = 'it ran';", "Content-Type: text/javascript", "Cache-Control: max-age=60"))
        elif seen.target == "/page":
            connection.send(HINTS)
            assert is_asked.wait(DEADLINE_S), "nobody followed the hint"
            connection.send(reply(PAGE, "Content-Type: text/html"))
        else:
            connection.send(reply(b"", status="404 Not Found"))

    proxy.origins[0].answer = answer
    with tempfile.TemporaryDirectory(prefix="weir-chromium-") as profile:
        dom = run(*CHROMIUM, f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={key_hash(certificate)}",
                  "--dump-dom", secure_url(proxy, "/page")).decode()
    assert '<p id="protocol">h2</p>' in dom, dom
    assert '<p id="hinted">it ran</p>' in dom, dom
    assert [seen.target for seen in proxy.origins[0].requests].count("/hinted.js") == 1, "the page uses what the hint had fetched"
    wait_for(lambda: proxy.metric("weir_connections", protocol="http2") == 0, "the browser is gone")
    proxy.expect_nothing_live()
