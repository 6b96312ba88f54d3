# e2e/test_http1.py - HTTP/1.1 end to end: what arrives at the origin, what comes back.
import pytest

from harness import Origin, Proxy


@pytest.fixture(scope="module", name="house")
def fixture_house():
    with Proxy(Origin()) as proxy:
        yield proxy


@pytest.fixture(name="proxy")
def fixture_proxy(house):
    yield house
    house.settle()


def test_a_request_comes_and_goes(proxy):
    response = proxy.get("/x?y=1")
    assert (response.status, response.body) == (200, b"ok")
    assert proxy.origins[0].last.start == "GET /x?y=1 HTTP/1.1"
    assert proxy.access_line(path="/x")["status"] == 200
