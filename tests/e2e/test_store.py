# e2e/test_store.py - what outlives the process: events, the audit log and its end, full disks, kills, export and import.
import json
import os
import re
import resource
import select
import signal
import sqlite3
import subprocess

import pytest

from harness import Origin, Proxy, reply, wait_for
from harness.proxy import WEIR, UnixHTTPConnection


@pytest.fixture(scope="module", name="house")
def fixture_house():
    a, b = Origin(reply(b"a")), Origin(reply(b"b"))
    with Proxy(
        upstreams={"v1": {"endpoints": [a]}, "v2": {"endpoints": [b]}},
        routes=[{"name": "shop", "split": {"v1": 1, "v2": 0}}],
        log={"access": "off"},  # the full disk of a test below would cut a line
        admin={
            "bind": "127.0.0.1:0",
            "tokens": [{"name": "ci", "role": "operator", "sha256": "0" * 63 + "1"}],
        },
    ) as house:
        yield house


def ctl(state_dir, *words, **more):
    environment = dict(os.environ, WEIR_STATE_DIR=str(state_dir))
    return subprocess.run([WEIR, "ctl", *words], capture_output=True, text=True, timeout=60, env=environment, **more)


def said(proxy, *words):
    done = ctl(proxy.config["state_dir"], *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def post(proxy, **event):
    return proxy.admin("POST", "/api/v1/events", {"reason": "a test", **event})


def audit(proxy, limit=100):
    return proxy.admin("GET", f"/api/v1/audit?limit={limit}")[1]["lines"]


def verdict(proxy):
    return proxy.admin("GET", "/api/v1/audit/verify")[1]


def reload(proxy, weights):
    """By SIGHUP: nobody asks the API."""
    generation = proxy.status()["config"]["generation"]
    proxy.config["routes"][0]["split"] = weights
    proxy.write_config()
    proxy.signal(signal.SIGHUP)
    wait_for(lambda: proxy.status()["config"]["generation"] > generation, lambda: proxy.error_log()[-2000:])


class Stream:
    """A connection that follows the events."""

    def __init__(self, proxy, path="/api/v1/events", **headers):
        self.connection = UnixHTTPConnection(proxy.admin_path)
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()

    def event(self):
        """The next one: (id, kind, data)."""
        fields = {}
        while not (fields and self.line == ""):
            self.line = self.response.readline().decode().rstrip("\n")
            assert self.line or fields or not self.response.closed
            name, _, value = self.line.partition(": ")
            if name:
                fields[name] = value
        return fields.get("id"), fields["event"], json.loads(fields["data"])

    line = None

    def __enter__(self):
        assert self.response.status == 200, self.response.read()
        assert self.response.getheader("Content-Type") == "text/event-stream"
        assert self.response.readline() == b": events of weir\n" and self.response.readline() == b"\n"
        return self

    def close(self):
        """Of an answer that ends with its connection, the response alone has the socket."""
        self.response.close()
        self.connection.close()

    def __exit__(self, *_):
        self.close()


# ---- events -----------------------------------------------------------------------------------------------------------------


def test_who_follows_gets_what_happens_and_comes_back_where_it_was(proxy):
    with Stream(proxy) as stream:
        status, posted = post(proxy, subject="v2", text="2.4.1\nis out", detail={"commit": "abc"})
        assert status == 201 and posted["kind"] == "deploy" and posted["who"].startswith("unix:")
        assert stream.event() == (str(posted["id"]), "deploy", posted)
        body = {"weights": {"v1": 1, "v2": 1}, "reason": "try it"}
        assert proxy.admin("PUT", "/api/v1/routes/shop/split", body)[0] == 200
        seen, kind, event = stream.event()
        assert (kind, event["subject"], event["text"]) == ("split.set", "shop", "try it")
        assert proxy.admin("DELETE", "/api/v1/routes/shop/split?reason=enough")[0] == 200
        assert stream.event()[1] == "split.reset"
    reload(proxy, {"v1": 2, "v2": 1})
    with Stream(proxy, **{"Last-Event-ID": seen}) as stream:
        assert [stream.event()[1] for _ in range(2)] == ["split.reset", "config.applied"]
    with Stream(proxy, f"/api/v1/events?after={seen}") as stream:
        assert stream.event()[1] == "split.reset"
    listed = proxy.admin("GET", "/api/v1/events?follow=false&limit=3")[1]
    assert [event["kind"] for event in listed["events"]] == ["config.applied", "split.reset", "split.set"]
    page = proxy.admin("GET", f"/api/v1/events?follow=false&before={listed['next_before']}")[1]
    assert posted["id"] in [event["id"] for event in page["events"]]
    added = [line for line in audit(proxy) if line["action"] == "event.add"][0]
    assert (added["target"], added["reason"], added["detail"]) == ("v2", "a test", '{"commit":"abc"}')


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "config.applied"}, {"kind": ""}, {"kind": "Deploy"}, {"kind": "d" * 65}, {"kind": 1}, {"text": "x" * 1001},
        {"subject": "x" * 257}, {"at": "yesterday"}, {"at": "2999-01-01T00:00:00Z"}, {"detail": "text"},
        {"detail": {"x": "y" * 4096}}, {"reason": " "},
    ],
)
def test_an_event_that_cannot_be_is_refused(proxy, event):
    before = [known["id"] for known in proxy.admin("GET", "/api/v1/events?follow=false")[1]["events"]]
    status, answer = post(proxy, **event)
    assert status == 400 and answer["error"]["code"] in ("bad_event", "reason_missing"), answer
    assert [known["id"] for known in proxy.admin("GET", "/api/v1/events?follow=false")[1]["events"]] == before


