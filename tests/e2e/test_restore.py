# e2e/test_restore.py - configurations of several files go back: all of them or none, and never into something else.
import json
import os
import pwd
import socket
import sqlite3

import pytest

from harness import Authority
from harness.proxy import free_port


def respond(text, name="self"):
    return {"name": name, "respond": {"status": 200, "body": text}}


def part(text, name="self"):
    """A file that adds one route."""
    return json.dumps({"routes": [respond(text, name)]}) + "\n"


def write(proxy, name, text):
    with open(proxy.path(name), "w", encoding="utf-8") as file:
        file.write(text)


def reload(proxy):
    status, body = proxy.admin("POST", "/api/v1/reload", {"reason": "the test says so"})
    assert status == 200, body
    return body["generation"]


def restore(proxy, number):
    return proxy.admin("POST", f"/api/v1/config/versions/{number}/restore", {"reason": "it was better"})


def files_of(proxy):
    return {
        os.path.join(folder, name): (os.stat(os.path.join(folder, name)).st_ino, proxy.read(os.path.join(folder, name)))
        for folder, _, names in os.walk(proxy.directory.name)
        for name in names
        if "/state" not in folder and not name.endswith(".log")
    }


def refused(proxy, number):
    """The answer's status, code and everything it says; no file and no generation may have changed."""
    files, generation = files_of(proxy), proxy.status()["config"]["generation"]
    status, body = restore(proxy, number)
    assert (files_of(proxy), proxy.status()["config"]["generation"]) == (files, generation)
    error = body["error"]
    return status, error["code"], "\n".join([error["message"], *error.get("problems", [])])


def audit(proxy):
    """The newest line of what somebody asked for: what came into force by it has a line of its own."""
    lines = proxy.admin("GET", "/api/v1/audit?limit=2")[1]["lines"]
    return next(line for line in lines if line["action"] != "config.applied")


@pytest.fixture
def split(start):
    """weir.yaml and, by a pattern, part.d/route.yaml: generation 1 answers "one", generation 2 "two"."""
    proxy = start(include=["part.d/*.yaml"], upstreams={}, routes=[respond("early", "early")])
    os.mkdir(proxy.path("part.d"))
    proxy.config["routes"] = []
    write(proxy, "part.d/route.yaml", part("one"))
    proxy.write_config()
    assert reload(proxy) == 2
    write(proxy, "part.d/route.yaml", part("two"))
    proxy.config["limits"] = {"headers": "16KiB"}
    proxy.write_config()
    assert reload(proxy) == 3
    assert proxy.get().body == b"two"
    return proxy


def test_all_files_of_a_version_go_back(split):
    os.chmod(split.path("part.d/route.yaml"), 0o604)
    status, body = restore(split, 2)
    assert (status, body) == (200, {"result": "applied", "generation": 4, "problems": []})
    assert split.get().body == b"one"
    assert split.read("part.d/route.yaml") == part("one") and "16KiB" not in split.read("weir.yaml")
    assert split.read("part.d/route.yaml.before-restore") == part("two")
    assert "16KiB" in split.read("weir.yaml.before-restore")
    assert os.stat(split.path("part.d/route.yaml")).st_mode & 0o777 == 0o604
    assert sorted(os.listdir(split.path("part.d"))) == ["route.yaml", "route.yaml.before-restore"]
    versions = split.admin("GET", "/api/v1/config/versions")[1]["versions"]
    assert (versions[0]["source"], versions[0]["file_count"]) == ("restore", 2)
    assert versions[0]["digest"] == versions[2]["digest"]
    line = audit(split)
    assert (line["action"], line["target"], line["reason"]) == ("config.restore", "2", "it was better")
    assert json.loads(line["detail"]) == {"files": [split.path("weir.yaml"), split.path("part.d/route.yaml")]}
    assert restore(split, 2)[1]["result"] == "unchanged"
    assert restore(split, 3)[1]["result"] == "applied" and split.get().body == b"two"


def test_a_pattern_that_matches_everything_does_not_read_what_was_kept(split):
    split.config["include"] = ["part.d/*"]
    split.write_config()
    assert reload(split) == 4
    write(split, "part.d/route.yaml", part("five"))
    assert reload(split) == 5
    assert restore(split, 4)[1]["result"] == "applied" and split.get().body == b"two"
    reload(split)
    assert split.get().body == b"two"


def test_a_file_that_is_gone_comes_back_and_one_no_longer_included_stays(split):
    os.rename(split.path("part.d/route.yaml"), split.path("part.d/route.off"))
    split.config["routes"] = [respond("four")]
    split.config["include"] = []
    split.write_config()
    os.chmod(split.path("weir.yaml"), 0o640)
    assert reload(split) == 4
    assert restore(split, 3)[1]["result"] == "applied"
    assert split.get().body == b"two"
    assert os.stat(split.path("part.d/route.yaml")).st_mode & 0o777 == 0o640
    assert restore(split, 4)[1]["result"] == "applied"
    assert split.get().body == b"four" and split.read("part.d/route.yaml") == part("two")


def test_a_file_added_since_is_not_mixed_in(split):
    write(split, "part.d/added.yaml", part("added", "added"))
    for is_in_force in (False, True):
        if is_in_force:
            reload(split)
        status, code, words = refused(split, 2)
        assert (status, code) == (409, "files_differ")
        assert "1 file that generation 2 did not have" in words and split.path("part.d/added.yaml") in words
    assert audit(split)["action"] == "reload"
    os.unlink(split.path("part.d/added.yaml"))
    assert restore(split, 2)[1]["result"] == "applied"


