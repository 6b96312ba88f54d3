# e2e/test_store_lives.py - what is stored over the ends of processes and disks: outcomes, incidents, a disk that fills, imports cut short.
import base64
import hashlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess

import pytest

from harness import Proxy, reply, wait_for
from harness.proxy import WEIR

HALF = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
SOLD = {"event": "purchase", "worse_than_stable": {"ratio": 0.9}, "told_within": "2s"}
PATIENT = {**SOLD, "told_within": "1h"}
FAILS = {"metric": "error_rate", "max": "50%", "window": "1m", "min_requests": 5}


class Release:
    """One rollout, `sale`, of a route whose upstreams answer their names."""

    def __init__(self, make_origin, start, steps=HALF, guardrails=(FAILS,), **rollout):
        self.origins = {"s": make_origin(reply(b"s")), "c": make_origin(reply(b"c"))}
        self.proxy = start(
            upstreams={name: {"endpoints": [origin]} for name, origin in self.origins.items()},
            routes=[{"name": "shop", "split": {"s": 100, "c": 0}}],
            rollouts={"sale": {"route": "shop", "stable": "s", "canary": "c", "steps": steps, "guardrails": list(guardrails), **rollout}},
        )
        self.client = self.proxy.client()

    def try_say(self, action):
        status, answer = self.proxy.admin("POST", f"/api/v1/rollouts/sale/{action}", {"reason": f"test: {action}"})
        return status, answer.get("error", {}).get("message", "")

    def say(self, *actions):
        for action in actions:
            assert self.try_say(action) == (200, ""), self.proxy.error_log()
        return self

    @property
    def view(self):
        return self.proxy.admin("GET", "/api/v1/rollouts/sale")[1]["rollout"]

    @property
    def ended(self):
        return self.view["requests"]["stable"] + self.view["requests"]["canary"]

    @property
    def incidents(self):
        return self.proxy.admin("GET", "/api/v1/incidents")[1]["incidents"]

    def wait_for_state(self, *states):
        wait_for(lambda: self.view["state"] in states, lambda: (self.view, self.proxy.error_log()))

    def send(self, count):
        """The marks of the canary's requests, once all are counted."""
        before = self.ended
        marks = []
        for _ in range(count):
            side = self.client.get("/").body.decode()
            marks += [self.origins["c"].last.get("x-weir-exposure")] if side == "c" else []
        wait_for(lambda: self.ended == before + count, lambda: self.view)
        return marks

    def tell(self, marks, first=0):
        """Of each its sale, with an id."""
        sales = [{"event": "purchase", "exposure": mark, "id": f"order-{first + i}"} for i, mark in enumerate(marks)]
        status, answer = self.proxy.admin("POST", "/api/v1/outcomes", {"outcomes": sales, "reason": "sales"})
        assert status == 200, answer
        return answer

    def restart(self, by=signal.SIGKILL):
        self.proxy.close_clients()
        self.proxy.signal(by)
        self.proxy.process.wait()
        self.proxy.start()
        self.client = self.proxy.client()

    def expect_no_exposure(self):
        assert {self.client.get("/").body for _ in range(30)} == {b"s"}

    def expect_whole_log(self):
        wait_for(lambda: self.proxy.status()["store"]["waiting_count"] == 0, lambda: self.proxy.status()["store"])
        verdict = self.proxy.admin("GET", "/api/v1/audit/verify")[1]
        assert verdict["ok"], verdict


@pytest.fixture
def release(make_origin, start):
    return lambda **options: Release(make_origin, start, **options)


# ---- outcomes ------------------------------------------------------------------------------------------------------------------


