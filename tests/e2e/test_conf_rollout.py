# e2e/test_conf_rollout.py - what users are shown of releases is true: conf/rollout.yaml by its own comments, docs/rollouts.md's output.
import hashlib
import itertools
import os
import re
import shlex
import subprocess
import time

import pytest

from harness import DEADLINE_S, Proxy, reply, wait_for
from harness.proxy import ROOT, WEIR, free_port

TOKEN = "of-another-person"
# Nothing of the file is left out but what depends on the day of the test; a second person who may approve comes to it.
ANY_DAY = 'windows: [ { days: mon-sun, from: "00:00", to: "24:00", tz: Europe/Berlin } ]'


class Example(Proxy):
    """A proxy with a file of conf/ instead of a made one: its ports are free ones, its origins ours."""

    def __init__(self, name, ports):
        super().__init__(listeners={"web": {"bind": f"127.0.0.1:{ports['8080']}"}})
        with open(os.path.join(ROOT, "conf", name), encoding="utf-8") as file:
            self.text = file.read()
        for old, new in ports.items():
            self.text = self.text.replace(f":{old}", f":{new}")
        self.admin_url = f"http://127.0.0.1:{free_port()}"
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        self.text += f"\nadmin: {{ bind: '{self.admin_url[7:]}', tokens: [ {{ name: bea, role: approver, sha256: '{digest}' }} ] }}\n"
        self.name = name
        os.makedirs(self.path("bin"))
        os.symlink(os.path.abspath(WEIR), self.path("bin/weir"))
        os.symlink("weir.yaml", self.path(name))

    def write_config(self):
        with open(self.path("weir.yaml"), "w", encoding="utf-8") as file:
            file.write(self.text)

    def commands(self):
        """Of the comment at the file's head: what follows two blanks is said about them."""
        head = self.text[: self.text.index("\nstate_dir")]
        return [re.split(r"  +", line)[0] for line in re.findall(r"^#   (weir .*)$", head, re.MULTILINE)]

    def weir(self, command, status=0):
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=60, cwd=self.directory.name, check=False,
            env=dict(os.environ, PATH=f"{self.path('bin')}:{os.environ['PATH']}", WEIR_STATE_DIR=self.path("state")),
        )
        assert done.returncode == status, (command, done.stdout, done.stderr, self.error_log())
        return done.stdout + done.stderr


@pytest.mark.once
def test_the_example_is_walked_by_its_own_commands(make_origin):
    stable_a, stable_b, canary, dark, told = (make_origin(reply(b"shop")) for _ in range(5))  # dark is compared: the same
    places = {"3001": stable_a, "3002": stable_b, "3003": canary, "3004": dark, "9093": told}
    ports = {port: origin.address.rsplit(":", 1)[1] for port, origin in places.items()}
    with Example("rollout.yaml", {**ports, "8080": str(free_port())}) as proxy:
        check, run, plan, start, promote, approve, rollback = proxy.commands()
        assert run == "weir run -c rollout.yaml" and proxy.weir(check).startswith("rollout.yaml: ok")
        client, number = proxy.client(), itertools.count()

        def visits():
            """How many of 40 requests of new users, and of one of staff, the canary gets."""
            before, seen = len(shop_requests(canary)), []
            for fields in [[f"cookie: shop_id=user-{next(number)}"] for _ in range(40)] + [["x-staff: 1"]]:
                assert client.get("/", *fields).body == b"shop"
                seen.append(len(shop_requests(canary)) - before)
            return seen[-2], seen[-1] - seen[-2]

        assert visits() == (0, 1), "before the start: staff alone"
        assert "1% for" in proxy.weir(plan) and "error_rate" in proxy.weir(plan)
        said = proxy.weir(start)
        assert re.match(r"shop 2\.4\.1: (holding|running), canary has [01]% of", said), said
        # Whatever the day: from here on the window is open.
        proxy.text = re.sub(r"windows: .*", ANY_DAY, proxy.text)
        proxy.text = re.sub(r"\n *freeze: .*", "", proxy.text)
        proxy.write_config()
        proxy.weir("weir ctl reload --reason 'the same, any day'")
        wait_for(lambda: proxy.weir("weir ctl rollout shop").startswith("shop 2.4.1: holding, canary has 1% of"), proxy.error_log)
        assert "canary has 10% of" in proxy.weir(promote)
        assert "awaiting_approval" in proxy.weir(promote)
        assert "somebody else has to approve" in proxy.weir(approve, status=1)
        with open(proxy.path("token"), "w", encoding="utf-8") as file:
            file.write(TOKEN + "\n")
        os.chmod(proxy.path("token"), 0o600)
        proxy.weir(f"{approve} --admin {proxy.admin_url} --token-file {proxy.path('token')}")
        give_up = time.monotonic() + 4 * DEADLINE_S  # 45 s were met with a load of 15 on two cores
        while "canary has 50% of" not in (said := proxy.weir("weir ctl rollout shop")):  # until the guardrails have seen enough
            assert time.monotonic() < give_up and "rolled" not in said, said
            visits()
        assert visits()[0] > 0
        assert "canary has 0% of" in proxy.weir(rollback)
        assert visits() == (0, 0), "staff comes back, too"
        wait_for(lambda: "rolled_back" in proxy.weir("weir ctl rollout shop"), proxy.error_log)
        wait_for(lambda: any(b"WeirRollout" in request.body for request in told.requests), "ops is told")
        audit = proxy.weir("weir ctl audit")
        assert all(words in audit for words in ("release 2.4.1", "figures look good", "customers complain", "bea"))
        proxy.weir("weir ctl audit --verify")


