# e2e/test_top.py - `weir top`: shows what happens, outlives the instance it looks at, and ends when it is told to.
import os
import pty
import re
import signal
import subprocess
import termios

import pytest

from harness import reply, wait_for
from harness.proxy import WEIR

pytestmark = pytest.mark.once


@pytest.fixture
def shop(make_origin, start):
    return start(
        upstreams={"s": {"endpoints": [make_origin()]}, "c": {"endpoints": [make_origin(reply(b"", status="503 No"))]}},
        routes=[{"name": "shop", "split": {"s": 75, "c": 25}}, {"name": "other", "match": {"host": "other.example.com"}, "to": "s"}],
        rollouts={"r": {"route": "shop", "stable": "s", "canary": "c", "steps": [{"weight": "25%", "hold": "1h"}, {"weight": "100%"}],
                        "guardrails": [{"metric": "latency_p95", "max": "60s", "window": "1m"}]}},
    )


class Top:
    """Without a terminal: frame after frame, into a file."""

    def __init__(self, proxy, tmp_path):
        self.path = tmp_path / "out"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [WEIR, "top", "--state-dir", proxy.path("state"), "--interval", "200ms"], stdout=out, stderr=subprocess.STDOUT
            )

    def said(self):
        return self.path.read_text()


def test_it_shows_shares_and_errors_outlives_the_instance_and_ends_at_a_signal(shop, tmp_path):
    assert shop.admin("POST", "/api/v1/rollouts/r/start", {"reason": "go"})[0] == 200
    client = shop.client()
    top = Top(shop, tmp_path)

    def shows(pattern):
        for _ in range(8):
            client.get("/")
        return re.search(pattern, top.said(), re.MULTILINE)

    try:
        wait_for(lambda: shows(r"^shop +c +[123]\d\.\d% +\d+\.\d +100\.0% +\d+ +\d\S+ +\d\S+\n +s +[678]\d\.\d% +\d+\.\d +0\.0%|"
                               r"^shop +s +[678]\d\.\d% +\d+\.\d +0\.0% +\d+ +\d\S+ +\d\S+\n +c +[123]\d\.\d% +\d+\.\d +100\.0%"), top.said)
        assert re.search(r"^r +- +holding +1 of 2 +25% +c +59m", top.said(), re.MULTILINE), top.said()
        shop.close_clients()
        shop.process.kill()
        shop.process.wait()
        wait_for(lambda: "could not reach unix:" in top.said() and "the last figures" in top.said(), top.said)
        shop.start()
        # Its own words, not those of a frame that is being written.
        wait_for(lambda: "could not reach" not in (frame := top.said().split("weir top, ")[-2]) and "rollout  revision" in frame, top.said)
    finally:
        top.process.send_signal(signal.SIGTERM)
        assert top.process.wait(30) == 0, top.said()


def top_once(*words):
    return subprocess.run([WEIR, "top", *words], capture_output=True, text=True, timeout=60, check=False)


def test_once_is_one_interval_and_an_instance_that_is_not_there_is_status_1(shop, tmp_path):
    done = top_once("--once", "--interval", "100ms", "--state-dir", shop.path("state"))
    assert done.returncode == 0 and done.stdout.count("weir top, ") == 1 and "upstream" in done.stdout, done.stderr
    done = top_once("--once", "--state-dir", str(tmp_path))
    assert done.returncode == 1 and "could not reach unix:" in done.stderr and "Is weir running there?" in done.stderr
    assert done.stdout == ""
    assert top_once("--interval", "1ms").returncode == 2
    assert top_once("--admin", "ftp://x", "--once").returncode == 2


def test_on_a_terminal_lines_end_at_its_edge_and_before_the_first_figures_it_says_when_they_come(shop):
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (24, 30))
    process = subprocess.Popen(
        [WEIR, "top", "--state-dir", shop.path("state"), "--interval", "500ms"], stdin=far, stdout=far, stderr=far,
        env=dict(os.environ, TERM="xterm"),
    )
    os.close(far)
    said = b""
    try:
        while b"req/s" not in said and (more := os.read(near, 65536)):
            said += more
        process.send_signal(signal.SIGTERM)
        while more := os.read(near, 65536):
            said += more
    except OSError:
        pass  # how a terminal says that nobody writes any more
    os.close(near)
    assert process.wait(30) == 0, said
    frames = re.sub(rb"\x1b\[[?\d]*[A-Za-z]", b"", said)
    assert b"the first figures come in 500m" in frames and max(map(len, frames.splitlines())) == 30, frames
