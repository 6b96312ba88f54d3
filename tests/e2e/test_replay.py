# e2e/test_replay.py - `weir replay`: recorded requests go out again, and differences are told.
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import jsonschema
import pytest

from harness import CLOSE, HOLD, RESET, WEIR, Authority, reply, wait_for
from harness.h2_origin import H2Origin
from harness.proxy import ROOT

JSON_BODY = b'{"id":1,"price":10}'


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def answer(body=b"ok", status=200, headers=(), **more):
    made = {"status": status, "headers": [list(h) for h in headers], "body_bytes": len(body), "body_sha256": sha256(body),
            "latency_us": 1500}
    if body[:1] in b"{[" and body:
        canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        made["json_sha256"] = sha256(canonical.encode())
    return {**made, **more}


def record(target="/", at="2026-11-25T16:00:00.000Z", route="shop", answered=answer(), **request):
    """One line of a record, as a dictionary."""
    made = {"method": "GET", "scheme": "http", "host": "shop.example.com", "target": target, "headers": [], "body": "",
            "truncated": False, **request}
    return {"weir_record": 1, "at": at, "route": route, "upstream": "v1", "shadow": "dark", "request": made,
            "answer": answered}


@pytest.fixture(name="write")
def fixture_write(tmp_path):
    def write_one(*records, name="shadow.jsonl", tail=b""):
        path = tmp_path / name
        path.write_bytes(b"".join(json.dumps(r).encode() + b"\n" for r in records) + tail)
        return str(path)

    return write_one


def run(*words, **more):
    return subprocess.run([WEIR, "replay", *words], capture_output=True, text=True, timeout=60, **more)


def replay(origin, *words, status=0, scheme="http", host="127.0.0.1", **more):
    """The report as a dictionary; as fast as it goes unless the words say otherwise."""
    speed = [] if "--speed" in words else ["--speed", "max"]
    done = run(*words, *speed, "--to", f"{scheme}://{host}:{origin.port}", "--json", **more)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_the_lines_of_these_tests_are_what_the_schema_describes():
    with open(os.path.join(ROOT, "docs", "record.schema.json"), encoding="utf-8") as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    for line in (record(), record(answered=None), record(body={"base64": "AAEC/w=="}, headers=[["a", None]]),
                 record(answered=answer(JSON_BODY, headers=[("x-a", "1")]))):
        validator.validate(line)
    for wrong in ({**record(), "weir_record": 2}, record(headers=[["a"]]), record(scheme="ftp"), record(body={"base64": "Zg"})):
        assert not validator.is_valid(wrong)


# ---- what is sent ----------------------------------------------------------------------------------------------------


def test_a_request_goes_out_as_it_was_recorded_and_marked(origin, write):
    file = write(record("/a?b=%20c", headers=[["accept", "text/*"], ["x-twice", "1"], ["x-twice", "2"], ["x-empty", ""],
                                              ["authorization", None], ["x-latin", {"base64": "Y2Fm6Q=="}],
                                              ["connection", "close"], ["content-length", "7"], ["te", "trailers"]]))
    report = replay(origin, file)
    assert (report["sent"], report["same"], report["ok"]) == (1, 1, True)
    request, = origin.requests
    assert request.start == "GET /a?b=%20c HTTP/1.1"
    assert sorted(request.fields) == [("Host", "shop.example.com"), ("accept", "text/*"), ("x-empty", ""),
                                      ("x-latin", "caf\xe9"), ("x-shadow", "1"), ("x-twice", "1"), ("x-twice", "2")]


def test_bodies_come_out_byte_for_byte(make_origin, write):
    bodies = []

    def on_request(connection, request):
        bodies.append((request.method, request.get("Content-Length"), connection.body(request)))
        connection.send(reply())

    origin = make_origin(on_request)
    file = write(record(method="POST", body='{"a": "€"}\n'), record(method="PUT", body={"base64": "AAEC/w=="}),
                 record(method="POST"), record(method="DELETE"), record(method="GET", body="odd"))
    assert replay(origin, file, "--unsafe-methods", "--concurrency", "1")["same"] == 5
    assert bodies == [("POST", "13", '{"a": "€"}\n'.encode()), ("PUT", "4", b"\0\1\2\xff"), ("POST", "0", b""),
                      ("DELETE", None, b""), ("GET", "3", b"odd")]


