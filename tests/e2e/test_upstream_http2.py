# e2e/test_upstream_http2.py - HTTP/2 to endpoints: sharing connections, flow control, resets, GOAWAY, WebSocket, silence.
import threading

import pytest

from harness import DEADLINE_S, HOLD, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2_origin import Codes, H2Origin, Settings, reply_ok

MIB = 1 << 20
PIECE = bytes(range(256)) * 4096  # 1 MiB
WEBSOCKET = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # of RFC 6455 1.3
TUNNELS = {Settings.ENABLE_CONNECT_PROTOCOL: 1}


@pytest.fixture(scope="module", name="house")
def fixture_house():
    upstreams = {
        "a": {"endpoints": [H2Origin()], "protocol": "http2", "connect_timeout": "10s"},
        "one": {"endpoints": [H2Origin()], "protocol": "http2", "max_connections": 1},
        "chat": {"endpoints": [H2Origin(settings=TUNNELS)], "protocol": "http2"},
    }
    routes = [{"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": name} for name in ("one", "chat")]
    routes.append({"name": "all", "to": "a"})
    with Proxy(upstreams=upstreams, routes=routes) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


@pytest.fixture(name="one")
def fixture_one(proxy):
    """The origin behind /one, to which there is one connection at most."""
    return proxy.origins[1]


# ---- messages --------------------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_http2_has_it(proxy, origin):
    response = proxy.get("/path?a=1", "X-Mixed: Value", "Connection: x-hop", "X-Hop: 1", host="shop.example.com:81")
    assert (response.status, response.body) == (200, b"ok")
    seen = origin.last
    assert (seen.method, seen.path, seen.field(":scheme")) == ("GET", "/path?a=1", "http")
    assert (seen.field(":authority"), seen.field("host")) == ("shop.example.com:81", None)
    assert seen.field("x-mixed") == "Value"
    assert not {"x-hop", "connection", "transfer-encoding", "keep-alive", "upgrade"} & {key for key, _ in seen.fields}
    assert seen.is_complete and seen.body == b""


def test_an_answer_arrives_as_http1_has_it(proxy, origin):
    origin.answer = lambda stream: stream.reply(b"body", ("x-a", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
    response = proxy.get()
    assert response.all("set-cookie") == ["a=1", "b=2"]
    assert response.get("x-a") == "1" and response.body == b"body"


def test_many_requests_share_one_connection(proxy, origin):
    streams = []
    origin.answer = streams.append
    clients = [proxy.client().send(request(f"/{i}")) for i in range(32)]
    origin.wait_streams(32)
    assert len(origin.connections) == 1 and origin.connections[0].most_streams == 32
    assert proxy.metric("weir_upstream_connections", upstream="a", state="active") == 1
    for stream in reversed(streams):
        stream.reply(stream.path.encode())
    assert [client.response().body for client in clients] == [b"/%d" % i for i in range(32)]
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 1, "the connection is pooled")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_goes_up_and_comes_down(proxy, origin, framing):
    origin.answer = lambda stream: stream.reply(bytes(stream.body))
    body = PIECE * 4
    if framing == "length":
        response = proxy.get("/", method="POST", body=body)
        assert origin.last.field("content-length") == str(len(body))
    else:
        response = proxy.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunked(body), "POST")
        assert origin.last.field("content-length") is None
    assert response.body == body


def test_trailers_go_both_ways(proxy, origin):
    origin.answer = lambda stream: stream.head().send(b"body").send_trailers(("x-sum", "7"))
    data = request("/", "Transfer-Encoding: chunked", "TE: trailers", "Connection: TE", method="POST")
    response = proxy.send(data + chunked(b"abc", trailers=b"X-Up: 5\r\n"), "POST")
    assert response.body == b"body" and response.trailers == [("x-sum", "7")]
    assert origin.last.trailers == [("x-up", "5")] and origin.last.body == b"abc"
    assert origin.last.field("te") == "trailers"