@pytest.mark.parametrize("query", ["follow=yes", "after=x", "follow=false&limit=0", "follow=false&before=-1"])
def test_arguments_that_mean_nothing_are_refused(proxy, query):
    status, answer = proxy.admin("GET", f"/api/v1/events?{query}")
    assert (status, answer["error"]["code"]) == (400, "bad_argument")


def test_followers_are_few_and_others_are_still_served(proxy):
    streams = [Stream(proxy) for _ in range(32)]
    one_more = Stream(proxy)
    assert one_more.response.status == 503
    assert json.loads(one_more.response.read())["error"]["code"] == "too_many_followers"
    assert proxy.status()["state"] == "serving"
    for stream in [*streams, one_more]:
        stream.close()

    def is_free():
        stream = Stream(proxy)
        stream.close()
        return stream.response.status == 200
    wait_for(is_free, "a follower that left makes room")


def test_who_missed_a_great_many_gets_them_in_parts(proxy):
    seen = post(proxy, text="seen")[1]["id"]
    with sqlite3.connect(proxy.path("state/weir.db")) as db:
        db.execute(
            "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
            "INSERT INTO events SELECT ? + i, i, 'deploy', '', 'missed', 'me', '' FROM n", (seen,))
    part = Stream(proxy, **{"Last-Event-ID": str(seen)})
    ids = [int(line[4:]) for line in part.response.read().splitlines() if line.startswith(b"id: ")]
    assert ids == list(range(seen + 1, seen + 1001))
    part.close()
    with Stream(proxy, **{"Last-Event-ID": str(ids[-1])}) as stream:
        assert [int(stream.event()[0]) for _ in range(500)] == list(range(seen + 1001, seen + 1501))
        assert post(proxy, text="and now")[1] == stream.event()[2]


def test_ctl_follows_and_lists(proxy):
    environment = dict(os.environ, WEIR_STATE_DIR=proxy.config["state_dir"])
    heard = b""
    with subprocess.Popen([WEIR, "ctl", "events", "--follow", "--json"], stdout=subprocess.PIPE, env=environment) as follower:
        def hears():
            nonlocal heard
            post(proxy, subject="v2", text="are you there")
            if select.select([follower.stdout], [], [], 0)[0]:
                heard += os.read(follower.stdout.fileno(), 65536)
            return b"\n" in heard
        try:
            wait_for(hears, "it prints an event")
        finally:
            follower.kill()
    assert json.loads(heard.splitlines()[0])["text"] == "are you there"
    post(proxy, subject="v2", text="and \x1b[31mred")
    last = said(proxy, "events").splitlines()[-1]
    assert "  deploy  v2  and " in last and "\x1b" not in last
    assert said(proxy, "incidents") == "no guardrail was breached\n"