def test_a_file_that_may_not_be_written_keeps_all_as_they_are(split):
    os.chmod(split.path("part.d/route.yaml"), 0o444)
    if os.getuid() == 0:  # root may write anything: it becomes somebody who may write all but that
        nobody = pwd.getpwnam("nobody")
        split.config["user"] = "nobody"
        split.write_config()
        for name in ("", "part.d", "weir.yaml"):
            os.chown(split.path(name), nobody.pw_uid, nobody.pw_gid)
        split.stop()
        split.start()
    status, code, words = refused(split, 2)
    assert (status, code) == (409, "not_written")
    assert words == f"could not write {split.path('part.d/route.yaml')}: Permission denied"
    assert sorted(os.listdir(split.path("part.d"))) == ["route.yaml"]
    assert split.get().body == b"two"


def test_a_version_that_does_not_validate_any_more_changes_nothing(split):
    split.stop()
    split.environment = {"WORD": "from outside"}
    write(split, "part.d/route.yaml", part("${WORD}"))
    split.start()
    assert split.get().body == b"from outside"
    split.stop()
    split.environment = {}
    write(split, "part.d/route.yaml", part("five"))
    split.start()
    status, code, words = refused(split, 4)
    assert (status, code) == (422, "config_rejected")
    assert "part.d/route.yaml:1:" in words and "WORD" in words
    assert audit(split)["action"] != "config.restore" and split.get().body == b"five"


def test_a_version_whose_certificate_is_gone_writes_nothing(split, tmp_path):
    shop = Authority(str(tmp_path)).make("shop", "DNS:shop.example.com")
    split.config["listeners"]["tls"] = {"bind": f"127.0.0.1:{free_port()}", "tls": {"certificates": [shop.pair()]}}
    split.write_config()
    assert reload(split) == 4
    del split.config["listeners"]["tls"]
    split.write_config()
    assert reload(split) == 5
    certificate = shop.pair()["cert"]
    os.rename(certificate, certificate + ".away")
    status, code, words = refused(split, 4)
    assert (status, code) == (422, "config_rejected")
    assert certificate in words and audit(split)["action"] == "reload"
    os.rename(certificate + ".away", certificate)
    assert restore(split, 4)[1]["result"] == "applied"


@pytest.mark.parametrize("include", [["${FOLDER}/*.yaml"], ["${FOLDER}/route.yaml"]])
def test_an_include_that_leads_elsewhere_by_now_is_not_the_version(split, include):
    """Same bytes, but the variable in them has changed: other files would be read, or fewer."""
    split.stop()
    split.config["include"] = include
    split.environment = {"FOLDER": "part.d"}
    split.start()
    write(split, "part.d/route.yaml", part("five"))
    assert reload(split) == 5
    split.stop()
    os.mkdir(split.path("other.d"))
    if "*" not in include[0]:
        write(split, "other.d/route.yaml", part("elsewhere"))
    split.config["routes"] = [respond("alone", "alone")]
    split.environment = {"FOLDER": "other.d"}
    split.start()
    status, code, words = refused(split, 4)
    assert (status, code) == (409, "files_differ")
    assert split.path("other.d/route.yaml") in words if "*" not in include[0] else "1 of the 2 files" in words


def test_a_version_that_cannot_be_put_in_force_is_taken_back(split):
    port = free_port()
    split.config["listeners"]["more"] = {"bind": f"127.0.0.1:{port}"}
    split.write_config()
    write(split, "part.d/route.yaml", part("more"))
    assert reload(split) == 4
    del split.config["listeners"]["more"]
    split.write_config()
    write(split, "part.d/route.yaml", part("less"))
    assert reload(split) == 5
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        status, code, words = refused(split, 4)
        assert (status, code) == (422, "config_rejected")
        assert f"127.0.0.1:{port}" in words
    assert split.get().body == b"less"
    assert audit(split)["action"] == "config.restore"
    assert restore(split, 4)[1]["result"] == "applied"


def meddle(proxy, statement):
    """Makes what an early weir stored out of what this one did."""
    proxy.stop()
    with sqlite3.connect(proxy.path("state/weir.db")) as database:
        assert database.execute(statement).rowcount > 0
    proxy.start()


def test_an_early_version_of_one_file_goes_back_into_the_file_given_now(split):
    meddle(split, "UPDATE config_files SET path = '', name = 'elsewhere/old.yaml' WHERE digest ="
                  " (SELECT digest FROM config_versions WHERE generation = 1)")
    os.rename(split.path("part.d/route.yaml"), split.path("part.d/route.off"))  # it was not there then
    assert restore(split, 1)[1]["result"] == "applied"
    assert split.get().body == b"early"


def test_an_early_version_of_several_files_is_refused(split):
    meddle(split, "DELETE FROM config_files WHERE digest = (SELECT digest FROM config_versions WHERE generation = 2)")
    status, code, words = refused(split, 2)
    assert (status, code) == (409, "not_restorable")
    assert "did not keep its 2 files apart" in words


def test_a_version_read_from_another_file_is_refused(split):
    meddle(split, "UPDATE config_files SET path = '/elsewhere/weir.yaml' WHERE place = 0 AND digest ="
                  " (SELECT digest FROM config_versions WHERE generation = 2)")
    status, code, words = refused(split, 2)
    assert (status, code) == (409, "not_restorable")
    assert "/elsewhere/weir.yaml" in words and split.path("weir.yaml") in words


def test_a_draining_process_writes_nothing(split):
    split.drain()
    status, code, _ = refused(split, 2)
    assert (status, code) == (409, "draining")