def test_a_length_is_kept_and_trailers_behind_it_end_here(proxy, origin):
    origin.answer = lambda stream: stream.head(200, ("content-length", "4")).send(b"body").send_trailers(("x-sum", "7"))
    client = proxy.client()
    for _ in range(2):
        response = client.get("/")
        assert response.body == b"body" and response.length == 4 and not response.is_chunked and not response.trailers


@pytest.mark.parametrize("method,status,fields", [("HEAD", 200, [("content-length", "5")]), ("GET", 204, []), ("GET", 304, [("etag", "x")])])
def test_answers_without_a_body(proxy, origin, method, status, fields):
    origin.answer = lambda stream: stream.head(status, *fields, end=True)
    client = proxy.client()
    for _ in range(2):
        response = client.get(method=method)
        assert response.status == status and response.body == b""
    assert len(origin.connections) == 1


def test_an_empty_answer_of_open_length(proxy, origin):
    origin.answer = lambda stream: stream.head().send(b"", end=True)
    assert proxy.get().body == b""


def test_interim_answers_go_on(proxy, origin):
    origin.answer = lambda stream: stream.head(103, ("link", "</a.css>")).head(103).reply()
    response = proxy.get()
    assert [interim.status for interim in response.interim] == [103, 103]
    assert response.interim[0].get("link") == "</a.css>" and response.body == b"ok"


def test_too_many_interim_answers_are_none(proxy, origin):
    def flood(stream):
        for _ in range(17):
            stream.head(103)
    origin.answer = flood
    response = proxy.get()
    assert (response.status, response.get("x-weir-error")) == (502, "upstream_invalid")
    assert origin.last.wait_reset() == Codes.CANCEL
    origin.answer = reply_ok
    assert proxy.get().status == 200 and len(origin.connections) == 1


def test_the_body_waits_for_100(proxy, origin):
    origin.on_head = lambda stream: stream.head(100)
    client = proxy.client().send(request("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
    stream = origin.wait_streams(1)[0]
    assert stream.field("expect") == "100-continue"
    head = client.reader.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 100 ")
    client.send(b"abc")
    assert client.response("POST").body == b"ok" and stream.body == b"abc"


# ---- who shares what -------------------------------------------------------------------------------------------------------


def test_the_peers_limit_is_kept(proxy, one):
    """And who waits goes on when a stream ends."""
    streams = []
    one.settings = {Settings.MAX_CONCURRENT_STREAMS: 2}
    one.answer = streams.append
    proxy_clients = [proxy.client().send(request("/one"))]
    one.wait_streams(1)
    one.connections[0].wait_settled()
    proxy_clients += [proxy.client().send(request("/one")) for _ in range(4)]
    wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="one") == 3, "three requests wait")
    for answered in range(5):
        one.wait_streams(min(answered + 2, 5))
        streams[answered].reply(b"%d" % answered)
    assert sorted(client.response().body for client in proxy_clients) == [b"%d" % i for i in range(5)]
    assert len(one.connections) == 1 and one.connections[0].most_streams == 2


def test_a_limit_that_rises_lets_the_waiting_in(proxy, one):
    streams = []
    one.settings = {Settings.MAX_CONCURRENT_STREAMS: 1}
    one.answer = streams.append
    clients = [proxy.client().send(request("/one"))]
    one.wait_streams(1)
    one.connections[0].wait_settled()
    clients += [proxy.client().send(request("/one")) for _ in range(2)]
    wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="one") == 2, "two requests wait")
    one.connections[0].update_settings(MAX_CONCURRENT_STREAMS=3)
    one.wait_streams(3)
    for stream in streams:
        stream.reply()
    assert [client.response().status for client in clients] == [200, 200, 200]


def test_a_full_connection_gets_a_second(proxy, origin):
    streams = []
    origin.settings = {Settings.MAX_CONCURRENT_STREAMS: 1}
    origin.answer = streams.append
    clients = [proxy.client().send(request())]
    origin.wait_streams(1)
    origin.connections[0].wait_settled()
    clients.append(proxy.client().send(request()))
    origin.wait_streams(2)
    assert len(origin.connections) == 2
    for stream in streams:
        stream.reply()
    assert [client.response().status for client in clients] == [200, 200]


