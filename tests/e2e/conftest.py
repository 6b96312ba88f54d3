# e2e/conftest.py - fixtures: proxies and origins that end with their test, orderly.
import os
import shutil
import subprocess

import pytest

from harness import Origin, Proxy
from harness.proxy import ROOT


def pytest_configure(config):
    config.addinivalue_line("markers", "once: costs much and shows nothing about threads: not repeated under ThreadSanitizer")


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """A copy of conf/ with the certificates that it names."""
    directory = tmp_path_factory.mktemp("examples") / "conf"
    shutil.copytree(os.path.join(ROOT, "conf"), directory, ignore=shutil.ignore_patterns("tls"))
    subprocess.run([os.path.join(ROOT, "scripts", "test-certificates"), directory / "tls"], check=True, capture_output=True)
    return str(directory)


@pytest.fixture
def make_origin():
    """Makes origins that end with the test: make_origin(answer)."""
    made = []

    def make_one(*arguments, **options):
        made.append(Origin(*arguments, **options))
        return made[-1]

    yield make_one
    for origin in made:
        origin.stop()


@pytest.fixture
def origin(make_origin):
    """An origin that answers 200 `ok`; tests set `answer`."""
    return make_origin()


@pytest.fixture
def gone():
    """The address of an origin that is down."""
    made = Origin()
    made.stop()
    return made.address


@pytest.fixture
def start():
    """Starts a proxy: start(origin, limits={...}, routes=[...]). Drained, checked and stopped with the test."""
    started = []

    def start_one(*origins, **config):
        proxy = Proxy(*origins, **config)
        started.append(proxy)
        return proxy.start()

    yield start_one
    problems = []
    for proxy in started:
        try:
            proxy.end()
        except AssertionError as problem:
            problems.append(problem)
    assert not problems, problems


@pytest.fixture
def proxy(house):
    """The proxy that the tests of a module share: each module defines `house`. Between two tests nothing may be live."""
    yield house.revive()
    house.settle()


@pytest.fixture
def settled(house):
    """The same for a module whose house has more than the proxy."""
    house.proxy.revive()
    yield
    house.proxy.settle()
