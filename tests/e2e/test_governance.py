# e2e/test_governance.py - who may do what and why, and what is left of it: every endpoint, every role, every line of the log.
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import sqlite3
import subprocess

import pytest

from harness import Origin, Proxy, reply, wait_for
from harness.proxy import WEIR

pytestmark = pytest.mark.once  # about the words of the API

ROLES = ("viewer", "operator", "approver", "admin")
ROLLOUT = "/api/v1/rollouts/{name}"

# Method and path: who may. An endpoint that is not here fails test_every_endpoint_is_in_the_table: add it, with the least role
# that the change needs, and every test below is about it too.
ACCESS = {
    "GET /healthz": "public",
    "GET /readyz": "public",
    "GET /metrics": "viewer",
    "GET /api/v1/status": "viewer",
    "GET /api/v1/routes": "viewer",
    "GET /api/v1/routes/{name}": "viewer",
    "PUT /api/v1/routes/{name}/split": "operator",
    "DELETE /api/v1/routes/{name}/split": "operator",
    "GET /api/v1/upstreams": "viewer",
    "GET /api/v1/rollouts": "viewer",
    f"GET {ROLLOUT}": "viewer",
    f"GET {ROLLOUT}/plan": "viewer",
    f"POST {ROLLOUT}/start": "operator",
    f"POST {ROLLOUT}/approve": "approver",
    f"POST {ROLLOUT}/promote": "operator",
    f"POST {ROLLOUT}/pause": "operator",
    f"POST {ROLLOUT}/resume": "operator",
    f"POST {ROLLOUT}/rollback": "operator",
    f"POST {ROLLOUT}/abort": "operator",
    "GET /api/v1/shadow/{route}": "viewer",
    "GET /api/v1/shadow/{route}/diffs": "viewer",
    "GET /api/v1/config": "viewer",
    "GET /api/v1/config/versions": "viewer",
    "GET /api/v1/config/versions/{generation}": "viewer",
    "POST /api/v1/config/versions/{generation}/restore": "admin",
    "POST /api/v1/reload": "operator",
    "POST /api/v1/drain": "operator",
    "GET /api/v1/audit": "viewer",
    "GET /api/v1/audit/verify": "viewer",
    "GET /api/v1/events": "viewer",
    "GET /api/v1/events/{id}": "viewer",
    "POST /api/v1/events": "operator",
    "POST /api/v1/outcomes": "operator",
    "GET /api/v1/slos": "viewer",
    "GET /api/v1/incidents": "viewer",
    "GET /api/v1/incidents/{id}": "viewer",
    "GET /api/v1/hygiene": "viewer",
    "POST /api/v1/drill/{name}": "operator",  # with `live` an approver: tests/e2e/test_drill.py
    "POST /api/v1/drill/{name}/abort": "operator",
    "GET /api/v1/drills": "viewer",
    "GET /api/v1/drill/{name}": "viewer",
    "GET /api/v1/openapi.json": "viewer",
}
WRITES = [name for name in ACCESS if not name.startswith("GET ")]


def token(name, role=None):
    return {"name": name, "role": role or name, "sha256": hashlib.sha256(f"token-of-{name}".encode()).hexdigest()}


def config(stable, canary, **more):
    return {
        "upstreams": {"s": {"endpoints": [stable]}, "c": {"endpoints": [canary]}, "t": {"endpoints": [stable]}},
        "segments": {"beta": {"header": "x-beta", "present": True, "expires": "2001-01-01"}},
        "routes": [
            {"name": "shop", "match": {"path": {"prefix": "/shop"}}, "split": {"s": 100, "c": 0}, "owner": "team-a",
             "shadow": [{"to": "t", "compare": {}}]},
            {"name": "free", "match": {"when": {"segment": "beta"}}, "split": {"s": 1, "t": 1}},
        ],
        "rollouts": {"r": {
            "route": "shop", "stable": "s", "canary": "c", "revision": "1", "owner": "team-a", "expires": "2001-01-01",
            "steps": [{"weight": "10%", "hold": "1h"}, {"approve": 2, "approvers": ["approver", "admin"]}, {"weight": "100%"}],
            "guardrails": [{"metric": "error_rate", "max": "50%"}],
        }},
        **more,
    }


def make_house(**more):
    return Proxy(**config(Origin(reply(b"s")), Origin(reply(b"c")), **more))