def forget_limits(proxy, origin):
    """What an endpoint allowed last is remembered."""
    proxy.get()
    origin.hang_up()
    origin.forget()


def test_requests_gather_on_a_connection_that_is_being_made(proxy, origin):
    forget_limits(proxy, origin)
    with origin.frozen():
        clients = [proxy.client().send(request()) for _ in range(8)]
        wait_for(lambda: proxy.live()["exchanges"] == 8, "eight exchanges")
    assert [client.response().status for client in clients] == [200] * 8
    assert len(origin.connections) == 1


def test_whoever_waits_for_a_connect_may_go(proxy, origin):
    forget_limits(proxy, origin)
    with origin.frozen():
        clients = [proxy.client().send(request()) for _ in range(3)]
        wait_for(lambda: proxy.live()["exchanges"] == 3, "three exchanges")
        clients.pop().reset()
        wait_for(lambda: proxy.live()["exchanges"] == 2, "one is gone")
    assert [client.response().status for client in clients] == [200, 200]


def test_too_many_streams_at_first_are_tried_again(proxy, origin):
    """The peer's limit is not known before its SETTINGS: those it refuses go to other connections."""
    def refuse_above_two(stream):
        if stream.connection.session.open_inbound_streams > 2:
            stream.reset(Codes.REFUSED_STREAM)
        elif stream.id == 1:
            stream.connection.update_settings(MAX_CONCURRENT_STREAMS=2)
    forget_limits(proxy, origin)
    origin.on_head = refuse_above_two
    with origin.frozen():
        clients = [proxy.client().send(request(method="POST", body=b"")) for _ in range(6)]
        wait_for(lambda: proxy.live()["exchanges"] == 6, "six exchanges")
    assert [client.response().status for client in clients] == [200] * 6
    assert proxy.metric("weir_retries_total", upstream="a", result="ok") >= 4


# ---- bytes under pressure --------------------------------------------------------------------------------------------------


def test_a_slow_client_holds_its_own_answer_up_and_no_other(proxy, origin):
    big = []
    origin.answer = lambda stream: big.append(stream.head().send(PIECE * 64, end=True)) if stream.path == "/big" else stream.reply()
    slow = proxy.client(receive_buffer=65536).send(request("/big"))
    wait_for(lambda: big and 0 < len(big[0].waiting) < 64 * MIB, "the answer began to flow")
    wait_for_standstill(lambda: len(big[0].waiting))
    assert len(big[0].waiting) > 16 * MIB
    assert all(proxy.get(f"/{i}").body == b"ok" for i in range(20)) and len(origin.connections) == 1
    response = slow.response()
    assert response.body == PIECE * 64
    assert proxy.memory_kib() < 400 * 1024


def wait_for_standstill(value):
    """Until it has been the same for half a second of looking."""
    seen = []

    def stands_still():
        seen.append(value())
        return len(seen) > 20 and len(set(seen[-10:])) == 1

    wait_for(stands_still, lambda: f"a standstill: {seen[-10:]}")


def test_a_slow_endpoint_holds_the_upload_up(proxy, origin):
    origin.is_reading = False
    client = proxy.client().send(request("/", f"Content-Length: {64 * MIB}", method="POST"))
    sent = []

    def pump():
        for _ in range(64):
            client.sock.sendall(PIECE)
            sent.append(1)

    thread = threading.Thread(target=pump, daemon=True)
    client.sock.settimeout(DEADLINE_S)
    thread.start()
    stream = origin.wait_streams(1)[0]
    wait_for_standstill(lambda: (len(sent), len(stream.body)))
    assert len(stream.body) == 65535 and len(sent) < 48  # the window that RFC 9113 6.9.2 begins with
    origin.is_reading = True
    stream.connection.take(stream.id, len(stream.body))
    thread.join(DEADLINE_S)
    assert client.response("POST").status == 200
    assert stream.body == PIECE * 64


