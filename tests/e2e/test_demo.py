# e2e/test_demo.py - `weir demo`: serves, shows, tells its story, and leaves nothing behind however it ends.
import glob
import os
import pty
import re
import signal
import socket
import subprocess
import tempfile
import termios
import urllib.request

import pytest

from harness import wait_for
from harness.proxy import WEIR, free_port

pytestmark = pytest.mark.once  # one thread, and the proxy is the one that all other tests run


class Demo:
    def __init__(self, directory, *words, command=None):
        self.directory = str(directory)
        # Short: the path of a socket is in it, and the demo takes no TMPDIR that is too long for one.
        self.temporary = tempfile.TemporaryDirectory(prefix="demo")
        self.out = open(os.path.join(self.directory, "out"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command or [WEIR, "demo", *words], stdout=self.out, stderr=subprocess.STDOUT,
            env=dict(os.environ, TMPDIR=self.temporary.name),
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
        return glob.glob(os.path.join(self.temporary.name, "weir-demo-*"))

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
        demo.temporary.cleanup()


def test_it_serves_counts_and_ends_by_itself(demo):
    run = demo("--for", "3s", "--rate", "100", "--port", str(free_port()), "--story", "none")
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
    run = demo("--port", str(free_port()), "--story", "none")
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


# ---- the story ---------------------------------------------------------------------------------------------------------


def test_a_release_goes_bad_is_taken_back_and_the_next_one_succeeds(demo):
    run = demo("--port", str(free_port()), "--rate", "400", "--hold", "500ms")
    wait_for(lambda: re.search("SUCCEEDED|the story ends", run.said()), run.said)
    said = run.said()
    told = [
        "release 2.0 begins", "step 1 of 4: the canary gets 10 %", "step 2 of 4: the canary gets 30 %", "THE CANARY TURNS BAD: 15 %",
        "ROLLED BACK by error_rate_ratio", "until nobody met the canary", "the canary is mended", "release 2.1 begins",
        "step 1 of 4", "step 2 of 4", "step 3 of 4: the canary gets 60 %", "it bakes", "release 2.1 SUCCEEDED",
    ]
    at = 0
    for words in told:
        assert words in said[at:], (words, said)
        at = said.index(words, at)
    evidence, bound = map(int, re.search(r"the evidence has grown to (\d+) of (\d+)", said).groups())
    assert evidence >= bound == 100
    assert "evidence 1 of 100" in said, "where it begins"
    assert re.search(r"rolled_back 0 %", said)
    # What it shows of its configuration is what is in force, and the record is where it says.
    shown = said[said.index("rollouts:") : said.index("Ctrl-C")].strip()
    with open(os.path.join(run.leftovers()[0], "weir.yaml"), encoding="utf-8") as file:
        assert shown.replace('"2.0"', '"2.1"') in file.read()
    for command in re.findall(rf"^  ({re.escape(WEIR)} ctl .*)$", said, re.MULTILINE):
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout
    assert "error_rate_ratio" in done.stdout, "the last one: incidents"
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0 and run.leftovers() == [], run.said()


def test_the_story_gives_way_to_who_watches(demo):
    run = demo("--port", str(free_port()), "--hold", "10m")
    wait_for(lambda: run.leftovers() and "release, as weir.yaml" in run.said(), run.said)
    for word in ("start", "rollback"):
        subprocess.run(
            [WEIR, "ctl", "--state-dir", run.leftovers()[0], "rollout", "demo", word, "--reason", "mine"],
            check=True, timeout=30, stdout=subprocess.DEVNULL,
        )
    wait_for(lambda: "the story ends here: the release was ended by hand" in run.said(), run.said)
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0 and run.leftovers() == []


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_on_a_terminal_a_block_is_written_again_and_again(tmp_path, no_colour):
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (24, 40))
    process = subprocess.Popen(
        [WEIR, "demo", "--for", "1s", "--port", str(free_port())], stdin=far, stdout=far, stderr=far,
        env=dict(os.environ, TMPDIR=str(tmp_path), TERM="xterm", NO_COLOR=no_colour),
    )
    os.close(far)
    said = b""
    try:
        while more := os.read(near, 65536):
            said += more
    except OSError:
        pass  # how a terminal says that nobody writes any more
    os.close(near)
    assert process.wait(30) == 0, said
    up = re.search(rb"\x1b\[(\d+)A\r\x1b\[J", said)
    block = said[said.rindex(b"\x1b[?7l") : said.rindex(b"\x1b[?7h")]
    assert int(up[1]) >= 5 and b"stable" in block and b"requests a second" in block
    assert max(len(line) for line in re.sub(rb"\x1b\[[?\d]+[a-z]", b"", block).splitlines()) == 40, "cut off at the edge"
    assert bool(re.search(rb"\x1b\[\d+m", said)) == (no_colour == "")


@pytest.mark.parametrize("words", [["--story", "tale"], ["--hold", "1ms"], ["--hold", "2h"]])
def test_a_story_that_does_not_exist_is_wrong_usage(words):
    done = subprocess.run([WEIR, "demo", *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and words[0] in done.stderr