def shop_requests(origin):
    """Without those of the monitor."""
    return [request for request in origin.requests if request.target == "/"]


def shape(text):
    """Without what differs from run to run: numbers, and where lines are broken for them."""
    text = re.sub(r"detected in \S+,", "detected in N,", text)  # `-` when it is not known since when it was bad
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.:TZ-]*(m?s)?\b", "N", text)).strip()


@pytest.mark.once
def test_the_page_shows_what_is_said_of_a_rollback(make_origin, start):
    v1, v2 = make_origin(reply(b"1")), make_origin(reply(b"2"))
    proxy = start(
        upstreams={"shop-v1": {"endpoints": [v1]}, "shop-v2": {"endpoints": [v2]}},
        routes=[{"name": "shop", "split": {"shop-v1": 100, "shop-v2": 0}}],
        rollouts={
            "shop": {
                "route": "shop", "stable": "shop-v1", "canary": "shop-v2", "revision": "2.4.1",
                "steps": [{"weight": "20%", "hold": "10m", "min_requests": 500}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}],
                "guardrails": [{"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}, {"metric": "error_rate", "max": "50%", "window": "1m"}],
            }
        },
    )

    def weir(*words):
        done = subprocess.run(
            [WEIR, "ctl", "--state-dir", proxy.path("state"), *words], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    weir("rollout", "shop", "start", "--reason", "release 2.4.1")
    client, give_up = proxy.client(), time.monotonic() + DEADLINE_S
    for _ in range(100):
        client.get("/")
    v2.answer = reply(b"boom", status="500 Internal Server Error")
    while "rolled_back" not in (said := weir("rollout", "shop")):
        assert time.monotonic() < give_up, said
        client.get("/")
    with open(os.path.join(ROOT, "docs", "rollouts.md"), encoding="utf-8") as page:
        shown = re.findall(r"^```\n\$ weir ctl (.*)\n((?:.*\n)*?)```$", page.read(), re.MULTILINE)
    shown = [(words, output) for words, output in shown if not words.startswith("drill ")]  # test_drill.py has drills
    assert [words for words, _ in shown] == ["rollout shop", "incidents"]
    for words, output in shown:
        said = weir(*words.split())
        assert max(map(len, said.splitlines())) <= 100
        assert shape(said.replace("unix:" + os.environ.get("USER", "root"), "unix:root")) == shape(output), said
