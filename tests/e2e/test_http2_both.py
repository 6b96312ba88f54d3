# e2e/test_http2_both.py - HTTP/2 on both sides of the proxy: what passes through two sessions, and what stays in one.
import pytest

from harness import Proxy, wait_for
from harness.h2 import CANCEL
from harness.h2_origin import Codes, H2Origin, Settings

MIB = 1 << 20
PIECE = bytes(range(256)) * 4096  # 1 MiB
WINDOW = 65535  # RFC 9113 6.9.2
WAITING_MOST_CHUNKS = 80  # of 16 KiB, for one answer: both sides' windows, and what one turn brings


@pytest.fixture(scope="module", name="house")
def fixture_house():
    origin = H2Origin(settings={Settings.ENABLE_CONNECT_PROTOCOL: 1})
    with Proxy(upstreams={"a": {"endpoints": [origin], "protocol": "http2"}}, routes=[{"name": "all", "to": "a"}]) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


def test_head_and_answers_without_a_body(proxy, origin):
    client = proxy.h2_client()
    origin.answer = lambda stream: stream.head(200, ("content-length", "7"), end=True)
    answer = client.get("/", method="HEAD")
    assert (answer.status, answer.get("content-length"), answer.body) == (200, "7", b"")
    for status in (204, 304):
        origin.answer = lambda stream, status=status: stream.head(status, ("etag", '"x"'), end=True)
        answer = client.get("/")
        assert (answer.status, answer.get("etag"), answer.body, answer.reset) == (status, '"x"', b"", None)


def test_the_priority_field_passes_and_its_frames_do_not(proxy, origin):
    """RFC 9218: the field is end to end."""
    origin.answer = lambda stream: stream.reply(b"ok", ("priority", "u=5"))
    client = proxy.h2_client()
    answer = client.get("/", ("priority", "u=1, i"))
    assert answer.get("priority") == "u=5"
    assert origin.last.field("priority") == "u=1, i"
    assert not {"PriorityUpdated", "UnknownFrameReceived"} & set(origin.last.connection.events)


def test_fields_trailers_and_interim_answers(proxy, origin):
    origin.answer = lambda stream: (
        stream.head(103, ("link", "</a>")).head(200, ("set-cookie", "a=1"), ("set-cookie", "b=2")).send(bytes(stream.body)).send_trailers(("x-sum", "7")))
    client = proxy.h2_client()
    stream = client.begin("/", ("cookie", "a=1"), ("cookie", "b=2"), end=False, method="POST")
    client.data(stream, PIECE).trailers(stream, ("x-up", "5"))
    answer = client.answer(stream)
    assert [dict(fields)[":status"] for fields in answer.interim] == ["103"]
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]
    assert answer.body == PIECE and dict(answer.trailers) == {"x-sum": "7"}
    assert origin.last.trailers == [("x-up", "5")]
    assert sorted(origin.last.field("cookie").replace(",", ";").split("; ")) == ["a=1", "b=2"]


def test_a_closed_window_holds_the_answer_at_its_origin(proxy, origin):
    """Not a byte may leave to the client: what the origin may send is bounded, and others share both connections."""
    client = proxy.h2_client(settings={4: 0})
    big = []
    origin.answer = lambda stream: big.append(stream.head().send(PIECE * 8, end=True)) if stream.path == "/big" else stream.head(end=True)
    stream = client.begin("/big")
    wait_for(lambda: big and len(big[0].waiting) < 8 * MIB, "it begins to send")
    for n in range(20):
        assert client.get(f"/{n}").status == 200
    assert len(big[0].waiting) > 6 * MIB and len(origin.connections) == 1
    assert proxy.live()["chunks"] <= WAITING_MOST_CHUNKS
    client.state.increment_flow_control_window(16 * MIB, stream)
    client.state.increment_flow_control_window(16 * MIB)
    client.flush()
    assert client.answer(stream).body == PIECE * 8


def test_a_closed_window_holds_the_body_at_its_client(proxy, origin):
    origin.is_reading = False
    client = proxy.h2_client()
    stream = client.begin("/", end=False, method="POST")
    room = lambda: client.ping().state.local_flow_control_window(stream)
    sent = 0
    while room() > 0 or room() > 0:
        size = min(16384, room())
        client.state.send_data(stream, PIECE[:size])
        client.flush()
        sent += size
    seen = origin.wait_streams(1)[0]
    wait_for(lambda: len(seen.body) == WINDOW, "the origin's window is used up")
    assert WINDOW <= sent <= WINDOW + MIB
    origin.is_reading = True
    seen.connection.take(seen.id, len(seen.body))
    client.data(stream, b"end", end=True)
    assert client.answer(stream).status == 200
    assert len(seen.body) == sent + 3


@pytest.mark.parametrize("when", ["before the head", "in the answer", "in the body"])
def test_a_reset_reaches_the_origins_stream_and_no_other(proxy, origin, when):
    origin.answer = None if when == "before the head" else lambda stream: stream.head().send(b"begun")
    client = proxy.h2_client()
    other = client.begin("/other", end=False, method="POST")
    stream = client.begin("/", end=when != "in the body", method="POST")
    seen = origin.wait_streams(2)[1]
    if when == "in the answer":
        client.until(lambda: client.answers[stream].body == b"begun", "the answer begins")
    client.cancel(stream, CANCEL)
    assert seen.wait_reset() == Codes.CANCEL
    origin.answer = lambda other_stream: other_stream.reply()
    client.data(other, b"x", end=True)
    assert client.answer(other).status == 200 and len(origin.connections) == 1


def open_tunnel(proxy, origin):
    """(client, its stream, the origin's)."""
    origin.answer, origin.on_head = None, lambda stream: stream.head(200)
    client = proxy.h2_client()
    stream = client.begin("/chat", (":protocol", "websocket"), ("sec-websocket-version", "13"), end=False, method="CONNECT")
    client.until(lambda: client.answers[stream].fields, "the tunnel is open")
    assert client.answers[stream].status == 200
    origin.on_head = None
    return client, stream, origin.last


def test_a_websocket_stays_an_extended_connect(proxy, origin):
    """RFC 8441 on both sides: no key is asked for, and none is made up."""
    client, stream, seen = open_tunnel(proxy, origin)
    assert (seen.method, seen.path, seen.field(":protocol")) == ("CONNECT", "/chat", "websocket")
    assert seen.field("sec-websocket-version") == "13" and seen.field("upgrade") is None
    client.data(stream, PIECE * 4)
    wait_for(lambda: len(seen.body) == 4 * MIB, "bytes go up")
    assert bytes(seen.body) == PIECE * 4
    seen.send(PIECE * 4)
    client.until(lambda: len(client.answers[stream].body) == 4 * MIB, "bytes come down")
    assert client.answers[stream].body == PIECE * 4
    client.data(stream, b"bye", end=True)
    seen.wait_complete().send(b"bye", end=True)
    assert client.answer(stream).body.endswith(b"bye") and client.answers[stream].reset is None
    wait_for(lambda: proxy.live()["exchanges"] == 0, "the tunnel is over")


@pytest.mark.parametrize("who", ["client", "origin"])
def test_a_reset_ends_both_halves_of_a_tunnel(proxy, origin, who):
    client, stream, seen = open_tunnel(proxy, origin)
    if who == "client":
        client.cancel(stream)
        assert seen.wait_reset() == Codes.CANCEL
    else:
        seen.reset(Codes.CANCEL)
        assert client.answer(stream).reset not in (None, Codes.NO_ERROR)
    origin.answer = lambda other: other.reply()
    assert client.get("/").status == 200
