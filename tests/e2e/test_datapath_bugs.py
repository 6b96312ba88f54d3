# e2e/test_datapath_bugs.py - what broke the data path once: each test failed before its fix.
import itertools
import os
import socket
import threading
import time

import pytest

from harness import CLOSE, Origin, chunked, reply, request, wait_for

number = itertools.count()
UPGRADE = ("Connection: upgrade", "Upgrade: websocket")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def slow_house(start, **config):
    """A proxy on a UNIX socket, whose buffers in the kernel are of a fixed size, and an answer that does not fit."""
    answer = os.urandom(100_000)
    proxy = start(Origin(reply(answer)), listeners={"web": {"bind": "unix:/tmp/weir-%d-%d.sock" % (os.getpid(), next(number))}},
                  **config)
    return proxy, answer


def queue_answers(proxy, client):
    """Asks until answers that are complete for the proxy wait in its own queue; how many."""
    count = 0
    while proxy.live()["chunks"] < 5:
        client.send(request(f"/{count}"))
        proxy.access_line(path=f"/{count}")
        count += 1
    assert proxy.live()["requests"] == 0
    return count


def test_a_slow_answer_drains_while_the_next_head_is_incomplete(start):
    """The next request has no route yet: nothing of it may be timed by one."""
    proxy, answer = slow_house(start)
    client = proxy.client()
    count = queue_answers(proxy, client)
    client.send(b"GET /next HTTP/1.1\r\nHost: exam")
    wait_for(lambda: proxy.live()["requests"] == 1, "the head has begun")
    assert all(client.response().body == answer for _ in range(count))
    client.send(b"ple.com\r\n\r\n")
    assert client.response().status == 200


def test_response_trailers_outlive_the_pooled_connection(start):
    proxy = start(Origin(reply(b"", "Transfer-Encoding: chunked", length=False) +
                         chunked(b"abc", trailers=b"x-sum: 900150983cd24fb0d6963f7d28e17f72\r\n")))
    for _ in range(3):
        assert proxy.get().trailers == [("x-sum", "900150983cd24fb0d6963f7d28e17f72")]


def test_a_malformed_first_line_shows_nothing_of_an_earlier_request(start):
    proxy = start(Origin())
    client = proxy.client()
    client.get("/secret", "User-Agent: earlier", host="earlier.example", method="HEAD")
    response = client.send(b"\x01\r\n\r\n").response()
    assert (response.status, response.error) == (400, "malformed")
    assert response.body.startswith(b"malformed"), "the answer to HEAD has no body, this one has"
    line = proxy.access_line(status=400)
    assert not {"path", "host", "user_agent", "query", "method"} & set(line), line


def test_an_incomplete_head_is_logged_from_its_own_bytes(start):
    """The head outgrows the chunk its first line was read into; others fill that chunk meanwhile."""
    proxy = start(Origin(), limits={"header_timeout": "1s"})
    client = proxy.client()
    client.send(b"GET /mine HTTP/1.1\r\nHost: example.com\r\nUser-Agent: mine\r\n")
    field = b"x-filler: " + b"f" * 1000 + b"\r\n"
    for i in range(20):
        client.send(field)
        proxy.get("/other")
    assert client.response().status == 408
    assert proxy.access_line(status=408)["path"] == "/mine"
    assert proxy.access_line(status=408)["user_agent"] == "mine"


def test_a_body_until_close_is_relayed_whole(start):
    """Rechunked it is longer than it was read: the queue is full before it is written at once."""
    body = os.urandom(3_000_000)
    proxy = start(Origin([b"HTTP/1.1 200 OK\r\n\r\n" + body, CLOSE]))
    for _ in range(5):
        assert proxy.get().body == body


def test_bytes_behind_an_upgrade_request_reach_the_tunnel(start):
    """They wait until the upstream has agreed, however many they are."""
    for size in (5, 12_000):
        early = os.urandom(size)

        def answer(connection, _):
            connection.send(SWITCHING)
            got = connection.reader.exactly(len(early))
            connection.send(b"got" if got == early else b"bad")
            return CLOSE

        client = start(Origin(answer)).client()
        client.send(request("/", *UPGRADE) + early)
        assert client.response().status == 101
        assert client.reader.exactly(3) == b"got"


