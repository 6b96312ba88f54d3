# e2e/test_idle.py - stream_idle_timeout counts from the last byte: in answers, in request bodies and in tunnels.
import time

import pytest

from harness import HOLD, request

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
STUCK = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
UPLOAD = request("/", "Content-Length: 100", method="POST")


@pytest.mark.parametrize(
    "answer, sent, came",
    [
        ([STUCK, HOLD], request("/"), STUCK[-3:]),
        ([SWITCH + b"abc", HOLD], request("/", "Connection: Upgrade", "Upgrade: echo"), b"abc"),
        ([STUCK], UPLOAD + b"some", b"body_timeout"),
    ],
    ids=["an answer", "a tunnel", "a request body"],
)
def test_silence_ends_after_the_timeout_and_not_twice_as_late(start, make_origin, answer, sent, came):
    route = {"name": "all", "to": "a", "stream_idle_timeout": "2s"}
    client = start(make_origin(answer), routes=[route]).client()
    begun = time.monotonic()
    client.send(sent)
    got = b""
    try:
        while data := client.sock.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    assert came in got
    assert 1.9 < time.monotonic() - begun < 3.5