def test_outcomes_that_are_told_twice_around_a_kill_count_once(release):
    r = release(guardrails=[PATIENT]).say("start")
    marks = r.send(40)
    assert len(marks) == 20 and r.tell(marks[:12])["counted"] == 12
    r.say("pause", "resume")  # each stores what is known
    r.tell(marks[12:16], first=12)  # some of it may be stored by now, or none
    r.restart()
    again = r.tell(marks[:16])
    assert again["repeated"] >= 12 and again["repeated"] + again["counted"] == 16, again
    assert r.tell(marks)["counted"] == 4
    sale = {"event": "purchase", "exposure": marks[0], "id": "one more", "reason": "x"}
    status, answer = r.proxy.admin("POST", "/api/v1/outcomes", sale)
    assert (status, answer["error"]["code"]) == (409, "too_many"), "as many were told as there were requests"


def test_outcomes_that_wait_to_be_compared_wait_on_over_a_restart(release):
    r = release(guardrails=[SOLD]).say("start")
    assert r.tell(r.send(20))["compared"] == 10
    r.restart(signal.SIGTERM)
    wait_for(lambda: "canary 10 of" in r.view["guardrails"][0].get("reason", ""), lambda: r.view)


# ---- incidents -----------------------------------------------------------------------------------------------------------------


def test_an_incident_that_was_open_at_a_kill_is_closed_by_who_comes_after(release):
    r = release(on_breach="pause").say("start")
    r.origins["c"].answer = reply(b"", status="500 Internal Server Error")
    while r.view["state"] != "paused":
        r.send(10)
    [before] = r.incidents
    assert before["time_to_zero_exposure_ms"] is None, "it is exposed still"
    r.restart()
    assert r.view["state"] == "paused" and r.view["breach"]["guardrail"] == before["guardrail"]
    r.say("rollback")
    wait_for(lambda: r.incidents[0]["time_to_zero_exposure_ms"] is not None, lambda: r.incidents)
    [after] = r.incidents
    assert after["timeline"][: len(before["timeline"])] == before["timeline"]
    assert "no exposure in any worker, after a restart" in [line["what"] for line in after["timeline"]]
    r.expect_no_exposure()
    r.expect_whole_log()


# ---- a disk that fills -----------------------------------------------------------------------------------------------------------

