# e2e/test_demo.py - `weir demo`: serves, shows, and leaves nothing behind however it ends.
import glob
import os
import re
import signal
import socket
import subprocess
import urllib.request

import pytest

from harness import wait_for
from harness.proxy import WEIR, free_port


class Demo:
    def __init__(self, directory, *words, command=None):
        self.directory = str(directory)
        self.out = open(os.path.join(self.directory, "out"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command or [WEIR, "demo", *words], stdout=self.out, stderr=subprocess.STDOUT,
            env=dict(os.environ, TMPDIR=self.directory),
        )

    def said(self):
        with open(os.path.join(self.directory, "out"), encoding="utf-8") as file:
            return file.read()

    def url(self, name):
        found = re.search(rf"^  {name} +(http://\S+)", self.said(), re.MULTILINE)
        return found and found[1]

    def wait_until_it_serves(self):
        wait_for(lambda: self.url("metrics") or self.process.poll() is not None, self.said)
        assert self.process.poll() is None, self.said()

    def wait(self):
        return self.process.wait(30)

    def leftovers(self):
        return glob.glob(os.path.join(self.directory, "weir-demo-*"))

    def proxy_pid(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return int(file.read())


@pytest.fixture(name="demo")
def fixture_demo(tmp_path):
    made = []

    def make(*words, **more):
        made.append(Demo(tmp_path, *words, **more))
        return made[-1]

    yield make
    for demo in made:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()
        demo.out.close()


def test_it_serves_counts_and_ends_by_itself(demo):
    run = demo("--for", "3s", "--rate", "100", "--port", str(free_port()))
    assert run.wait() == 0, run.said()
    done = re.search(
        r"^(\d+) requests answered: stable (\d+), canary (\d+), dark (\d+); \d+ failed, 0 lost$", run.said(), re.M
    )
    assert done, run.said()
    answered, stable, canary, dark = map(int, done.groups())
    assert answered == stable + canary + dark and answered >= 50
    assert abs(canary / (stable + canary) - 0.1) < 0.05
    assert dark >= answered // 20
    assert run.leftovers() == []


def test_what_it_suggests_works(demo):
    run = demo("--port", str(free_port()))
    run.wait_until_it_serves()
    with urllib.request.urlopen(run.url("proxy"), timeout=10) as answer:
        assert answer.headers["x-weir-upstream"] in ("stable", "canary")
    request = urllib.request.Request(run.url("proxy"), headers={"x-dark-launch": "on"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.read() == b"dark\n"
    with urllib.request.urlopen(run.url("metrics"), timeout=10) as answer:
        assert b"weir_requests_total{" in answer.read()
    with urllib.request.urlopen(run.url("admin"), timeout=10) as answer:
        assert b'"serving"' in answer.read()
    commands = re.findall(rf"^  ({re.escape(WEIR)} .*)$", run.said(), re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["explain", "ctl", "ctl"]
    for command in commands:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout
    wait_for(lambda: re.search(r"\d+ 50\.0 %", re.sub(" +", " ", run.said())), run.said)
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0 and run.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(demo, number):
    run = demo("--port", str(free_port()))
    run.wait_until_it_serves()
    proxy = run.proxy_pid()
    run.process.send_signal(number)
    assert run.wait() == 0
    assert not os.path.exists(f"/proc/{proxy}")
    assert run.leftovers() == []


def test_it_ends_when_its_parent_does(demo):
    run = demo(command=["sh", "-c", f"'{WEIR}' demo --port {free_port()} & wait"])
    run.wait_until_it_serves()
    run.process.kill()
    run.wait()
    wait_for(lambda: "requests answered" in run.said(), run.said)
    wait_for(lambda: run.leftovers() == [], lambda: run.leftovers())


def test_the_proxy_ends_when_the_demo_is_killed(demo):
    run = demo("--port", str(free_port()))
    run.wait_until_it_serves()
    proxy = run.proxy_pid()
    run.process.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{proxy}"), "the proxy is gone")


def test_a_proxy_that_dies_ends_the_demo_with_its_log(demo):
    run = demo("--port", str(free_port()))
    run.wait_until_it_serves()
    os.kill(run.proxy_pid(), signal.SIGKILL)
    assert run.wait() == 1
    assert "the proxy ended by itself; its log is above" in run.said()
    assert run.leftovers() == []


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_its_holder(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = demo("--port", str(port))
        assert run.wait() == 1
    assert f"'127.0.0.1:{port}': Address already in use" in run.said()
    assert run.leftovers() == []


def test_without_a_port_it_takes_another_when_8080_is_taken(demo):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it: just as good
        run = demo("--for", "1s")
        assert run.wait() == 0, run.said()
    assert not run.url("proxy").endswith(":8080/")
