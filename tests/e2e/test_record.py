# e2e/test_record.py - `record:` of a shadow: copied requests are written, and `weir replay` finds nothing new in them.
import json
import os
import signal
import stat
import subprocess

import jsonschema
import pytest

from harness import WEIR, Client, reply, wait_for
from harness.proxy import ROOT


@pytest.fixture(name="recorded")
def fixture_recorded(start, make_origin, tmp_path):
    """Starts a proxy that records: recorded(live, **of the shadow) gives the proxy, the file and a reader of its lines."""
    def begin(live, **shadow):
        dark = make_origin()
        file = str(tmp_path / "shadow.jsonl")
        proxy = start(
            live,
            upstreams={"live": {"endpoints": [live.address]}, "dark": {"endpoints": [dark.address]}},
            routes=[{"name": "shop", "to": "live", "shadow": [{"to": "dark", "record": file, **shadow}]}],
        )
        return proxy, file

    return begin


def lines_of(file):
    if not os.path.exists(file):
        return []
    with open(file, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_lines(file, count):
    return wait_for(lambda: len(lines_of(file)) >= count and lines_of(file), f"{count} lines in {file}")


def replay(file, origin, *words):
    done = subprocess.run([WEIR, "replay", file, "--to", f"http://127.0.0.1:{origin.port}", "--speed", "max", "--json", *words],
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_what_was_copied_is_written_and_replayed(make_origin, recorded):
    live = make_origin(reply(b'{"b": 1, "a": 2}', "Content-Type: application/json", "Set-Cookie: sid=hush", "X-A: 1"))
    proxy, file = recorded(live)
    client = Client(proxy.address())
    for i in range(3):
        assert client.get(f"/item?id={i}&token=hush", "Authorization: hush", "X-B: 2", host="shop.example.com").status == 200
    written = wait_lines(file, 3)
    wait_for(lambda: proxy.metric("weir_shadow_records_total", result="written") == 3, "they are counted")
    with open(os.path.join(ROOT, "docs", "record.schema.json"), encoding="utf-8") as schema:
        validator = jsonschema.Draft202012Validator(json.load(schema))
    for line in written:
        validator.validate(line)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    first = min(written, key=lambda line: line["request"]["target"])  # copies may overtake each other
    assert (first["route"], first["upstream"], first["shadow"]) == ("shop", "live", "dark")
    assert first["request"]["target"] == "/item?id=0&token=[redacted]"
    assert (first["request"]["host"], first["request"]["scheme"]) == ("shop.example.com", "http")
    headers = {name.lower(): value for name, value in first["request"]["headers"]}
    assert headers["authorization"] is None and headers["x-b"] == "2"
    assert ["X-A", "1"] in first["answer"]["headers"] and ["Set-Cookie", None] in first["answer"]["headers"]
    assert "hush" not in json.dumps(written)
    assert replay(file, make_origin(reply(b'{"a":2,"b":1}', "Content-Type: application/json", "X-A: 1")))["same"] == 3
    changed = replay(file, make_origin(reply(b'{"a":2,"b":3}', "Content-Type: application/json", "X-A: 1")))
    assert changed["different_by"] == {"status": 0, "header": 0, "body": 3}


def test_bodies_are_written_with_what_was_named_hidden(make_origin, recorded):
    proxy, file = recorded(make_origin(), methods=["POST"], compare={"redact": ["$.card.number"]})
    Client(proxy.address()).get("/pay", "Content-Type: application/json", method="POST", body=b'{"card":{"number":"4111"},"n":1}')
    assert json.loads(wait_lines(file, 1)[0]["request"]["body"]) == {"card": {"number": "[redacted]"}, "n": 1}


def test_a_sample_of_nothing_writes_nothing(make_origin, recorded, tmp_path):
    other = str(tmp_path / "other.jsonl")
    live = make_origin()
    proxy, file = recorded(live, record={"file": other, "sample": "0%"})
    client = Client(proxy.address())
    for _ in range(20):
        client.get("/")
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", route="shop", upstream="dark", result="ok") == 20, "20 copies")
    assert lines_of(other) == [] and lines_of(file) == []


def test_usr1_opens_the_file_again(make_origin, recorded):
    proxy, file = recorded(make_origin())
    client = Client(proxy.address())
    client.get("/1")
    wait_lines(file, 1)
    os.rename(file, file + ".old")
    proxy.process.send_signal(signal.SIGUSR1)

    def is_new():
        client.get("/2")
        return lines_of(file)

    wait_for(is_new, "a new file")
    assert [line["request"]["target"] for line in lines_of(file + ".old")][0] == "/1"


def test_a_file_that_cannot_be_written_costs_no_request(make_origin, recorded, tmp_path):
    live = make_origin()
    proxy, _ = recorded(live, record=str(tmp_path / "none" / "x.jsonl"))
    client = Client(proxy.address())
    for _ in range(20):
        assert client.get("/").status == 200
    wait_for(lambda: proxy.metric("weir_shadow_records_total", result="lost") == 20, "each line is counted as lost")
    assert proxy.metric("weir_shadow_records_total", result="written") == 0