def test_head_and_options_asterisk(make_origin, write):
    origin = make_origin(lambda connection, request: connection.send(reply(b"", "x-is: here")))
    file = write(record(method="HEAD", answered=answer(b"", headers=[("x-is", "here")])),
                 record("*", method="OPTIONS", answered=answer(b"")))
    assert replay(origin, file, "--concurrency", "1")["same"] == 2
    assert [r.start for r in origin.requests] == ["HEAD / HTTP/1.1", "OPTIONS * HTTP/1.1"]


def test_headers_of_the_command_line_stand_in_for_recorded_ones(origin, write):
    file = write(record(headers=[["Authorization", None], ["x-a", "old"], ["x-b", "stays"]]))
    replay(origin, file, "-H", "authorization: Bearer test", "--header", "X-A: new", "-H", "Host: dark.example.com")
    fields = dict(origin.requests[0].fields)
    assert fields == {"Host": "dark.example.com", "authorization": "Bearer test", "X-A": "new", "x-b": "stays", "x-shadow": "1"}


def test_the_path_of_the_url_stands_in_front(origin, write):
    done = run(write(record("/x?y")), "--to", f"http://127.0.0.1:{origin.port}/dark/v2/")
    assert done.returncode == 0, done.stdout
    assert origin.requests[0].target == "/dark/v2/x?y"


def test_unsafe_methods_truncated_bodies_and_other_routes_are_left_out(origin, write):
    file = write(record("/1"), record("/2", method="POST"), record("/3", method="get"), record("/4", route="other"),
                 record("/5", body="12", truncated=True), record("/6", route="third"))
    report = replay(origin, file, "--only", "shop", "--only", "third", "--concurrency", "1")
    assert [r.target for r in origin.requests] == ["/1", "/6"]
    assert report["skipped"] == {"method": 2, "route": 1, "truncated": 1}


def test_a_limit_ends_it(origin, write):
    assert replay(origin, write(*[record(f"/{i}") for i in range(20)]), "--limit", "7")["sent"] == 7


def test_connections_are_kept(origin, write):
    replay(origin, write(*[record(f"/{i}") for i in range(50)]), "--concurrency", "2")
    assert len(origin.requests) == 50 and len(origin.connections) <= 2


# ---- in which order, and when ------------------------------------------------------------------------------------------


def test_rotated_files_are_sent_in_the_order_of_their_times(origin, write):
    newest = write(record("/3", at="2026-11-25T16:00:03Z"))
    older = write(record("/1", at="2026-11-25T16:00:01Z"), record("/2", at="2026-11-25T16:00:02Z"), name="shadow.jsonl.1")
    replay(origin, newest, older, "--concurrency", "1")
    assert [r.target for r in origin.requests] == ["/1", "/2", "/3"]


def test_standard_input_is_a_file(origin, write):
    with open(write(record("/in")), "rb") as file:
        assert replay(origin, "-", stdin=file)["same"] == 1
    assert origin.requests[0].target == "/in"


@pytest.mark.parametrize("speed, most_s", [("1x", 0.4), ("10/s", 0.4), ("2x", 0.2)])
def test_requests_keep_their_distances(origin, write, speed, most_s):
    """How long it takes at least: what is due later is not sent before."""
    file = write(*[record(f"/{i}", at=f"2026-11-25T16:00:00.{i}00Z") for i in range(5)])
    assert replay(origin, file, "--speed", speed)["elapsed_us"] >= most_s * 1e6


def test_at_full_speed_distances_do_not_count(origin, write):
    file = write(record("/1", at="2026-01-01T00:00:00Z"), record("/2", at="2026-12-01T00:00:00Z"))
    assert replay(origin, file)["same"] == 2


# ---- what comes back ---------------------------------------------------------------------------------------------------


def test_differences_are_told_by_kind(make_origin, write):
    answers = {"/same": reply(b"ok", "x-a: 1"), "/status": reply(b"ok", "x-a: 1", status="500 Oops"),
               "/header": reply(b"ok", "x-a: 2"), "/body": reply(b"no", "x-a: 1"), "/all": reply(b"no", status="404 None")}
    origin = make_origin(lambda connection, request: connection.send(answers[request.target]))
    file = write(*[record(t, answered=answer(headers=[("x-a", "1"), ("date", "never")])) for t in answers])
    report = replay(origin, file, status=1)
    assert (report["sent"], report["answered"], report["same"], report["different"], report["ok"]) == (5, 5, 1, 4, False)
    assert report["different_by"] == {"status": 2, "header": 2, "body": 2}
    told = {d["target"]: [w["kind"] for w in d["what"]] for d in report["differences"]}
    assert told == {"/status": ["status"], "/header": ["header"], "/body": ["body"], "/all": ["status", "header", "body"]}
    by_target = {d["target"]: d for d in report["differences"]}
    assert by_target["/status"]["what"][0] == {"kind": "status", "recorded": "200", "now": "500"}
    assert by_target["/header"]["what"][0] == {"kind": "header", "name": "x-a", "recorded": "1", "now": "2"}
    assert (by_target["/header"]["file"], by_target["/header"]["line"]) == (file, 3)