def test_an_upgrade_before_the_body_is_read_is_refused(start):
    """RFC 9110 7.8: the whole request comes first; what is left of it would be read as the new protocol."""
    def answer(connection, _):
        connection.send(SWITCHING)
        while connection.reader.fill():
            pass
        return CLOSE

    proxy = start(Origin(answer))
    client = proxy.client()
    client.send(request("/", *UPGRADE, "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
    response = client.response()
    assert (response.status, response.error) == (502, "upstream_invalid")


def test_a_fin_behind_an_upgrade_request_reaches_the_upstream(start):
    def answer(connection, _):
        time.sleep(0.2)
        connection.send(SWITCHING + b"bye")
        assert connection.reader.rest() == b"early"
        return CLOSE

    origin = Origin(answer)
    client = start(origin).client()
    client.send(request("/", *UPGRADE) + b"early").shutdown()
    assert client.response().status == 101
    assert client.rest() == b"bye"
    assert origin.connections[0].wait_end() == "fin"


def test_the_last_bytes_of_a_tunnel_arrive_after_both_fins(start):
    """The upstream ends first, and reads late what the client still has to say."""
    go, got = threading.Event(), []

    def answer(connection, _):
        connection.send(SWITCHING)
        connection.sock.shutdown(socket.SHUT_WR)
        assert go.wait(30)
        got.append(sum(len(data) for data in iter(lambda: connection.sock.recv(65536), b"")))
        return CLOSE

    proxy = start(Origin(answer))
    client = proxy.client()
    client.send(request("/", *UPGRADE))
    assert client.response().status == 101
    client.expect_closed()
    sent = 0
    while proxy.live()["chunks"] < 5:  # bytes wait in the proxy's queue
        client.send(b"t" * 65536)
        sent += 65536
    client.shutdown()
    go.set()
    wait_for(lambda: got, "the origin has read to the end")
    assert got == [sent]


def test_a_fin_while_the_answer_is_still_being_sent(start):
    """Answered is not sent: a client that half-closes late gets the rest."""
    proxy, answer = slow_house(start)
    client = proxy.client()
    count = queue_answers(proxy, client)
    client.shutdown()
    assert all(client.response().body == answer for _ in range(count))
    client.expect_closed()


def test_a_drain_does_not_cut_an_answer_on_its_way(start):
    proxy, answer = slow_house(start)
    client = proxy.client()
    count = queue_answers(proxy, client)
    proxy.drain()
    wait_for(lambda: proxy.admin("GET", "/readyz")[0] == 503, "it drains")
    assert all(client.response().body == answer for _ in range(count))
    client.expect_closed()


def test_a_pipelined_request_that_can_never_be_completed(start):
    """FIN came while the one in front was being answered."""
    proxy = start(Origin(lambda connection, _: time.sleep(0.2) or connection.send(reply(b"first"))))
    for tail in (request("/2", "Content-Length: 10", method="POST") + b"abc", b"GET /2 HTTP/1.1\r\nHos"):
        client = proxy.client()
        client.send(request("/1") + tail).shutdown()
        assert client.response().body == b"first"
        client.expect_closed()
        proxy.expect_nothing_live()


def test_stopping_while_an_endpoint_is_being_probed(start):
    """The backlog of a listener that accepts nobody is full: connecting to it hangs."""
    with socket.socket() as blackhole:
        blackhole.bind(("127.0.0.1", 0))
        blackhole.listen(0)
        address = blackhole.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        proxy = start(Origin(), upstreams={"a": {"endpoints": ["127.0.0.1:%d" % address[1]], "connect_timeout": "20s"}})
        proxy.stop()
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("entry, source", [
    ("192.0.2.7", "192.0.2.7"), ("192.0.2.7:4711", "192.0.2.7"), ("[2001:db8::7]:4711", "2001:db8::7"),
    ("[2001:db8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7"), ("192.0.2.7, 127.0.0.1:80", "192.0.2.7"),
    ("192.0.2.9, unknown", "127.0.0.1"), ("192.0.2.7:", "127.0.0.1"), ("[192.0.2.7", "127.0.0.1"),
])
def test_forwarded_for_with_ports_and_brackets(start, entry, source):
    proxy = start(Origin(), listeners={"web": {"bind": "127.0.0.1:0", "trusted_proxies": ["127.0.0.0/8"]}})
    proxy.get("/x", f"X-Forwarded-For: {entry}")
    assert proxy.access_line(path="/x")["source"] == source


def test_options_star_keeps_its_target(start):
    origin = Origin()
    proxy = start(origin, upstreams={"a": {"endpoints": [origin]}}, routes=[
        {"name": "away", "match": {"host": "old.example"}, "redirect": {"to": "https://new.example"}},
        {"name": "all", "to": "a", "rewrite": {"path_prefix": "/api"}}])
    proxy.get("*", method="OPTIONS")
    assert origin.last.target == "*"
    assert proxy.get("*", method="OPTIONS", host="old.example").get("Location") == "https://new.example"


def test_access_lines_are_json_however_long(start):
    proxy = start(Origin())
    agent = b"User-Agent: " + b"\xff" * 700
    head = b"GET /" + b"p" * 600 + b"?" + b"q" * 600 + b" HTTP/1.1\r\nHost: " + b"h" * 600 + b"\r\n" + agent + b"\r\n\r\n"
    assert proxy.send(head).status == 200
    line = proxy.access_line(status=200)
    assert line["path"].startswith("/ppp") and line["user_agent"].startswith("\xff\xff")
