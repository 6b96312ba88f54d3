# e2e/test_timeouts.py - what a deadline covers.
import time

from harness import CLOSE, Origin, reply

EACH_S = 0.7  # of the two tries: either one is within the timeout, both together are not


def test_a_routes_timeout_covers_all_tries_together(start):
    def answer(connection, _):
        if len(connection.requests) == 1 and connection.index == 0:
            return connection.send(reply())  # leaves a pooled connection behind
        time.sleep(EACH_S)
        return CLOSE if connection.index == 0 else connection.send(reply())

    origin = Origin(answer)
    proxy = start(origin, routes=[{"name": "all", "to": "a", "timeout": "1s"}])
    assert proxy.get().status == 200
    late = proxy.get()
    assert len(origin.connections) == 2, "the second try was made"
    assert (late.status, late.error) == (504, "response_timeout")
    origin.stop()


def test_two_tries_within_the_timeout_are_answered(start):
    def answer(connection, _):
        if connection.index == 0 and len(connection.requests) > 1:
            return CLOSE
        return connection.send(reply())

    origin = Origin(answer)
    proxy = start(origin, routes=[{"name": "all", "to": "a", "timeout": "10s"}])
    assert [proxy.get().status for _ in range(2)] == [200, 200]
    assert len(origin.connections) == 2
    origin.stop()