def test_formatting_of_json_is_no_difference(make_origin, write):
    file = write(record(answered=answer(JSON_BODY)))
    assert replay(make_origin(reply(b'{ "price": 10,\n  "id": 1 }\n')), file)["same"] == 1
    assert replay(make_origin(reply(b'{"id":1,"price":11}')), file, status=1)["different_by"]["body"] == 1


def test_ignored_headers_may_differ(make_origin, write):
    origin = make_origin(reply(b"ok", "x-build: 42"))
    file = write(record(answered=answer(headers=[("X-Build", "41")])))
    assert replay(origin, file, status=1)["different_by"]["header"] == 1
    assert replay(origin, file, "--ignore-header", "x-build")["same"] == 1


def test_without_a_recorded_answer_nothing_is_compared(origin, write):
    report = replay(origin, write(record(answered=None)))
    assert (report["answered"], report["uncompared"], report["same"]) == (1, 1, 0)


def test_interim_answers_are_no_answers(make_origin, write):
    origin = make_origin(b"HTTP/1.1 103 Early Hints\r\nx-a: early\r\n\r\n" + reply(b"ok", "x-a: 1"))
    assert replay(origin, write(record(answered=answer(headers=[("x-a", "1")]))))["same"] == 1


def test_long_bodies_are_compared_without_being_kept(make_origin, write):
    body = os.urandom(1 << 20) * 20
    origin = make_origin(lambda connection, request: connection.send(reply(body)))
    assert replay(origin, write(record(answered=answer(body))))["same"] == 1


@pytest.mark.parametrize("steps, kind", [([RESET], "broken"), ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno", CLOSE], "broken"),
                                         ([b"garbage\r\n\r\n", CLOSE], "broken"), ([HOLD], "timeout")])
def test_failures_are_told_by_kind(make_origin, write, steps, kind):
    report = replay(make_origin(steps), write(record()), "--timeout", "300ms", status=1)
    assert (report["failed"], report["failed_by"][kind], report["answered"]) == (1, 1, 0)
    assert report["first_failure"]


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 5000 + b"Content-Length: 0\r\n\r\n",
                                  b"HTTP/1.1 103 Early Hints\r\nx: 1\r\n\r\n" * 2000 + reply()],
                         ids=["lines", "interim"])
def test_a_head_that_does_not_end_is_a_failure(make_origin, write, head):
    report = replay(make_origin([head, CLOSE]), write(record()), status=1)
    assert (report["failed"], report["failed_by"]["broken"]) == (1, 1)
    assert "too many lines" in json.dumps(report["first_failure"])


def test_nobody_there(make_origin, write):
    origin = make_origin()
    origin.stop()
    report = replay(origin, write(record("/1"), record("/2")), status=1)
    assert report["failed_by"]["connect"] == 2


# ---- other wires -----------------------------------------------------------------------------------------------------


def http2_records():
    answered = answer(headers=[("X-A", "1")])
    return [record(f"/{i}", answered=answered) for i in range(30)] + [record(method="POST", body="hello", answered=answered)]


def test_http2_in_clear_text(write):
    origin = H2Origin(lambda stream: stream.reply(b"ok", ("x-a", "1")))
    try:
        assert replay(origin, write(*http2_records()), "--http2", "--unsafe-methods")["same"] == 31
    finally:
        origin.stop()


def test_http2_is_agreed_on_over_tls_and_connections_are_kept(write, tmp_path):
    authority = Authority(str(tmp_path / "ca"))
    context = authority.server(authority.make("site", "IP:127.0.0.1"))
    context.set_alpn_protocols(["h2"])
    origin = H2Origin(lambda stream: stream.reply(b"ok", ("x-a", "1")), tls=context)
    try:
        report = replay(origin, write(*http2_records()), "--unsafe-methods", "--concurrency", "4", "--ca", authority.cert,
                        scheme="https")
        assert report["same"] == 31 and len(origin.connections) <= 4
    finally:
        origin.stop()