def test_windows_that_open_byte_by_byte(proxy, origin):
    origin.is_reading = False
    body = bytes(range(200)) * 331  # a little more than the first window
    client = proxy.client().send(request("/", method="POST", body=body))
    stream = origin.wait_streams(1)[0]
    while not stream.is_complete:
        wait_for(lambda: len(stream.body) >= 65535, "the first window is used up")
        stream.connection.take(stream.id, 1)
        wait_for(lambda have=len(stream.body): len(stream.body) > have or stream.is_complete, "a byte more")
        if len(stream.body) > 65545:
            stream.connection.take(stream.id, 65535)
            break
    assert client.response("POST").status == 200 and stream.body == body


def test_a_cancelled_answer_gives_its_window_back(proxy, origin):
    """More is thrown away than the connection's window holds."""
    origin.answer = lambda stream: stream.head().send(PIECE * 4, end=True) if stream.path == "/cut" else stream.reply(PIECE * 4)
    for _ in range(12):
        client = proxy.client(receive_buffer=65536).send(request("/cut"))
        client.sock.recv(1000)
        client.reset()
    for stream in origin.wait_streams(12):
        wait_for(lambda s=stream: s.reset_code is not None or not s.waiting, "it is cancelled")
    assert proxy.get("/whole").body == PIECE * 4
    assert len(origin.connections) == 1


def test_a_client_that_leaves_cancels_its_stream_only(proxy, origin):
    streams = []
    origin.answer = streams.append
    leaving, staying = (proxy.client().send(request()) for _ in range(2))
    first, second = origin.wait_streams(2)
    leaving.reset()
    gone = next(s for s in (first, second) if wait_for(lambda: first.reset_code or second.reset_code, "a reset") and s.reset_code)
    assert gone.reset_code == Codes.CANCEL
    (second if gone is first else first).reply()
    assert staying.response().status == 200
    assert len(origin.connections) == 1 and proxy.live()["exchanges"] == 0


# ---- what goes wrong in one stream -----------------------------------------------------------------------------------------


def expect_error(response, code, status=502):
    assert (response.status, response.get("x-weir-error")) == (status, code)


def is_well(proxy, origin, connections=1):
    """The connection lives on, and serves."""
    origin.answer = reply_ok
    assert proxy.get().status == 200
    assert len(origin.connections) == connections


def test_a_reset_before_the_head(proxy, origin):
    origin.answer = lambda stream: stream.reset(Codes.INTERNAL_ERROR)
    expect_error(proxy.get(), "upstream_reset")
    assert len(origin.requests) == 1
    is_well(proxy, origin)


def test_a_reset_in_the_body_cuts_the_answer(proxy, origin):
    origin.answer = lambda stream: stream.head(200, ("content-length", "10")).send(b"12345")
    client = proxy.client().send(request())
    assert client.reader.until(b"12345")
    origin.last.reset()
    assert client.expect_reset() == b""
    is_well(proxy, origin)


def test_an_early_answer_counts_whatever_follows(proxy, origin):
    """RFC 9113 8.1: the answer is complete before the request, and the rest of that is not wanted."""
    origin.on_head = lambda stream: stream.reply(b"enough", status=413).reset(Codes.NO_ERROR)
    response = proxy.client().send(request("/", "Content-Length: 100000", method="POST")).response("POST")
    assert (response.status, response.body) == (413, b"enough")
    origin.on_head = None
    is_well(proxy, origin)


def test_an_early_answer_ends_the_request(proxy, origin):
    origin.on_head = lambda stream: stream.reply(b"enough", status=413)
    response = proxy.client().send(request("/", "Content-Length: 100000", method="POST")).response("POST")
    assert (response.status, response.body) == (413, b"enough")
    assert origin.last.wait_reset() == Codes.CANCEL
    origin.on_head = None
    is_well(proxy, origin)