# ---- configurations by file ----------------------------------------------------------------------------------------------------


def test_a_configuration_by_file_is_in_the_audit_log_with_its_diff(proxy):
    proxy.config["admin"]["tokens"][0]["sha256"] = "0" * 63 + "2"
    reload(proxy, {"v1": 3, "v2": 1})
    line = audit(proxy, 1)[0]
    assert (line["who"], line["action"], line["reason"]) == ("weir", "config.applied", "SIGHUP")
    detail = json.loads(line["detail"])
    generation = proxy.status()["config"]["generation"]
    assert (detail["generation"], detail["source"], detail["by"]) == (generation, "hup", "signal")
    assert '+    "v1": 3,\n' in detail["diff"] and f"+++ generation {generation}\n" in detail["diff"]
    assert "0" * 63 not in line["detail"]
    assert proxy.admin("GET", f"/api/v1/config/versions/{generation}")[1]["changed"] == detail["diff"]
    assert verdict(proxy)["ok"]


def test_a_file_that_changed_while_nobody_ran_is_told_at_the_start(start):
    proxy = start(Origin())
    assert audit(proxy) == []
    proxy.stop()
    proxy.config["routes"][0]["owner"] = "team-a"
    proxy.start()
    line = audit(proxy, 1)[0]
    assert line["action"] == "config.applied" and line["reason"].startswith("the file is not as it was")
    assert '+   "owner": "team-a"\n' in json.loads(line["detail"])["diff"]


# ---- what cannot be written ------------------------------------------------------------------------------------------------------


def set_file_limit(proxy, limit):
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def expect_written_late(proxy):
    """Everything arrives once it can, by itself, in order, and with the time at which it happened."""
    wait_for(lambda: proxy.status()["store"]["waiting_count"] == 0, lambda: str(proxy.status()["store"]))
    late, applied = audit(proxy, 2)
    assert [late["action"], applied["action"]] == ["audit.written_late", "config.applied"]
    assert json.loads(late["detail"]) == {"lines": 1, "lost": 0, "since": applied["at"]}
    assert late["at"] > applied["at"] and verdict(proxy)["ok"]
    assert proxy.status()["store"]["problem"] is None


def expect_refused(proxy):
    status, answer = post(proxy, text="lost")
    assert (status, answer["error"]["code"]) == (503, "audit_unavailable")
    return answer["error"]["message"]


def test_a_full_disk_stops_neither_traffic_nor_a_configuration_and_is_made_good(proxy):
    set_file_limit(proxy, 1)
    try:
        assert "the disk is full" in expect_refused(proxy)
        reload(proxy, {"v1": 0, "v2": 1})
        assert proxy.get().body == b"b"
        store = proxy.status()["store"]
        assert store["waiting_count"] == 1 and "full" in store["problem"] and store["is_usable"]
        assert "the disk is full" in said(proxy, "status")
        assert "the disk is full" in expect_refused(proxy)
    finally:
        set_file_limit(proxy, resource.RLIM_INFINITY)
    expect_written_late(proxy)