def test_tls_is_verified_unless_told_otherwise(make_origin, write, tmp_path):
    authority = Authority(str(tmp_path / "ca"))
    origin = make_origin(tls=authority.server(authority.make("site", "IP:127.0.0.1")))
    file = write(record())
    assert replay(origin, file, scheme="https", status=1)["failed_by"]["tls"] == 1
    assert replay(origin, file, "--ca", authority.cert, scheme="https")["same"] == 1
    assert replay(origin, file, "--insecure", scheme="https")["same"] == 1


# ---- files that are not whole --------------------------------------------------------------------------------------------


def test_a_truncated_last_line_is_passed_over_and_told_once(origin, write):
    file = write(record("/1"), tail=json.dumps(record("/2")).encode()[:100])
    assert replay(origin, file)["bad_lines"] == {"count": 0, "cut_at_the_end": 1, "first": []}
    done = run(file, "--to", f"http://127.0.0.1:{origin.port}")
    assert done.returncode == 0
    assert done.stdout.count(f"{file}:2: the last line ends in the middle; passed over\n") == 1


def test_bad_lines_are_counted_and_the_first_ones_shown(origin, write):
    file = write(record("/1"), tail=b"nonsense\n{}\n\xff\n[]\n" + json.dumps(record("/2")).encode() + b"\n")
    report = replay(origin, file)
    assert report["sent"] == 2
    assert report["bad_lines"]["count"] == 4
    assert [b["line"] for b in report["bad_lines"]["first"]] == [2, 3, 4]


def test_a_hostile_line_sends_nothing_of_its_own(origin, write):
    file = write(record("/\r\nx-evil: 1"), record(headers=[["a", "b\r\nx-evil: 1"]]), record(host="h\r\nx-evil: 1"),
                 record(method="GET /\r\n"), record("http://127.0.0.1:1/"), record("/good"))
    report = replay(origin, file)
    assert (report["sent"], report["bad_lines"]["count"]) == (1, 5)
    assert [r.target for r in origin.requests] == ["/good"]


def test_nothing_to_send_is_a_failure(origin, write):
    assert replay(origin, write(), status=1)["sent"] == 0
    done = run(write(record(method="POST")), "--to", f"http://127.0.0.1:{origin.port}")
    assert done.returncode == 1
    assert "nothing was sent" in done.stdout and "--unsafe-methods" in done.stdout


@pytest.mark.parametrize("words, hint", [
    (["--to", "http://h"], "an argument is missing"),
    (["FILE"], "--to URL is missing"),
    (["FILE", "--to", "ftp://h"], "neither http:// nor https://"),
    (["FILE", "--to", "http://"], "names no host"),
    (["FILE", "--to", "http://user@h/"], "names no host"),
    (["FILE", "--to", "http://h/?a"], "more than a path"),
    (["FILE", "--to", "http://h", "--speed", "fast"], '"fast" is none of'),
    (["FILE", "--to", "http://h", "-H", "novalue"], "is no 'NAME: VALUE'"),
    (["FILE", "--to", "http://h", "-H", "a: b\nc: d"], "is no 'NAME: VALUE'"),
    (["FILE", "--to", "http://h", "--ca", "x", "--insecure"], "exclude each other"),
    (["FILE", "--to", "http://h", "--concurrency", "0"], "is not a number from 1 to"),
])
def test_wrong_usage_is_status_2(write, words, hint):
    done = run(*[write(record()) if w == "FILE" else w for w in words])
    assert done.returncode == 2 and hint in done.stderr, done.stderr


def test_a_file_that_is_not_there_is_named_before_anything_is_sent(origin, write, tmp_path):
    done = run(write(record()), str(tmp_path / "none"), "--to", f"http://127.0.0.1:{origin.port}")
    assert done.returncode == 1
    assert f"{tmp_path}/none: No such file or directory" in done.stderr
    assert not origin.requests


# ---- what people see -------------------------------------------------------------------------------------------------------