@pytest.fixture(name="house", scope="module")
def fixture_house():
    """With a token for each role."""
    with make_house(admin={"bind": "127.0.0.1:0", "metrics_public": False, "tokens": [token(role) for role in ROLES]}) as made:
        made.tcp = made.status()["admin"]["address"]
        assert ctl(made.config["state_dir"], "drill", "r", "--reason", "test", "--rate", "400").returncode == 0
        yield made


@pytest.fixture(name="open_house", scope="module")
def fixture_open_house():
    """Without tokens: TCP reads."""
    with make_house(admin={"bind": "127.0.0.1:0"}) as made:
        made.tcp = made.status()["admin"]["address"]
        yield made


def target(name):
    method, path = name.split(" ")
    path = path.replace("/routes/{name}", "/routes/free").replace("{name}", "r").replace("{route}", "shop")
    return method, path.replace("{generation}", "1") + ("?follow=false" if name == "GET /api/v1/events" else "")


def over_tcp(proxy, method, path, body=None, bearer=None, host=None):
    """(status, parsed body)"""
    address, port = proxy.tcp.rsplit(":", 1)
    connection = http.client.HTTPConnection(address, int(port), timeout=30)
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, {**headers, **({"Host": host} if host else {})})
        response = connection.getresponse()
        text = response.read().decode()
        is_json = "json" in response.getheader("Content-Type", "")
        return response.status, json.loads(text) if is_json else text
    finally:
        connection.close()


def code(answer):
    status, body = answer
    return status, body["error"]["code"]


def audit(proxy, limit=1000):
    return proxy.admin("GET", f"/api/v1/audit?limit={limit}")[1]["lines"]


def ctl(state, *words, **more):
    return subprocess.run([WEIR, "ctl", "--state-dir", state, *words], capture_output=True, text=True, timeout=60, **more)


# ---- who ---------------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_in_the_table(proxy):
    document = proxy.admin("GET", "/api/v1/openapi.json")[1]
    served = {
        f"{method.upper()} {path}": operation.get("x-weir-role")
        for path, operations in document["paths"].items() for method, operation in operations.items()
    }
    assert set(served) == set(ACCESS), "ACCESS in tests/e2e/test_governance.py: say who may use each endpoint, and why it is enough"
    for name, role in served.items():
        is_open = name.endswith((" /healthz", " /readyz", " /metrics"))
        assert role == (None if is_open else ACCESS[name]), name


@pytest.mark.parametrize("name", ACCESS)
def test_an_endpoint_takes_its_role_and_those_above_and_nobody_else(proxy, name):
    """A write of those who may has no reason, so that nothing happens."""
    method, path = target(name)
    before = audit(proxy)
    for bearer, verdict in ((None, "unauthenticated"), ("wrong", "bad_token"), ("token-of-nobody", "bad_token")):
        answer = over_tcp(proxy, method, path, {"reason": "a stranger"}, bearer)
        assert answer[0] == 200 if ACCESS[name] == "public" else code(answer) == (401, verdict), (name, bearer, answer)
    for role in ROLES:
        answer = over_tcp(proxy, method, path, {}, f"token-of-{role}", host="proxy.example")
        if ACCESS[name] != "public" and ROLES.index(role) < ROLES.index(ACCESS[name]):
            assert code(answer) == (403, "forbidden"), (name, role, answer)
        elif name in WRITES:
            assert code(answer) == (400, "reason_missing"), (name, role, answer)
        else:
            assert answer[0] == 200 or code(answer) in ((404, "no_incident"), (404, "no_event")), (name, role, answer)
    assert audit(proxy) == before


@pytest.mark.parametrize("name", ACCESS)
def test_without_tokens_tcp_reads_and_a_foreign_host_does_not(open_house, name):
    method, path = target(name)
    here, foreign = (over_tcp(open_house, method, path, {"reason": "mischief"}, host=host) for host in (None, "evil.example"))
    if name in WRITES:
        assert code(here) == (403, "read_only") and code(foreign) == (403, "foreign_host")
    else:
        assert here[0] == (404 if any(part in path for part in ("/drill/", "/incidents/", "/events/")) else 200)
        is_public = ACCESS[name] == "public" or name == "GET /metrics"
        assert foreign[0] == 200 if is_public else code(foreign) == (403, "foreign_host")
    assert not audit(open_house)


# ---- why ---------------------------------------------------------------------------------------------------------------