DISK_BYTES = 8 << 20
MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def can_mount():
    try:
        return subprocess.run([*MOUNT, "mount -t tmpfs none /mnt"], capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        return False


class SmallDisk(Proxy):
    """Its state directory is a file system of its own, which nobody but it has mounted."""

    def __init__(self, *origins, **config):
        super().__init__(*origins, **config)
        mount = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && exec "$@"'
        self.wrapper = [*MOUNT, mount, self.config["state_dir"]]

    def on_disk(self, name):
        return f"/proc/{self.pid}/root{self.config['state_dir']}/{name}"

    @property
    def admin_path(self):
        return self.on_disk("admin.sock") if self.process else super().admin_path

    def fill(self):
        """To the last byte."""
        with open(self.on_disk("filler"), "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        if os.path.exists(self.on_disk("filler")):
            os.unlink(self.on_disk("filler"))


class SmallFiles(Proxy):
    """Where nothing can be mounted: no file grows any more."""

    def on_disk(self, name):
        return self.path(f"state/{name}")

    def fill(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def free(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def start_on_small_disk():
    kind, started = (SmallDisk if can_mount() else SmallFiles), []

    def start_one(**config):
        started.append(kind(log={"access": "off"}, **config))
        return started[-1].start()

    yield start_one
    for proxy in started:
        proxy.free()
        proxy.end()


def fill(r):
    """Until nothing can be stored: what the database has free inside is used up as well."""
    r.proxy.fill()
    event = {"subject": "shop", "text": "x" * 900, "reason": "is there room?"}
    wait_for(lambda: "the disk is full" in str(r.proxy.admin("POST", "/api/v1/events", event)), lambda: r.proxy.status()["store"])


def test_a_full_disk_stops_promotions_and_neither_traffic_nor_the_way_back(make_origin, start_on_small_disk):
    steps = [{"weight": "10%", "hold": "100ms", "min_requests": 10}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
    r = Release(make_origin, start_on_small_disk, steps=steps).say("start")
    fill(r)
    status, message = r.try_say("promote")
    assert status == 503 and "the disk is full" in message
    r.send(200)  # traffic goes on
    wait_for(lambda: r.view["hold_left_ms"] == 0 and r.view["is_store_down"], lambda: r.view)
    assert r.view["requests"]["at_step"] == 20 and r.view["weight"] == 0.1, "all that it needs, but nowhere to write it"
    r.proxy.free()
    wait_for(lambda: r.view["weight"] == 0.5, lambda: (r.view, r.proxy.status()["store"]))
    r.expect_whole_log()
    fill(r)
    assert r.try_say("promote")[0] == 503
    r.say("rollback")
    r.expect_no_exposure()
    assert r.proxy.status()["store"]["waiting_count"] > 0
    r.proxy.free()
    r.wait_for_state("rolled_back")
    r.expect_whole_log()
    assert r.proxy.status()["store"]["problem"] is None
    weights = [line["weight"] for line in reversed(r.view["history"])]
    assert weights[0] == 0.1 and 0.5 in weights and weights[-1] == 0, weights


# ---- export and import -------------------------------------------------------------------------------------------------------------

TEXTS = [b"", b"plain", "caf\u00e9 \u6f22\u5b57 \U0001f600 \U0010ffff \u2028".encode(), b'"quoted" \\ \\u0041 </x>', b"\x01\x08\x1f\x7f\r\n\t",
         b"NUL \0 inside", b"\0", b"\xff\xfe no UTF-8", b"\xed\xa0\x80 a surrogate", b"\xc3", b"{\"base64\":\"aGk=\"}", b"null", b"x" * 3000]
NUMBERS = [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 1764100800000]
AT_LEAST = {"weight_ppm": (0, 10**6), "weight": (0, 2**63 - 1), "place": (0, 2**63 - 1), "hold_left_ms": (0, 2**63 - 1),
            "requests": (0, 2**63 - 1), "errors": (0, 2**63 - 1), "slow": (0, 2**63 - 1)}
NONE = "0" * 64


def ctl(directory, *words, **more):
    environment = dict(os.environ, WEIR_STATE_DIR=str(directory))
    return subprocess.run([WEIR, "ctl", *words], capture_output=True, timeout=60, env=environment, **more)


def exported(directory):
    done = ctl(directory, "export")
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_store(directory):
    """Tables, and nothing in them."""
    first = json.dumps({"weir_export": 1, "tables": TABLES})
    done = ctl(directory, "import", "-", input=f'{first}\n{{"end":true,"rows":0}}\n'.encode())
    assert done.returncode == 0, done.stderr
    return sqlite3.connect(directory / "weir.db")


TABLES = 6


class Filler:
    """Rows of odd texts and numbers in every table; the audit log's chain holds."""

    def __init__(self, db, seed):
        self.db, self.rng, self.made = db, random.Random(seed), {}

    def text(self, unique=False):
        text = self.rng.choice(TEXTS)
        return b"%d " % self.rng.getrandbits(60) + text if unique else text

    def value(self, table, column, kind, is_key):
        references = {("config_files", "digest"): "config_texts", ("config_versions", "digest"): "config_texts",
                      ("weight_override_entries", "route"): "weight_overrides", ("transitions", "audit_id"): "audit"}
        if (table, column) in references:
            keys = self.made[references[table, column]]
            return keys.pop() if column == "audit_id" else self.rng.choice(keys)
        if kind == "TEXT":
            return self.text(unique=is_key)
        low, high = AT_LEAST.get(column, (-(2**63), 2**63 - 1))
        if is_key:
            return self.rng.randrange(max(low, -(2**63)), high)
        return self.rng.choice([number for number in NUMBERS if low <= number <= high])

    def put(self, table, values):
        marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in values)
        self.db.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        self.made.setdefault(table, []).append(values[0])

    def audit(self, count):
        previous = NONE
        for number in range(1, count + 1):
            at, texts = self.rng.choice(NUMBERS), [self.text() for _ in range(6)]
            fields = b"".join(b"%d:%s," % (len(text), text) for text in texts)
            line = hashlib.sha256(b"64:%s,%d,%d," % (previous.encode(), number, at) + fields).hexdigest()
            self.put("audit", [number, at, *texts, previous.encode(), line.encode()])
            previous = line
        self.db.execute("UPDATE audit_head SET id = ?, hash = ?", (count, previous))

    def fill(self, rows):
        self.audit(rows)
        tables = ["config_texts", "config_files", "config_versions", "weight_overrides", "weight_override_entries", "rollouts", "transitions",
                  "approvals", "events", "incidents", "slo_counts", "drills", "outcome_ids"]
        there = {name for [name] in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert there == {*tables, "audit", "audit_head", "schema_version"}, "who adds a table adds it here"
        for table in tables:
            columns = list(self.db.execute(f"SELECT name, type, pk FROM pragma_table_info('{table}')"))
            for _ in range(rows):
                self.put(table, [self.value(table, name, kind, pk > 0) for name, kind, pk in columns])
        self.db.commit()
        self.db.close()


def random_store(directory, seed, rows=8):
    Filler(new_store(directory), seed).fill(rows)
    os.unlink(directory / "weir.db.audit-head")  # it knows an empty log
    return exported(directory)


@pytest.mark.once
@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_stored_comes_back_the_same(tmp_path, seed):
    lines = random_store(tmp_path / "a", seed)
    assert json.loads(lines.splitlines()[-1])["rows"] == 14 * 8
    done = ctl(tmp_path / "b", "import", "-", input=lines)
    assert done.returncode == 0, done.stderr
    assert exported(tmp_path / "b") == lines
    whole = ctl(tmp_path / "b", "audit", "--verify", "--offline")
    assert whole.returncode == 0, whole.stdout
    with sqlite3.connect(tmp_path / "a/weir.db") as a, sqlite3.connect(tmp_path / "b/weir.db") as b:
        for db in (a, b):
            db.text_factory = bytes
        for [table] in a.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            query = f"SELECT * FROM {table.decode()}"
            assert sorted(a.execute(query)) == sorted(b.execute(query)), table


def edited(lines, index, **changes):
    row = {**json.loads(lines[index]), **changes}
    return [*lines[:index], json.dumps({key: value for key, value in row.items() if value != "gone"}).encode() + b"\n", *lines[index + 1 :]]


def at_of(lines, table):
    return next(index for index, line in enumerate(lines) if line.startswith(b'{"table":"%s"' % table))


@pytest.mark.once
def test_a_file_that_is_not_as_it_was_exported_is_refused_by_its_line(tmp_path):
    whole = random_store(tmp_path / "a", 7, rows=3)
    lines = whole.splitlines(keepends=True)
    event, audit, last = at_of(lines, b"events"), at_of(lines, b"audit"), len(lines) - 1
    bare = lines[:-1] + [json.dumps({"end": True, "rows": last - 1}).encode() + b"\n"]
    cases = [
        (1, "the file ends before the export does", []),
        (1, "with other tables", edited(lines, 0, tables=TABLES + 1)),
        (1, "this is not an export of weir", edited(lines, 0, weir_export=2)),
        (1, "this is not an export of weir", lines[1:]),
        (event + 1, "the file ends before the export does", [*lines[:event], lines[event][:20]]),
        (last + 1, "the file ends before the export does", lines[:-1]),
        (last + 1, "the file ends before the export does", [*lines[:-1], lines[-1].rstrip(b"\n")]),
        (last, "rows are missing", [*lines[:event], *lines[event + 1 :]]),
        (last + 1, "the lines before it are not as they were exported", edited(lines, event, who="somebody else")),
        (last + 1, "the lines before it are not as they were exported", [*lines[:event], lines[event + 1], lines[event], *lines[event + 2 :]]),
        (last + 1, "the audit log does not hold: line 2: it was changed", edited(bare, audit + 1, who="somebody else")),
        (event + 2, "UNIQUE constraint failed: events.id", [*lines[: event + 1], *lines[event:]]),
        (event + 1, "UNIQUE constraint failed", [*lines[:event], lines[audit], *lines[event:]]),
        (audit + 1, "FOREIGN KEY constraint failed", [lines[0], lines[at_of(lines, b"transitions")], *lines[1:]]),
        (event + 1, "there is no such table", edited(lines, event, table="evens")),
        (event + 1, "there is no such table", edited(lines, event, table="schema_version")),
        (event + 1, "it is neither a row nor the end", edited(lines, event, table="gone")),
        (event + 1, "it does not have the columns of its table", edited(lines, event, more=1)),
        (event + 1, "it does not have the columns of its table", edited(lines, event, who="gone")),
        (event + 1, "it does not have the columns of its table", edited(lines, event, who=None)),
        (event + 1, "it does not have the columns of its table", edited(lines, event, at_unix_ms=1.5)),
        (event + 1, "it does not have the columns of its table", edited(lines, event, at_unix_ms=1e300)),
        (event + 1, "it does not have the columns of its table", edited(lines, event, at_unix_ms="1")),
        (event + 1, "it does not have the columns of its table", edited(lines, event, at_unix_ms=True)),
        (event + 1, "it does not have the columns of its table", edited(lines, event, who={"base64": "no!"})),
        (event + 1, "it does not have the columns of its table", edited(lines, event, who={"base64": "aGk=", "x": 1})),
        (event + 1, "it is not JSON", edited(lines, event, at_unix_ms=2**63)),
        (event + 1, "it is not JSON", [*lines[:event], lines[event].replace(b'"kind":', b'"kind":"\0",'), *lines[event + 1 :]]),
        (event + 1, "it is not JSON", [*lines[:event], b"\n", *lines[event:]]),
        (event + 1, "it is not JSON", [*lines[:event], b"\xff\n", *lines[event:]]),
        (last + 2, "something follows the end", [*lines, lines[-1]]),
        (last + 2, "something follows the end", [*lines, b" "]),
    ]
    directory = tmp_path / "b"
    for number, message, text in cases:
        done = ctl(directory, "import", "-", input=b"".join(text))
        said = done.stderr.decode()
        assert done.returncode == 1 and f"line {number}: " in said and message in said, (number, message, said)
        assert said.endswith("; nothing was imported\n"), said
    assert len(exported(directory).splitlines()) == 2
    done = ctl(directory, "import", "-", input=whole)
    assert done.returncode == 0 and exported(directory) == whole, done.stderr
    again = ctl(directory, "import", "-", input=whole)
    assert again.returncode == 1 and b"line 1: " in again.stderr and b"it is not empty: there are audit already" in again.stderr
    assert exported(directory) == whole


@pytest.mark.once
def test_an_import_that_is_killed_leaves_nothing_or_everything(tmp_path):
    """At any line, behind the last one with the file still open, and while it ends."""
    whole = random_store(tmp_path / "a", 11, rows=20)
    lines = whole.splitlines(keepends=True)
    directory, ends = tmp_path / "b", set()
    for count in (0, 1, len(lines) // 2, len(lines) - 1, len(lines), None, None, None):
        with subprocess.Popen([WEIR, "ctl", "--state-dir", directory, "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            process.stdin.write(b"".join(lines[:count]))
            process.stdin.flush() if count is not None else process.stdin.close()
            process.kill()
        found = ctl(directory, "export")
        if found.returncode == 0:
            ends.add(found.stdout == whole)
            assert found.stdout == whole or len(found.stdout.splitlines()) == 2, count
        else:  # not even all tables are there
            assert b"earlier weir" in found.stderr or b"unable to open" in found.stderr, found.stderr
    if True not in ends:
        done = ctl(directory, "import", "-", input=whole)
        assert done.returncode == 0, done.stderr
    assert exported(directory) == whole
    assert ctl(directory, "audit", "--verify", "--offline").returncode == 0
