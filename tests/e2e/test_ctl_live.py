# e2e/test_ctl_live.py - `weir ctl` against a running instance: what it shows is true, what it changes happens.
import os
import re
import subprocess

import pytest

from harness import Origin, wait_for
from harness.origin import reply
from harness.proxy import WEIR


def ctl(proxy, *words, **more):
    environment = dict(os.environ, WEIR_STATE_DIR=proxy.config["state_dir"])
    return subprocess.run([WEIR, "ctl", *words], capture_output=True, text=True, timeout=60, env=environment, **more)


def said(proxy, *words):
    done = ctl(proxy, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(name="shop")
def fixture_shop(start):
    """A split of two: each origin answers with its name."""
    stable, canary = Origin(reply(b"stable")), Origin(reply(b"canary"))
    return start(
        upstreams={"stable": {"endpoints": [stable]}, "canary": {"endpoints": [canary]}},
        routes=[{"name": "shop", "split": {"stable": 9, "canary": 1}, "owner": "team-a"}],
    )


def share_of_canary(proxy, count=40):
    client = proxy.client()
    return sum(client.get("/").body == b"canary" for _ in range(count)) / count


def test_status_says_what_runs(shop):
    lines = dict(re.split(" {2,}", line, maxsplit=1) for line in said(shop, "status").splitlines())
    assert lines["state"] == "serving"
    assert re.fullmatch(r"\d+\.\d+\.\d+", lines["weir"])
    assert f"{shop.path('weir.yaml')}, generation 1, since " in lines["configuration"]
    assert lines["listeners"] == f"web 127.0.0.1:{shop.ports['web']}"
    assert lines["workers"].startswith("1, with ")


def test_split_changes_who_answers_and_reset_gives_it_back(shop):
    assert share_of_canary(shop) == 0.1
    assert said(shop, "split", "shop", "stable=50", "canary=50", "--reason", "try it") == (
        "shop: stable 50%, canary 50%\n"
    )
    assert share_of_canary(shop) == 0.5
    assert re.search(r"^shop +any request +stable 50%, canary 50% +overridden +team-a$", said(shop, "routes"), re.M)
    assert said(shop, "split", "shop", "--reset", "--reason", "enough") == (
        "shop: stable 90%, canary 10%, as in the file\n"
    )
    assert share_of_canary(shop) == 0.1
    actions = [line.split()[3] for line in said(shop, "audit").splitlines()[1:]]
    assert len(actions) == 2 and "try it" in said(shop, "audit")
    assert re.fullmatch(r"whole: 2 lines, newest hash [0-9a-f]{64}\n", said(shop, "audit", "--verify"))


@pytest.mark.parametrize(
    "words, message",
    [
        (["nope", "stable=1", "canary=1"], 'there is no route "nope"'),
        (["shop", "stable=1"], "canary"),
        (["shop", "stable=0", "canary=0"], "add up to 0"),
        (["shop", "stable=1", "canary=1", "other=1"], "other"),
    ],
)
def test_a_split_that_cannot_be_is_refused_and_changes_nothing(shop, words, message):
    done = ctl(shop, "split", *words, "--reason", "no")
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert share_of_canary(shop) == 0.1


def test_reload_applies_a_good_file_and_tells_every_problem_of_a_bad_one(shop):
    assert said(shop, "reload") == "unchanged: generation 1\n"
    shop.config["routes"][0]["split"] = {"stable": 1, "canary": 1}
    shop.write_config()
    assert said(shop, "reload") == "applied: generation 2\n"
    assert share_of_canary(shop) == 0.5
    shop.config["routes"][0]["split"] = {"stabel": 1, "canary": "5%"}
    shop.write_config()
    done = ctl(shop, "reload")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("weir ctl reload: ") and len(lines) == 3
    assert all(line.startswith(shop.path("weir.yaml") + ":") for line in lines[1:])
    assert share_of_canary(shop) == 0.5


def test_versions_can_be_compared_and_restored(shop):
    shop.config["routes"][0]["split"] = {"stable": 1, "canary": 1}
    shop.write_config()
    said(shop, "reload")
    versions = [line.split() for line in said(shop, "config", "versions").splitlines()[1:]]
    assert [line[0] for line in versions] == ["2", "1"]
    assert versions[0][-2:] == ["in", "force"]
    diff = said(shop, "config", "diff", "1", "2").splitlines()
    assert any(re.fullmatch(r'- +"stable": 9,', line) for line in diff)
    assert any(re.fullmatch(r'\+ +"stable": 1,', line) for line in diff)
    assert said(shop, "config", "restore", "1", "--reason", "bad idea") == "applied: generation 3\n"
    assert share_of_canary(shop) == 0.1
    assert ctl(shop, "config", "diff", "1", "99").returncode == 1


def test_a_version_that_would_not_come_back_is_refused_with_the_file_in_the_way(shop):
    shop.config["include"] = ["*.part"]
    shop.write_config()
    said(shop, "reload")
    with open(shop.path("new.part"), "w", encoding="utf-8") as file:
        file.write("workers: 1\n")
    done = ctl(shop, "config", "restore", "2", "--reason", "bad idea")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("weir ctl config restore: `include` would read 1 file that generation 2 did not have")
    assert second.strip() == shop.path("new.part")


def test_upstreams_lists_every_endpoint(shop):
    shop.get("/")
    table = said(shop, "upstreams").splitlines()
    addresses = [origin.address for origin in shop.origins]
    assert [line.split()[1] for line in table[1:]] == addresses
    assert [line.split()[0] for line in table] == ["upstream", "stable", "canary"]


def test_hygiene_names_what_expired_and_what_nobody_owns(start):
    rule = {"name": "testers", "when": {"header": "x-t", "equals": "1"}, "to": "a", "expires": "2024-01-01"}
    proxy = start(Origin(), routes=[
        {"name": "owned", "match": {"path": {"prefix": "/o"}}, "to": "a", "owner": "team-a", "rules": [rule]},
        {"name": "orphan", "to": "a"},
    ])
    rows = [line.split()[:3] for line in said(proxy, "hygiene").splitlines()[1:]]
    assert ["rule", "owned/testers", "expired"] in rows
    assert [row[:2] for row in rows if row[2] != "expired"] == [["route", "orphan"]]


def test_tokens_decide_over_tcp(start, tmp_path):
    import hashlib

    from harness.proxy import free_port

    port, secret = free_port(), "s3cret-s3cret-s3cret"
    token = {"name": "eve", "role": "viewer", "sha256": hashlib.sha256(secret.encode()).hexdigest()}
    proxy = start(Origin(), admin={"bind": f"127.0.0.1:{port}", "tokens": [token]})
    where = ("--admin", f"http://127.0.0.1:{port}")
    refused = ctl(proxy, *where, "status")
    assert refused.returncode == 1 and refused.stdout == ""
    file = tmp_path / "token"
    file.write_text(secret + "\n")
    assert "serving" in said(proxy, *where, "--token-file", str(file), "status")
    weak = ctl(proxy, *where, "--token-file", str(file), "drain")
    assert weak.returncode == 1 and "weir ctl drain: " in weak.stderr
    assert "serving" in said(proxy, "status")


def test_drain_lets_clients_finish_and_takes_no_more(shop):
    assert said(shop, "drain", "--reason", "maintenance").startswith("draining: ")
    wait_for(lambda: "draining" in said(shop, "status"), "the state is draining")
    assert shop.admin("GET", "/readyz")[0] == 503