REASONS = {
    "absent": (None, "reason_missing"), "empty": ("", "reason_missing"), "blanks": (" \t  ", "reason_missing"),
    "no text": (5, "reason_missing"), "a list": (["x"], "reason_missing"), "too long": ("x" * 1001, "reason_too_long"),
    "long in bytes": ("é" * 501, "reason_too_long"), "two lines": ("fine\nid 7 who root", "bad_reason"), "NUL": ("a\0b", "bad_json"),
    "an escape": ("\x1b[31mred", "bad_reason"), "DEL": ("a\x7f", "bad_reason"), "C1": ("a\u009bm", "bad_reason"),
}


@pytest.mark.parametrize("name", WRITES)
def test_no_write_without_a_reason(proxy, name):
    method, path = target(name)
    before = audit(proxy)
    for kind, (reason, wanted) in REASONS.items():
        body = {"weights": {"s": 1, "t": 1}, **({} if reason is None else {"reason": reason})}
        assert code(proxy.admin(method, path, body)) == (400, wanted), (name, kind)
    for query, wanted in (("%FF%FE", "bad_reason"), ("a%0Ab", "bad_reason"), ("%20", "reason_missing"), ("%zz", "reason_missing")):
        assert code(proxy.admin(method, f"{path}?reason={query}")) == (400, wanted), (name, query)
    assert audit(proxy) == before and proxy.status()["state"] == "serving"


def test_a_reason_of_any_one_line_is_kept_as_it_is(proxy):
    for reason in ("x" * 1000, "é" * 500, 'Größe: "2.4.1" \\ <b>', "発布"):
        assert proxy.admin("POST", "/api/v1/reload", {"reason": f"  {reason}\t"})[0] == 200
        assert audit(proxy, 1)[0]["reason"] == reason


# ---- what cannot be written ----------------------------------------------------------------------------------------------