def test_a_locked_database_stops_neither_traffic_nor_a_configuration_and_is_made_good(proxy):
    with sqlite3.connect(proxy.path("state/weir.db"), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        assert "another process has locked it" in expect_refused(proxy)
        reload(proxy, {"v1": 1, "v2": 0})
        assert proxy.get().body == b"a"
        assert proxy.status()["store"]["waiting_count"] == 1
        db.execute("ROLLBACK")
    expect_written_late(proxy)


def test_what_was_acknowledged_survives_a_kill(start):
    proxy = start(Origin())
    for count in (1, 3, 7):
        ids = [post(proxy, text=f"before kill {count}")[1]["id"] for _ in range(count)]
        proxy.process.kill()
        proxy.process.wait()
        proxy.close_clients()
        proxy.start()
        assert verdict(proxy)["ok"]
        assert {event["id"] for event in proxy.admin("GET", "/api/v1/events?follow=false")[1]["events"]} >= set(ids)


# ---- by the files alone ------------------------------------------------------------------------------------------------------------


def test_export_and_import_are_each_others_reverse(proxy, tmp_path):
    post(proxy, subject="v2", text="to be exported")
    exported = said(proxy, "export")
    lines = [json.loads(line) for line in exported.splitlines()]
    assert lines[0] == {"weir_export": 1, "tables": 6} and lines[-1]["end"] is True and lines[-1]["rows"] == len(lines) - 2
    assert {"audit", "config_versions", "config_texts", "config_files", "events"} <= {line.get("table") for line in lines}
    file = tmp_path / "export.jsonl"
    file.write_text(exported)
    done = ctl(tmp_path / "new", "import", str(file))
    assert (done.returncode, done.stdout) == (0, f"{len(lines) - 2} rows imported\n"), done.stderr
    assert ctl(tmp_path / "new", "export").stdout == exported
    whole = ctl(tmp_path / "new", "audit", "--verify", "--offline")
    assert (whole.returncode, whole.stdout) == (0, said(proxy, "audit", "--verify"))
    again = ctl(tmp_path / "new", "import", str(file))
    assert again.returncode == 1 and "it is not empty" in again.stderr
    running = ctl(proxy.config["state_dir"], "import", str(file))
    assert running.returncode == 1 and f"another weir (pid {proxy.pid}) runs" in running.stderr


def test_an_import_is_whole_or_nothing(proxy, tmp_path):
    post(proxy, subject="v2", text="to be exported")
    lines = said(proxy, "export").splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if '"table":"audit"' in line)
    broken = {
        "the file ends before the export does": lines[:-1],
        "rows are missing": lines[: len(lines) // 2] + lines[-1:],
        "it was changed": [re.sub(',"sha256":"[0-9a-f]*"', "", line).replace("a test", "no test") for line in lines],
        "it is not JSON": [*lines[:3], "{\n", *lines[3:]],
        "there is no such table": [*lines[:-1], '{"table":"nothing"}\n', lines[-1]],
        "it does not have the columns of its table": [lines[0], lines[first].replace('"who"', '"whom"')],
        "this is not an export of weir": lines[1:],
        "with other tables": [lines[0].replace("6", "7"), *lines[1:]],
        "something follows the end": [*lines, lines[-1]],
    }
    for number, (message, text) in enumerate(broken.items()):
        directory = tmp_path / str(number)
        done = ctl(directory, "import", "-", input="".join(text))
        assert done.returncode == 1 and message in done.stderr, (message, done.stderr)
        if message in ("rows are missing", "it was changed"):
            assert len(ctl(directory, "export").stdout.splitlines()) == 2


def test_a_log_without_its_end_is_found_offline_and_after_a_restart(start):
    proxy = start(Origin())
    for number in range(3):
        post(proxy, text=str(number))
    state = proxy.config["state_dir"]
    proxy.stop()
    whole = ctl(state, "audit", "--verify", "--offline", "--json")
    assert whole.returncode == 0 and json.loads(whole.stdout)["checked"] == 4  # and the drain of the harness
    with sqlite3.connect(os.path.join(state, "weir.db")) as db:
        db.executescript(
            "DROP TRIGGER audit_is_never_shortened; DELETE FROM audit WHERE id > 2;"
            "UPDATE audit_head SET (id, hash) = (SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1)"
        )
    cut = ctl(state, "audit", "--verify", "--offline")
    assert cut.returncode == 1 and "at line 3: lines at the end are missing" in cut.stdout
    proxy.start()
    assert "audit-head: it knows another end" in proxy.error_log()
    assert not verdict(proxy)["ok"] and verdict(proxy)["bad_id"] == 3
    nowhere = ctl(proxy.path("nowhere"), "audit", "--verify", "--offline")
    assert nowhere.returncode == 1 and "nowhere/weir.db" in nowhere.stderr
    assert ctl(state, "audit", "--offline").returncode == 2