def test_the_report_for_people(make_origin, write):
    origin = make_origin(lambda connection, request: connection.send(reply(b"ok", "x-a: 2")))
    bad = write(record("/2?q", answered=answer(status=404, headers=[("x-a", "1")])))
    done = run(bad, "--to", f"http://127.0.0.1:{origin.port}", "--speed", "max")
    assert re.fullmatch(
        rf"1 requests sent to http://127\.0\.0\.1:{origin.port} in [0-9.]+m?u?s\n"
        r"answered           1\n"
        r"same               0\n"
        r"different          1   status 1, header 1\n"
        r"failed             0\n"
        r"latency              p50         p90         p99\n"
        r"  recorded         1\.5ms       1\.5ms       1\.5ms\n"
        r"  now       .*\n"
        r"differences, recorded -> now \(1 of 1\):\n"
        rf"  {re.escape(bad)}:1  GET /2\?q\n"
        r"    status  404 -> 200\n"
        r"    header  x-a: 1 -> 2\n", done.stdout), done.stdout
    assert done.stderr == ""


class Terminal:
    """Runs `weir replay` with standard error on a terminal of the given width."""

    def __init__(self, *words, columns=80, **environment):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen([WEIR, "replay", *words], stdout=subprocess.PIPE, stderr=theirs, text=True,
                                        env={**os.environ, "TERM": "xterm", **environment})
        os.close(theirs)
        self.seen = b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while data := os.read(self.ours, 4096):
                self.seen += data
        except OSError:  # the other side is closed
            pass

    def end(self):
        output, _ = self.process.communicate(timeout=60)
        self.thread.join(30)
        os.close(self.ours)
        return output


def slow(make_origin, release):
    """An origin that answers the first request at once, and all others when the test says so."""
    def on_request(connection, request):
        if request.target != "/0":
            assert release.wait(60)
        connection.send(reply())

    return make_origin(on_request)


def test_a_bar_on_a_terminal_and_a_clean_line_behind_it(make_origin, write):
    release = threading.Event()
    origin = slow(make_origin, release)
    terminal = Terminal(write(*[record(f"/{i}") for i in range(4)]), "--to", f"http://127.0.0.1:{origin.port}", columns=60)
    wait_for(lambda: terminal.seen.count(b"\r[") >= 2, "the bar is drawn")
    release.set()
    output = terminal.end()
    assert terminal.process.returncode == 0 and "same               4" in output
    draws = terminal.seen.split(b"\r")
    assert re.match(rb"\[=+>? *\] +\d+ %  \d sent, ", draws[1])
    assert all(len(d.replace(b"\033[K", b"")) < 60 for d in draws)
    assert draws[-1] == b"\033[K"


def test_no_bar_with_json_or_on_a_dumb_terminal(make_origin, write):
    release = threading.Event()
    origin = slow(make_origin, release)
    for words, environment in ((["--json"], {}), ([], {"TERM": "dumb"})):
        release.clear()
        terminal = Terminal(write(*[record(f"/{i}") for i in range(2)]), "--to", f"http://127.0.0.1:{origin.port}", *words,
                            **environment)
        wait_for(lambda: any(seen.target == "/1" for seen in origin.requests), "the second request")
        seen_at = time.monotonic()
        wait_for(lambda: time.monotonic() > seen_at + 0.5, "a bar would have been drawn by now")
        origin.requests.clear()
        release.set()
        terminal.end()
        assert b"\r[" not in terminal.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_orderly_with_the_report_so_far(make_origin, write, number):
    release = threading.Event()
    origin = slow(make_origin, release)
    file = write(*[record(f"/{i}") for i in range(1000)])
    process = subprocess.Popen([WEIR, "replay", file, "--to", f"http://127.0.0.1:{origin.port}", "--speed", "max",
                                "--concurrency", "3", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(origin.requests) == 4, "three requests under way")
    process.send_signal(number)
    release.set()  # what is under way is waited for
    output, errors = process.communicate(timeout=60)
    report = json.loads(output)
    assert process.returncode == 1 and report["interrupted"] and not report["ok"] and errors == ""
    assert report["sent"] == report["answered"] == report["same"] < 1000


def test_a_second_signal_does_not_wait(make_origin, write):
    origin = slow(make_origin, threading.Event())
    file = write(*[record(f"/{i}") for i in range(10)])
    process = subprocess.Popen([WEIR, "replay", file, "--to", f"http://127.0.0.1:{origin.port}", "--speed", "max",
                                "--concurrency", "3", "--json"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(origin.requests) == 4, "three requests under way")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "SigPnd:\t0000000000000000" in open(f"/proc/{process.pid}/status", encoding="ascii").read()
             and "ShdPnd:\t0000000000000000" in open(f"/proc/{process.pid}/status", encoding="ascii").read(), "the first is taken")
    process.send_signal(signal.SIGINT)
    report = json.loads(process.communicate(timeout=60)[0])
    assert report["failed_by"]["cancelled"] == 3 and report["answered"] == 1