def test_what_the_log_cannot_take_is_not_done_but_the_way_back_is(proxy):
    """A rollout at its first step, weights of another route; the database is locked; every write is refused but the way back."""
    def say(word, reason="test"):
        return proxy.admin("POST", f"/api/v1/rollouts/r/{word}", {"reason": reason})

    def weight():
        return proxy.admin("GET", "/api/v1/rollouts/r")[1]["rollout"]["weight"]

    assert say("start")[0] == 200 and weight() == 0.1
    assert proxy.admin("PUT", "/api/v1/routes/free/split", {"weights": {"s": 3, "t": 1}, "reason": "test"})[0] == 200
    routes = proxy.admin("GET", "/api/v1/routes/free")[1]
    with sqlite3.connect(proxy.path("state/weir.db"), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        for name in WRITES:
            method, path = target(name)
            if name.endswith(("/rollback", "/abort", "/start", "/approve", "/resume")):
                continue  # the way back, and what cannot be said now anyway
            if name.endswith("/outcomes"):
                continue  # there is no event to tell of: test_outcomes_that_the_log_cannot_take_are_not_counted
            body = {"reason": "test"} if path == "/api/v1/events" else {"weights": {"s": 0, "t": 1}, "live": True, "reason": "test"}
            status, answer = proxy.admin(method, path, body)
            assert status == 503 and answer["error"]["code"] in ("audit_unavailable", "store_unavailable"), (name, answer)
            assert "locked" in answer["error"]["message"], (name, answer)
        assert weight() == 0.1 and proxy.status()["state"] == "serving"
        assert proxy.admin("GET", "/api/v1/routes/free")[1] == routes
        assert say("rollback", "it is bad")[0] == 200
        assert weight() == 0
        db.execute("ROLLBACK")
    wait_for(lambda: proxy.status()["store"]["waiting_count"] == 0, lambda: str(proxy.status()["store"]))
    written = [line for line in audit(proxy) if line["action"] == "rollout.rollback"]
    assert len(written) == 1 and written[0]["reason"] == "it is bad"
    assert proxy.admin("GET", "/api/v1/audit/verify")[1]["ok"]


# ---- the chain -----------------------------------------------------------------------------------------------------------

HASHED = ("who", "role", "action", "target", "reason", "detail")


def chain(db, since=1):
    """Computes every hash anew from a line on, as docs/export.md describes it, and both rows that know the end."""
    previous = "0" * 64
    for row in db.execute("SELECT id, at_unix_ms, who, role, action, target, reason, detail, hash FROM audit ORDER BY id").fetchall():
        if row[0] >= since:
            text = f"64:{previous},{row[0]},{row[1]}," + "".join(f"{len(t.encode())}:{t}," for t in row[2:8])
            previous = hashlib.sha256(text.encode()).hexdigest()
            before = db.execute("SELECT hash FROM audit WHERE id < ? ORDER BY id DESC LIMIT 1", (row[0],)).fetchone()
            db.execute("UPDATE audit SET hash = ?, previous_hash = ? WHERE id = ?", (previous, before[0] if before else "0" * 64, row[0]))
        else:
            previous = row[8]
    db.execute("UPDATE audit_head SET (id, hash) = (SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1)")


def swap(db, a, b):
    columns = "at_unix_ms, who, role, action, target, reason, detail, hash, previous_hash"
    rows = {i: db.execute(f"SELECT {columns} FROM audit WHERE id = ?", (i,)).fetchone() for i in (a, b)}
    for i, other in ((a, b), (b, a)):
        db.execute(f"UPDATE audit SET ({columns}) = ({','.join('?' * 9)}) WHERE id = ?", (*rows[other], i))


def renumber(db):
    for number, (old,) in enumerate(db.execute("SELECT id FROM audit ORDER BY id").fetchall(), 1):
        db.execute("UPDATE audit SET id = ? WHERE id = ?", (number, old))


def damages():
    """Each with what it does to a log of six lines; the last two do what only the newest hash elsewhere can tell."""
    for column in HASHED:
        for line in (1, 3, 6):
            yield f"{column} of line {line}", lambda db, c=column, i=line: db.execute(f"UPDATE audit SET {c} = {c} || 'x' WHERE id = ?", (i,))
    for line in (1, 3, 6):
        yield f"time of line {line}", lambda db, i=line: db.execute("UPDATE audit SET at_unix_ms = at_unix_ms + 1 WHERE id = ?", (i,))
        yield f"hash of line {line}", lambda db, i=line: db.execute("UPDATE audit SET hash = ? WHERE id = ?", ("a" * 64, i))
        yield f"previous hash of line {line}", lambda db, i=line: db.execute("UPDATE audit SET previous_hash = ? WHERE id = ?", ("b" * 64, i))
        yield f"line {line} missing", lambda db, i=line: db.execute("DELETE FROM audit WHERE id = ?", (i,))
        yield f"line {line} missing, the rest renumbered", lambda db, i=line: (db.execute("DELETE FROM audit WHERE id = ?", (i,)), renumber(db))
        yield f"line {line} changed, every hash made anew", lambda db, i=line: (
            db.execute("UPDATE audit SET reason = 'another' WHERE id = ?", (i,)), chain(db))
    for a, b in ((1, 2), (2, 5), (5, 6)):
        yield f"lines {a} and {b} swapped", lambda db, x=a, y=b: swap(db, x, y)
        yield f"lines {a} and {b} swapped, every hash made anew", lambda db, x=a, y=b: (swap(db, x, y), chain(db))
    for kept in (0, 1, 4, 5):
        yield f"cut off behind {kept}", lambda db, k=kept: db.execute("DELETE FROM audit WHERE id > ?", (k,))
        if kept > 0:
            yield f"cut off behind {kept}, with the row", lambda db, k=kept: (db.execute("DELETE FROM audit WHERE id > ?", (k,)), chain(db, 99))
    yield "a line appended as it is", lambda db: db.execute(
        "INSERT INTO audit SELECT 7, at_unix_ms, who, role, action, target, reason, detail, hash, hash FROM audit WHERE id = 6")
    yield "a line put in between", lambda db: (
        db.execute("UPDATE audit SET id = -id"), db.execute("UPDATE audit SET id = 1 - id WHERE id < -3"),
        db.execute("UPDATE audit SET id = -id WHERE id < 0"),
        db.execute("INSERT INTO audit SELECT 4, at_unix_ms, who, role, action, target, reason, detail, hash, hash FROM audit WHERE id = 3"))
    for number in (0, -1):
        yield f"a line {number}", lambda db, n=number: db.execute(
            "INSERT INTO audit SELECT ?, at_unix_ms, who, role, action, target, reason, detail, hash, hash FROM audit WHERE id = 1", (n,))
    yield "the row with the end", lambda db: db.execute("UPDATE audit_head SET hash = ?", ("c" * 64,))
    yield "the row with the end is gone", lambda db: db.execute("DELETE FROM audit_head")


@pytest.fixture(name="log", scope="module")
def fixture_log(tmp_path_factory, house):
    """The state directory of a log of six lines, and a function that gives out copies of it."""
    directory = str(tmp_path_factory.mktemp("log"))
    source, made = sqlite3.connect(house.path("state/weir.db")), sqlite3.connect(os.path.join(directory, "weir.db"))
    # Closed here: the files beside the database are gone then, and not while they are copied.
    with contextlib.closing(source), contextlib.closing(made), made as db:
        source.backup(db)
        db.executescript(
            "PRAGMA foreign_keys = OFF; DROP TRIGGER audit_is_never_shortened; DROP TRIGGER audit_is_never_changed;"
            "DELETE FROM transitions; DELETE FROM audit;")
        for i in range(1, 7):
            db.execute("INSERT INTO audit VALUES (?, ?, 'ann', 'admin', 'reload', 'all', ?, '', '', '')", (i, 10**12 + i, f"reason {i}"))
        chain(db)
        head_write(directory, db)

    def copy(path):
        shutil.copytree(directory, path)
        return str(path)
    return copy


def head_write(directory, db):
    with open(os.path.join(directory, "weir.db.audit-head"), "w", encoding="ascii") as file:
        file.write("%020d %s\n" % db.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone())


def test_verification_finds_every_damage(log, tmp_path):
    whole = ctl(log(tmp_path / "whole"), "audit", "--verify", "--offline")
    assert whole.returncode == 0 and whole.stdout.startswith("whole: 6 lines"), whole
    missed = []
    for number, (name, damage) in enumerate(damages()):
        state = log(tmp_path / str(number))
        with sqlite3.connect(os.path.join(state, "weir.db")) as db:
            damage(db)
        done = ctl(state, "audit", "--verify", "--offline")
        if done.returncode != 1 or "broken: at line" not in done.stdout:
            missed.append((name, done.returncode, done.stdout, done.stderr))
    assert not missed


def test_who_rewrites_everything_is_found_by_the_newest_hash_alone(log, tmp_path):
    """What docs/admin-api.md says cannot be found here, and by what it can: an anchor on another machine."""
    def newest(state):
        done = ctl(state, "audit", "--verify", "--offline", "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)["newest_hash"]

    anchor = newest(log(tmp_path / "whole"))
    state = log(tmp_path / "rewritten")
    with sqlite3.connect(os.path.join(state, "weir.db")) as db:
        db.execute("UPDATE audit SET reason = 'another' WHERE id = 2")
        chain(db)
        head_write(state, db)
    assert newest(state) != anchor


def test_the_audit_log_of_the_house_is_whole(proxy):
    assert proxy.admin("GET", "/api/v1/audit/verify")[1]["ok"]


# ---- what nobody looks after ---------------------------------------------------------------------------------------------


def test_hygiene_names_every_kind_of_what_expired_or_has_no_owner(start):
    old = {"expires": "2001-01-01"}
    made = config(Origin(), Origin())
    made["rollouts"]["r"].pop("owner")
    made["routes"][1]["rules"] = [{"name": "left", "when": {"header": "x", "present": True}, "to": "s", **old}]
    made["slos"] = {"goal": {"route": "shop", "availability": "99.9%", **old}}
    made["monitors"] = {"home": {"upstreams": ["s"], "every": "1h", "owner": "team-b", **old}}
    found = start(**made).admin("GET", "/api/v1/hygiene")[1]["findings"]
    assert sorted((f["what"], f["name"], f["problem"]) for f in found) == [
        ("monitor", "home", "expired"), ("rollout", "r", "expired"), ("rollout", "r", "no_owner"), ("route", "free", "no_owner"),
        ("rule", "free/left", "expired"), ("rule", "free/left", "no_owner"), ("segment", "beta", "expired"),
        ("segment", "beta", "no_owner"), ("slo", "goal", "expired"), ("slo", "goal", "no_owner"),
    ]
    assert all("weir.yaml:" in f["place"] for f in found)


# ---- programs ------------------------------------------------------------------------------------------------------------

# Every command of `weir ctl`, in words that work on the house. One that is not here fails the tests: add it.
COMMANDS = {
    "status": [[]], "routes": [[]], "upstreams": [[]], "rollouts": [[]], "audit": [[], ["--verify"]], "events": [[]], "incidents": [[]],
    "hygiene": [[]], "slos": [[]], "shadow": [["shop"], ["shop", "diffs"]], "reload": [["--reason", "test"]],
    "config": [["versions"], ["diff", "1", "1"], ["restore", "1", "--reason", "test"]],
    "split": [["free", "s=1", "t=2", "--reason", "test"], ["free", "--reset", "--reason", "test"]],
    "rollout": [["r"], ["r", "plan"], ["r", "wait", "--for", "rolled_back"]],
    "drill": [["r", "--reason", "test", "--rate", "400"]], "drills": [[], ["r", "--state", "passed", "--limit", "1"]], "drain": [["--reason", "test"]],
    "export": None, "import": None,  # of files, and JSON Lines
}


def commands_of(text):
    """The words under "commands:" of a help text."""
    lines = text[text.index("commands:"):text.index("options:")].splitlines()[1:]
    return {line.split()[0] for line in lines if line}


def test_every_command_is_in_the_table():
    done = subprocess.run([WEIR, "ctl", "--help"], capture_output=True, text=True, check=True)
    assert commands_of(done.stdout) == set(COMMANDS), "COMMANDS in tests/e2e/test_governance.py"


def test_every_command_speaks_json_and_says_so_when_nobody_answers(house, tmp_path):
    wrong = []
    for command, forms in COMMANDS.items():
        for words in forms or []:
            done = ctl(house.config["state_dir"], "--json", command, *words) if command != "drain" else None
            if done and (done.returncode != 0 or not isinstance(json.loads(done.stdout), dict)):
                wrong.append((command, words, done))
        for words in (forms or [])[:1]:
            gone = ctl(str(tmp_path), command, *words)
            if (gone.returncode, gone.stdout) != (1, "") or "could not reach unix:" not in gone.stderr:
                wrong.append((command, words, gone))
    assert not wrong


def test_wait_says_by_its_status_how_it_ended(house, tmp_path):
    """The rollout of the house was taken back by a test above, or is by this one."""
    state = house.config["state_dir"]

    def wait(*words):
        return ctl(state, "rollout", *words)

    assert house.admin("GET", "/api/v1/rollouts/r")[1]["rollout"]["state"] in ("pending", "rolled_back")
    house.admin("POST", "/api/v1/rollouts/r/start", {"reason": "test"})
    house.admin("POST", "/api/v1/rollouts/r/rollback", {"reason": "test"})
    assert wait("r", "wait", "--for", "rolled_back").returncode == 0
    other = wait("r", "wait", "--for", "succeeded", "--json")
    assert other.returncode == 3 and json.loads(other.stdout)["rollout"]["state"] == "rolled_back"
    none = wait("none", "wait", "--for", "succeeded", "--json")
    assert none.returncode == 5 and json.loads(none.stdout)["error"]["code"] == "no_rollout"
    assert 'there is no rollout "none"' in wait("none", "wait", "--for", "succeeded").stderr
    for words in (["r", "wait"], ["r", "wait", "--for", "succeded"], ["r", "wait", "--for", "succeeded", "--timeout", "soon"], ["r", "wiat"]):
        assert wait(*words).returncode == 2, words
    assert "awaiting_approval" in wait("r", "wait", "--for", "succeded").stderr
    assert ctl(str(tmp_path), "rollout", "r", "wait", "--for", "succeeded", "--timeout", "1h").returncode == 1


def test_wait_goes_on_over_a_restart_and_ends_in_time(start):
    made = start(**config(Origin(), Origin()))
    words = [WEIR, "ctl", "--state-dir", made.config["state_dir"], "rollout", "r", "wait", "--for"]
    timed_out = subprocess.run([*words, "succeeded", "--timeout", "1ms"], capture_output=True, text=True, timeout=60)
    assert timed_out.returncode == 4 and "r 1: pending" in timed_out.stdout
    with subprocess.Popen([*words, "rolled_back"], stdout=subprocess.PIPE, text=True) as waiting:
        # It asks several times a second: this is not its first look any more once the process that it asked is gone.
        looks = made.status()["uptime_ms"]
        wait_for(lambda: made.status()["uptime_ms"] > looks + 1000, "it has looked")
        made.stop()
        made.start()
        assert waiting.poll() is None
        for word in ("start", "rollback"):
            assert made.admin("POST", f"/api/v1/rollouts/r/{word}", {"reason": "test"})[0] == 200
        assert waiting.wait(60) == 0 and "r 1: rolled_back" in waiting.stdout.read()