MALFORMED = {
    "upper case": [(":status", "200"), ("X-Upper", "1")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "no status": [("x-a", "1")],
    "two statuses": [(":status", "200"), (":status", "200")],
    "status 99": [(":status", "99")],
    "status 101": [(":status", "101")],
    "pseudo behind": [("x-a", "1"), (":status", "200")],
    "unknown pseudo": [(":status", "200"), (":path", "/")],
    "line feed": [(":status", "200"), ("x-a", "1\n2")],
    "two lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_ends_its_stream_only(proxy, origin, name):
    origin.answer = lambda stream: stream.raw_head(*MALFORMED[name])
    expect_error(proxy.get(), "upstream_invalid")
    assert origin.last.wait_reset() is not None
    is_well(proxy, origin)


@pytest.mark.parametrize("length,body", [(5, b"123456"), (5, b"1234")])
def test_a_body_that_is_not_as_long_as_announced(proxy, origin, length, body):
    origin.answer = lambda stream: stream.head(200, ("content-length", str(length))).send(body, end=True)
    client = proxy.client().send(request())
    client.expect_reset()
    is_well(proxy, origin)


def test_a_head_beyond_the_limits(proxy, origin):
    origin.answer = lambda stream: stream.reply(b"", *[(f"x-{i}", "v" * 4000) for i in range(12)])
    expect_error(proxy.get(), "upstream_headers_too_large")
    is_well(proxy, origin)


# ---- what goes wrong with the connection -----------------------------------------------------------------------------------


def test_goaway_moves_what_it_left_out(proxy, origin):
    """Even a POST: the endpoint says that it has done nothing with it. What it took goes on where it is."""
    origin.answer = None
    first = proxy.client().send(request("/first"))
    origin.wait_streams(1)
    second = proxy.client().send(request("/second", "Content-Length: 3", method="POST"))
    stream = origin.wait_streams(2)[0]
    old = stream.connection
    origin.answer = reply_ok
    old.send_goaway(stream.id)
    third = origin.wait_streams(3)[2]
    assert third.path == "/second" and third.connection is not old
    second.send(b"abc")
    assert second.response("POST").status == 200 and third.body == b"abc"
    assert proxy.get("/third").status == 200
    assert [s.path for s in origin.requests if s.connection is old] == ["/first", "/second"]
    stream.reply(b"late")
    assert first.response().body == b"late"
    assert old.wait_end() == "fin" and len(origin.connections) == 2


def test_goaway_on_an_idle_connection(proxy, origin):
    proxy.get()
    origin.connections[0].send_goaway(1)
    origin.connections[0].wait_end()
    assert proxy.get().status == 200
    assert len(origin.connections) == 2


def test_a_body_that_was_sent_is_not_sent_again(proxy, origin):
    origin.answer = lambda stream: stream.connection.send_goaway(0)
    response = proxy.get(method="POST", body=b"abc")
    expect_error(response, "upstream_reset")
    assert len(origin.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_is_tried_elsewhere(proxy, origin, method):
    def refuse_once(stream):
        if len(origin.requests) == 1:
            stream.reset(Codes.REFUSED_STREAM)
    origin.on_head = refuse_once
    before = proxy.metric("weir_retries_total", upstream="a", result="ok")
    assert proxy.get(method=method).status == 200
    first, second = origin.requests
    assert first.connection is not second.connection and second.method == method
    assert proxy.metric("weir_retries_total", upstream="a", result="ok") == before + 1


def test_who_refuses_always_is_asked_three_times(proxy, origin):
    origin.on_head = lambda stream: stream.reset(Codes.REFUSED_STREAM)
    expect_error(proxy.get(), "upstream_reset")
    assert len(origin.requests) == 3


def test_a_lost_connection_fails_what_cannot_be_repeated(proxy, origin):
    """The idempotent one goes to a new connection, the other one does not."""
    assert proxy.get().status == 200
    origin.answer = None
    get, post = proxy.client().send(request("/get")), proxy.client().send(request("/post", method="POST", body=b"abc"))
    origin.wait_streams(3)
    wait_for(lambda: origin.requests[1].is_complete and origin.requests[2].is_complete, "both are complete")
    origin.answer = reply_ok
    origin.connections[0].close()
    expect_error(post.response("POST"), "upstream_reset")
    assert get.response().status == 200
    assert [s.path for s in origin.requests][-1] == "/get" and len(origin.connections) == 2


def test_a_lost_connection_cuts_answers_that_began(proxy, origin):
    origin.answer = lambda stream: stream.head(200, ("content-length", "10")).send(b"12345")
    clients = [proxy.client().send(request()) for _ in range(3)]
    for client in clients:
        assert client.reader.until(b"12345")
    origin.connections[0].close()
    for client in clients:
        client.expect_reset()


def test_a_broken_frame_ends_the_connection(proxy, origin):
    """DATA on stream 0: the endpoint has lost count, and all its answers with it."""
    origin.answer = lambda stream: stream.connection.raw(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")
    expect_error(proxy.get(), "upstream_invalid")
    wait_for(lambda: origin.connections[0].goaway is not None, "the proxy says why")
    assert origin.connections[0].goaway == Codes.PROTOCOL_ERROR
    is_well(proxy, origin, connections=2)


def test_an_endpoint_that_speaks_http1(start):
    origin = Origin(lambda connection, request: connection.send(reply()))
    proxy = start(upstreams={"a": {"endpoints": [origin], "protocol": "http2"}})
    response = proxy.get()
    assert response.status == 502 and response.get("x-weir-error") in ("upstream_invalid", "upstream_reset")


def test_an_endpoint_that_is_down(start):
    origin = H2Origin()
    origin.stop()
    proxy = start(upstreams={"a": {"endpoints": [origin], "protocol": "http2"}})
    expect_error(proxy.get(), "connect_failed")


def test_all_who_waited_for_a_connect_are_told(proxy, origin):
    forget_limits(proxy, origin)
    with origin.frozen() as refuse:
        clients = [proxy.client().send(request()) for _ in range(5)]
        wait_for(lambda: proxy.live()["exchanges"] == 5, "five exchanges")
        refuse()
        for client in clients:
            expect_error(client.response(), "connect_failed")
    is_well(proxy, origin)


def test_silence_is_asked_and_then_believed(start):
    """Who does not answer the PING is lost, and the request tried again where it may; who does may think."""
    deaf, thinking = H2Origin(), H2Origin(answer=None)
    upstreams = {name: {"endpoints": [of], "protocol": "http2"} for name, of in (("deaf", deaf), ("thinking", thinking))}
    routes = [{"name": "deaf", "match": {"path": {"prefix": "/deaf"}}, "to": "deaf"}, {"name": "all", "to": "thinking"}]
    proxy = start(upstreams=upstreams, routes=routes)
    assert proxy.get("/deaf").status == 200
    deaf.answer = None
    unheard, patient = proxy.client().send(request("/deaf")), proxy.client().send(request())
    deaf.wait_streams(2)
    stream = thinking.wait_streams(1)[0]
    deaf.connections[0].is_deaf = True
    deaf.answer = reply_ok
    assert unheard.response().status == 200
    assert len(deaf.connections) == 2
    deaf.connections[0].is_over.set()
    wait_for(lambda: "PingReceived" in stream.connection.events, "a PING")
    stream.reply()
    assert patient.response().status == 200
    assert len(thinking.connections) == 1


def test_an_unused_connection_says_goodbye(start):
    origin = H2Origin()
    proxy = start(upstreams={"a": {"endpoints": [origin], "protocol": "http2", "idle_timeout": "100ms"}})
    assert proxy.get().status == 200
    assert origin.connections[0].wait_end() == "fin"
    assert origin.connections[0].goaway == Codes.NO_ERROR
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a") == 0, "no connection is left")


def test_pings_and_settings_of_an_idle_endpoint_are_answered(proxy, origin):
    assert proxy.get().status == 200
    connection = origin.connections[0]
    connection.wait_settled()
    connection.ping()
    connection.update_settings(MAX_CONCURRENT_STREAMS=7)
    wait_for(lambda: "PingAckReceived" in connection.events, "the PING is answered")
    wait_for(lambda: connection.events.count("SettingsAcknowledged") == 2, "SETTINGS are acknowledged")
    is_well(proxy, origin)


def test_a_reload_changes_the_protocol(start, make_origin):
    new, old = H2Origin(), make_origin()
    proxy = start(old, upstreams={"a": {"endpoints": [old]}})
    assert proxy.get().status == 200
    proxy.config["upstreams"]["a"] = {"endpoints": [new], "protocol": "http2"}
    proxy.write_config()
    status, answer = proxy.admin("POST", "/api/v1/reload", {"reason": "test"})
    assert status == 200, answer
    assert proxy.get().status == 200 and len(new.requests) == 1
    new.stop()


# ---- WebSocket (RFC 8441) --------------------------------------------------------------------------------------------------


@pytest.fixture(name="chat")
def fixture_chat(proxy):
    """The origin behind /chat, which takes WebSockets."""
    return proxy.origins[2]


@pytest.fixture(name="tunnel")
def fixture_tunnel(proxy, chat):
    """(client, stream): both ends of a WebSocket."""
    origin = chat
    origin.answer = None
    origin.on_head = lambda stream: stream.head(200)
    client = proxy.client().send(request("/chat?x=1", *WEBSOCKET))
    response = client.response()
    assert response.status == 101
    assert response.get("Upgrade") == "websocket"
    assert response.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    yield client, origin.last
    client.close()


def test_websocket_becomes_extended_connect(tunnel):
    _, stream = tunnel
    assert (stream.method, stream.path, stream.field(":protocol")) == ("CONNECT", "/chat?x=1", "websocket")
    assert stream.field("sec-websocket-version") == "13"


def test_a_tunnel_carries_bytes_both_ways(tunnel):
    client, stream = tunnel
    client.send(b"up")
    wait_for(lambda: stream.body == b"up", "bytes go up")
    stream.send(b"down")
    assert client.reader.until(b"down") == b"down"
    stream.send(PIECE * 4)
    assert client.reader.exactly(len(PIECE) * 4) == PIECE * 4
    client.send(PIECE * 4)
    wait_for(lambda: len(stream.body) == 2 + 4 * len(PIECE), "many bytes go up")


def test_a_client_ends_its_half_of_a_tunnel(proxy, tunnel):
    client, stream = tunnel
    client.send(b"last").shutdown()
    stream.wait_complete()
    assert stream.body == b"last"
    stream.send(b"answer", end=True)
    assert client.rest() == b"answer"
    wait_for(lambda: proxy.live()["exchanges"] == 0, "the tunnel is over")
    assert stream.reset_code is None


def test_an_endpoint_ends_its_half_of_a_tunnel(proxy, tunnel):
    client, stream = tunnel
    stream.send(b"last", end=True)
    assert client.reader.exactly(4) == b"last"
    client.send(b"answer").shutdown()
    stream.wait_complete()
    assert stream.body == b"answer" and client.rest() == b""
    wait_for(lambda: proxy.live()["exchanges"] == 0, "the tunnel is over")
    assert stream.reset_code is None


def test_an_endpoint_resets_a_tunnel(tunnel):
    client, stream = tunnel
    stream.reset(Codes.CANCEL)
    client.expect_reset()


def test_a_client_resets_a_tunnel(tunnel):
    client, stream = tunnel
    client.reset()
    assert stream.wait_reset() == Codes.CANCEL


def test_a_tunnel_and_requests_share_a_connection(proxy, chat, tunnel):
    client, stream = tunnel
    chat.on_head, chat.answer = None, reply_ok
    assert proxy.get("/chat/beside").status == 200
    client.send(b"still")
    wait_for(lambda: stream.body == b"still", "the tunnel works")
    assert len(chat.connections) == 1


def test_an_endpoint_without_extended_connect(proxy, origin):
    for _ in range(2): # before its SETTINGS are known, and after
        expect_error(proxy.client().send(request("/", *WEBSOCKET)).response(), "upgrade_unsupported")
    assert origin.requests == []
    is_well(proxy, origin)


def test_an_endpoint_refuses_a_websocket(proxy, chat):
    chat.on_head = lambda stream: stream.reply(b"no", status=403)
    client = proxy.client().send(request("/chat", *WEBSOCKET))
    response = client.response()
    assert (response.status, response.body) == (403, b"no")
    chat.on_head = None
    assert client.get("/chat").body == b"ok" and len(chat.connections) == 1


def test_another_upgrade_is_asked_for_without(proxy, origin):
    response = proxy.get("/", "Connection: Upgrade", "Upgrade: other")
    assert response.status == 200
    assert origin.last.method == "GET" and origin.last.field("upgrade") is None
