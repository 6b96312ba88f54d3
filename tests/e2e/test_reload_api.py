# e2e/test_reload_api.py - reloads by signal, by file and by API: what changes, what stays, and what a bad file does.
import json
import os
import re
import signal
import socket
import threading

import pytest

from harness import Origin, reply, wait_for
from harness.proxy import free_port


def reload(proxy, reason="the test says so"):
    return proxy.admin("POST", "/api/v1/reload", {"reason": reason})


def generation(proxy):
    return proxy.status()["config"]["generation"]


def respond(text):
    """A route that answers by itself: which configuration is in force shows in the body."""
    return [{"name": "self", "respond": {"status": 200, "body": text}}]


def write(proxy, text):
    proxy.config["routes"] = respond(text)
    proxy.write_config()


def write_raw(proxy, text, name="weir.yaml"):
    with open(proxy.path(name), "w", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture
def proxy(start):
    return start(routes=respond("one"), upstreams={}, workers=2)


@pytest.fixture
def watched(start):
    return start(routes=respond("one"), upstreams={}, watch=True)


# ---- the three ways -------------------------------------------------------------------------------------------------------------


def test_hup_reloads(proxy):
    write(proxy, "two")
    proxy.signal(signal.SIGHUP)
    wait_for(lambda: proxy.get().body == b"two", "the new body")
    status = proxy.status()
    assert status["config"]["generation"] == 2 and status["config"]["source"] == "hup" and status["config"]["by"] == "signal"
    assert status["last_reload"]["result"] == "applied" and status["reloads"]["applied"] == 1
    assert "reload: applied (hup by signal), generation 2 is in force" in proxy.error_log()


def test_the_api_answers_when_every_worker_has_switched(proxy):
    for i in range(20):
        write(proxy, f"body {i}")
        assert reload(proxy) == (200, {"result": "applied", "generation": i + 2, "problems": []})
        assert all(proxy.get().body == f"body {i}".encode() for _ in range(4))
        assert all(w["generation"] == i + 2 for w in proxy.status()["workers"])
    assert proxy.metric("weir_config_generation") == 21
    assert proxy.metric("weir_config_reloads_total", result="applied") == 20


def test_the_same_file_changes_nothing(proxy):
    assert reload(proxy) == (200, {"result": "unchanged", "generation": 1, "problems": []})
    proxy.signal(signal.SIGHUP)
    wait_for(lambda: proxy.metric("weir_config_reloads_total", result="unchanged") == 2, "the second one")
    assert generation(proxy) == 1
    assert [v["generation"] for v in proxy.admin("GET", "/api/v1/config/versions")[1]["versions"]] == [1]


def test_a_file_written_in_place_is_seen(watched):
    write(watched, "two")
    wait_for(lambda: watched.get().body == b"two", lambda: f"the new body: {watched.error_log()}")
    assert watched.status()["config"]["source"] == "watch"


def test_a_file_renamed_into_place_is_seen_again_and_again(watched):
    for text in ("two", "three", "four"):
        before = watched.path("weir.yaml")
        watched.config["routes"] = respond(text)
        with open(before + ".new", "w", encoding="utf-8") as file:
            json.dump(watched.config, file)
        os.rename(before + ".new", before)
        wait_for(lambda body=text.encode(): watched.get().body == body, lambda: f"the new body: {watched.error_log()}")


def test_files_behind_a_folder_that_is_a_moving_link_are_seen(start):
    """As Kubernetes mounts a ConfigMap: weir.yaml -> ..data/weir.yaml, ..data -> ..version; a rename moves ..data."""
    proxy = start(routes=respond("one"), upstreams={}, watch=True)

    def publish(version, text):
        os.mkdir(proxy.path(version))
        with open(proxy.path(f"{version}/weir.yaml"), "w", encoding="utf-8") as file:
            json.dump({**proxy.config, "routes": respond(text)}, file)
        os.symlink(version, proxy.path("..next"))
        os.rename(proxy.path("..next"), proxy.path("..data"))

    publish("..v1", "two")
    os.symlink("..data/weir.yaml", proxy.path("link"))
    os.rename(proxy.path("link"), proxy.path("weir.yaml"))
    wait_for(lambda: proxy.get().body == b"two", lambda: f"the first version: {proxy.error_log()}")
    publish("..v2", "three")
    wait_for(lambda: proxy.get().body == b"three", lambda: f"the second version: {proxy.error_log()}")


def test_included_files_are_seen_also_new_ones(start):
    proxy = start(include=["conf.d/*.yaml"], upstreams={}, routes=[], watch=True)
    assert proxy.get().status == 404
    os.makedirs(proxy.path("conf.d"), exist_ok=True)
    write_raw(proxy, "")  # the folder was not there: a change of the main file makes it known
    proxy.write_config()
    write_raw(proxy, json.dumps({"routes": respond("from a part")}), "conf.d/part.yaml")
    wait_for(lambda: proxy.get().body == b"from a part", lambda: f"the new part: {proxy.error_log()}")
    write_raw(proxy, json.dumps({"routes": respond("changed")}), "conf.d/part.yaml")
    wait_for(lambda: proxy.get().body == b"changed", lambda: f"the changed part: {proxy.error_log()}")
    os.unlink(proxy.path("conf.d/part.yaml"))
    wait_for(lambda: proxy.get().status == 404, lambda: f"the part is gone: {proxy.error_log()}")


def test_a_broken_file_that_is_mended_is_seen(watched):
    write_raw(watched, "routes: [")
    wait_for(lambda: watched.status()["reloads"]["rejected"] >= 1, "the broken file is seen")
    assert watched.get().body == b"one"
    write(watched, "mended")
    wait_for(lambda: watched.get().body == b"mended", lambda: f"the mended file: {watched.error_log()}")


def test_watch_false_is_obeyed_and_can_be_changed(start):
    proxy = start(routes=respond("one"), upstreams={}, watch=True)
    proxy.config["watch"] = False
    write(proxy, "two")
    wait_for(lambda: proxy.get().body == b"two", "the last change that is seen")
    write(proxy, "three")
    assert reload(proxy)[1]["result"] == "applied"  # by the API: the watch has not been faster
    assert proxy.status()["config"]["source"] == "api"


# ---- bad files ------------------------------------------------------------------------------------------------------------------

BROKEN = """state_dir: {state}
listeners: {{ web: {{ bind: "127.0.0.1:1" }} }}
upstreams:
  a: {{ endpoints: [ nonsense ] }}
routes:
  - {{ name: x, to: nobody }}
  - {{ name: y, to: a, timeout: soon }}
"""


def test_every_problem_is_told_and_nothing_changes(proxy):
    write_raw(proxy, BROKEN.format(state=proxy.path("state")))
    status, body = reload(proxy)
    assert status == 422 and body["error"]["code"] == "config_rejected"
    problems = body["error"]["problems"]
    places = [re.search(r"weir\.yaml:(\d+):\d+: ", p)[1] for p in problems]
    assert places == ["4", "6", "7"], problems
    assert proxy.get().body == b"one" and generation(proxy) == 1
    assert proxy.status()["last_reload"]["problems"] == problems
    assert proxy.status()["last_reload"]["result"] == "rejected"
    assert proxy.metric("weir_config_reloads_total", result="rejected") == 1
    log = proxy.error_log()
    assert all(problem in log for problem in problems)
    assert "reload: rejected (api by unix:" in log


@pytest.mark.parametrize("text", ["", "routes: [", "\x00\x01", "a: &x [*x]"], ids=["empty", "cut off", "binary", "alias"])
def test_files_that_are_no_configuration_change_nothing(proxy, text):
    write_raw(proxy, text)
    assert reload(proxy)[0] == 422
    assert proxy.get().body == b"one"


def test_a_file_that_is_gone_changes_nothing(proxy):
    os.unlink(proxy.path("weir.yaml"))
    status, body = reload(proxy)
    assert status == 422 and "No such file" in body["error"]["problems"][0]
    assert proxy.get().body == b"one"


def test_a_listener_that_cannot_be_opened_rejects_the_whole(proxy):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        free = free_port()
        proxy.config["listeners"]["extra"] = {"bind": f"127.0.0.1:{free}"}
        proxy.config["listeners"]["taken"] = {"bind": f"127.0.0.1:{port}"}
        write(proxy, "two")
        status, body = reload(proxy)
        assert status == 422
        assert f"could not listen on '127.0.0.1:{port}'" in body["error"]["problems"][0]
        assert proxy.get().body == b"one" and generation(proxy) == 1
    wait_for(lambda: is_closed(free), "the listener that could be opened is closed again")


def test_an_access_log_that_cannot_be_opened_rejects_the_whole(proxy):
    proxy.config["log"] = {"access": proxy.path("no/such/folder/access.log")}
    proxy.config["listeners"]["extra"] = {"bind": f"127.0.0.1:{free_port()}"}
    proxy.write_config()
    status, body = reload(proxy)
    assert status == 422 and "no/such/folder/access.log" in body["error"]["problems"][0]
    assert generation(proxy) == 1 and len(proxy.status()["listeners"]) == 1


# ---- listeners ------------------------------------------------------------------------------------------------------------------


def is_closed(port):
    try:
        socket.create_connection(("127.0.0.1", port), 30).close()
        return False
    except ConnectionRefusedError:
        return True


def test_listeners_come_and_go_and_the_others_keep_their_sockets(proxy):
    extra = free_port()
    kept = proxy.client()
    assert kept.get().body == b"one"
    proxy.config["listeners"]["extra"] = {"bind": f"127.0.0.1:{extra}"}
    write(proxy, "two")
    assert reload(proxy)[1]["result"] == "applied"
    assert [l["address"] for l in proxy.status()["listeners"]][1:] == [f"127.0.0.1:{extra}"]
    assert proxy.client("extra").get().body == b"two"
    assert kept.get().body == b"two"

    on_extra = proxy.client("extra")
    assert on_extra.get().body == b"two"
    del proxy.config["listeners"]["extra"]
    write(proxy, "three")
    assert reload(proxy)[1]["result"] == "applied"
    wait_for(lambda: is_closed(extra), "the listener is closed")
    assert kept.get().body == b"three"


def test_clients_of_a_listener_that_goes_are_served_and_go(proxy):
    """HTTP/2 is told by GOAWAY, in two steps; HTTP/1.1 by its next answer, since its end could cross a request."""
    proxy.config["listeners"]["extra"] = {"bind": f"127.0.0.1:{free_port()}"}
    let_go = threading.Event()
    origin = Origin(lambda connection, seen: (let_go.wait(30), connection.send(reply(b"late"))))
    proxy.config["upstreams"] = {"slow": {"endpoints": [origin.address]}}
    proxy.config["routes"].insert(0, {"name": "slow", "match": {"path": {"exact": "/slow"}}, "to": "slow"})
    proxy.write_config()
    assert reload(proxy)[1]["result"] == "applied"
    h1, h2, idle, others = proxy.client("extra"), proxy.h2_client("extra"), proxy.h2_client("extra"), proxy.h2_client()
    for client in (h1, h2, idle, others):
        assert client.get("/").status == 200
    slow = h2.begin("/slow")
    origin.wait_requests()
    del proxy.config["listeners"]["extra"]
    proxy.write_config()
    assert reload(proxy)[1]["result"] == "applied"
    idle.rest()
    assert len(idle.goaways) == 2 and idle.has_ended == "fin"
    h2.until(lambda: len(h2.goaways) == 2, "a GOAWAY before the answer")
    let_go.set()
    assert h2.answer(slow).body == b"late"
    h2.rest()
    response = h1.get("/")
    assert (response.status, response.get("Connection")) == (200, "close")
    h1.expect_closed()
    assert others.get("/").status == 200 and not others.ping().goaways
    others.close()
    origin.stop()


def test_a_renamed_listener_keeps_what_waits_in_its_queue(proxy):
    """The worker is stopped while clients connect, so that they wait in the accept queue over the reload."""
    bind = proxy.config["listeners"]["web"]["bind"]
    proxy.signal(signal.SIGSTOP)
    waiting = [proxy.client() for _ in range(8)]
    proxy.config["listeners"] = {"renamed": {"bind": bind}}
    write(proxy, "two")
    proxy.signal(signal.SIGHUP)
    proxy.signal(signal.SIGCONT)
    assert {client.get().status for client in waiting} == {200}
    wait_for(lambda: [l["name"] for l in proxy.status()["listeners"]] == ["renamed"], "the new name")


def test_the_port_of_the_kernels_choice_stays(start):
    proxy = start(routes=respond("one"), upstreams={}, workers=2,
                  listeners={"web": {"bind": "127.0.0.1:0"}, "local": {"bind": "unix:local.sock"}})
    addresses = [l["address"] for l in proxy.status()["listeners"]]
    assert addresses[1].startswith("unix:/") and addresses[1].endswith("local.sock")
    write(proxy, "two")
    assert reload(proxy)[1]["result"] == "applied"
    assert [l["address"] for l in proxy.status()["listeners"]] == addresses


# ---- under load -----------------------------------------------------------------------------------------------------------------


def change_often(proxy):
    """Sixty reloads, and weights set at run time between them."""
    for i in range(60):
        proxy.config["routes"][0]["split"] = {"v1": 1 + i % 3, "v2": 1}
        proxy.config["routes"][0]["timeout"] = f"{10 + i}s"
        proxy.write_config()
        assert reload(proxy)[1]["result"] == "applied"
        if i % 10 == 5:
            assert proxy.admin("PUT", "/api/v1/routes/shop/split", {"weights": {"v1": 1, "v2": 9}, "reason": "load"})[0] == 200


def test_no_request_fails_while_configurations_change(start):
    a, b = Origin(), Origin()
    a.answer, b.answer = reply(b"a"), reply(b"b")
    proxy = start(workers=2, upstreams={"v1": {"endpoints": [a]}, "v2": {"endpoints": [b]}},
                  routes=[{"name": "shop", "split": {"v1": 1, "v2": 1}}])
    failures, counts, is_over = [], [0] * 6, threading.Event()

    def load(index):
        client = None
        while not is_over.is_set() and len(failures) < 10:
            try:
                client = client or proxy.client()
                answer = client.get(f"/{index}")
                if answer.status != 200 or answer.body not in (b"a", b"b"):
                    failures.append(answer)
                counts[index] += 1
                if index % 2 or answer.get("Connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError, AssertionError) as error:
                failures.append(error)
                client = None

    threads = [threading.Thread(target=load, args=(i,), daemon=True) for i in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: all(counts), "every client was served")
        change_often(proxy)
        before = list(counts)
        wait_for(lambda: all(now > then for now, then in zip(counts, before)), "every client was served after it too")
    finally:
        is_over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert generation(proxy) == 61


def test_reloads_leave_nothing_behind(proxy):
    write(proxy, "first")
    assert reload(proxy)[1]["result"] == "applied"
    files = proxy.open_files()
    for i in range(200):
        write(proxy, f"body {i}")
        assert reload(proxy)[1]["result"] == "applied"
    wait_for(lambda: proxy.status()["config"]["snapshots"] == 1, lambda: f"old snapshots are gone: {proxy.status()}")
    wait_for(lambda: proxy.open_files() <= files, lambda: f"{proxy.open_files()} files are open, {files} were")


def test_a_request_under_way_keeps_its_snapshot(start, origin):
    is_due = threading.Event()
    origin.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", is_due, b"cd"]
    proxy = start(origin)
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    origin.wait_requests()
    proxy.config["upstreams"] = {}
    write(proxy, "two")
    assert reload(proxy)[1]["result"] == "applied"
    assert proxy.get().body == b"two"
    assert proxy.status()["config"]["snapshots"] == 2
    is_due.set()
    assert client.response().body == b"abcd"
    wait_for(lambda: proxy.status()["config"]["snapshots"] == 1, "the old snapshot is gone")


# ---- versions -------------------------------------------------------------------------------------------------------------------


def versions(proxy):
    return proxy.admin("GET", "/api/v1/config/versions")[1]["versions"]


def restore(proxy, number, reason="it was better"):
    return proxy.admin("POST", f"/api/v1/config/versions/{number}/restore", {"reason": reason})


def test_versions_are_listed_compared_and_restored(proxy):
    first = proxy.read("weir.yaml")
    os.chmod(proxy.path("weir.yaml"), 0o640)
    write(proxy, "two")
    second = proxy.read("weir.yaml")
    assert reload(proxy)[1]["generation"] == 2
    assert [(v["generation"], v["source"], v["current"]) for v in versions(proxy)] == [(2, "api", True), (1, "start", False)]
    assert versions(proxy)[0]["by"].startswith("unix:") and versions(proxy)[1]["by"] == "weir"
    assert second.strip() in proxy.admin("GET", "/api/v1/config/versions/2")[1]["text"]

    diff = proxy.admin("GET", "/api/v1/config/versions?diff=1..2")[1]
    assert diff["from"] == 1 and diff["to"] == 2 and not diff["is_equal"]
    changed = [line for line in diff["diff"].splitlines() if line[0] in "+-"]
    assert changed[:2] == ["--- generation 1", "+++ generation 2"]
    assert [line[0] for line in changed[2:]] == ["-", "+"] and '"one"' in changed[2] and '"two"' in changed[3]

    write_raw(proxy, "half an idea")
    status, body = restore(proxy, 1)
    assert status == 200 and body == {"result": "applied", "generation": 3, "problems": []}
    assert proxy.get().body == b"one"
    assert proxy.read("weir.yaml").strip() == first.strip()
    assert proxy.read("weir.yaml.before-restore") == "half an idea"
    assert os.stat(proxy.path("weir.yaml")).st_mode & 0o777 == 0o640
    assert sorted(f for f in os.listdir(proxy.directory.name) if f.startswith("weir.yaml")) == [
        "weir.yaml", "weir.yaml.before-restore"]
    assert [(v["generation"], v["source"]) for v in versions(proxy)] == [(3, "restore"), (2, "api"), (1, "start")]
    assert versions(proxy)[0]["digest"] == versions(proxy)[2]["digest"]
    applied, line = proxy.admin("GET", "/api/v1/audit?limit=2")[1]["lines"]
    assert (applied["action"], applied["who"]) == ("config.applied", "weir")
    assert (line["action"], line["target"], line["reason"]) == ("config.restore", "1", "it was better")


def test_versions_that_are_not_there(proxy):
    for call in (lambda: proxy.admin("GET", "/api/v1/config/versions/9"), lambda: restore(proxy, 9),
                 lambda: restore(proxy, "x"), lambda: proxy.admin("GET", "/api/v1/config/versions?diff=1..9")):
        status, body = call()
        assert (status, body["error"]["code"]) == (404, "no_such_version")
    status, body = proxy.admin("GET", "/api/v1/config/versions?diff=1-2")
    assert (status, body["error"]["code"]) == (400, "bad_argument")


def test_a_version_that_does_not_validate_any_more_is_not_restored(start):
    proxy = start(routes=[{"name": "self", "respond": {"status": 200, "body": "${WORD}"}}], upstreams={},
                  environment={"WORD": "from outside"})
    assert proxy.get().body == b"from outside"
    write(proxy, "two")
    assert reload(proxy)[0] == 200
    proxy.stop()
    proxy.environment = {}
    proxy.start()
    status, body = restore(proxy, 1)
    assert (status, body["error"]["code"]) == (422, "config_rejected")
    assert "WORD" in body["error"]["problems"][0]
    assert proxy.get().body == b"two" and '"two"' in proxy.read("weir.yaml")


def test_generations_go_on_over_restarts(proxy):
    write(proxy, "two")
    assert reload(proxy)[1]["generation"] == 2
    proxy.stop()
    proxy.start()
    assert generation(proxy) == 2
    proxy.stop()
    write(proxy, "three")
    proxy.start()
    assert generation(proxy) == 3 and proxy.get().body == b"three"
    assert [v["generation"] for v in versions(proxy)] == [3, 2, 1]


# ---- settings and logs ------------------------------------------------------------------------------------------------------------


def test_what_needs_a_restart_is_said(proxy):
    proxy.config["workers"] = 3
    proxy.config["admin"] = {"bind": f"127.0.0.1:{free_port()}"}
    write(proxy, "two")
    assert reload(proxy)[1]["result"] == "applied"
    assert sorted(proxy.status()["config"]["restart_needed"]) == ["admin.bind", "workers"]
    assert "reload: workers changed, which needs a restart" in proxy.error_log()
    assert len(proxy.status()["workers"]) == 2
    proxy.config["workers"] = 2
    del proxy.config["admin"]
    write(proxy, "three")
    assert reload(proxy)[1]["result"] == "applied"
    assert proxy.status()["config"]["restart_needed"] == []


def test_tokens_are_reloaded(start):
    proxy = start(routes=respond("one"), upstreams={}, admin={"bind": "127.0.0.1:0"})
    address = proxy.status()["admin"]["address"]
    proxy.config["admin"]["tokens"] = [{"name": "ci", "role": "viewer", "sha256": "ab" * 32}]
    proxy.write_config()
    host, port = address.rsplit(":", 1)

    def status_over_tcp():
        with socket.create_connection((host, int(port)), 30) as sock:
            sock.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return int(sock.makefile("rb").readline().split()[1])

    assert status_over_tcp() == 200
    assert reload(proxy)[1]["result"] == "applied"
    assert status_over_tcp() == 401


def lines_of(proxy, name):
    return [json.loads(line)["path"] for line in proxy.read(name).splitlines() if line.endswith("}")]


def test_the_access_log_moves_with_a_reload_and_is_reopened_on_usr1(start):
    proxy = start(routes=respond("one"), upstreams={})
    proxy.get("/to-stdout")
    proxy.access_line(path="/to-stdout")
    proxy.config["log"] = {"access": proxy.path("own.log")}
    proxy.write_config()
    assert reload(proxy)[1]["result"] == "applied"
    proxy.get("/to-file")
    wait_for(lambda: "/to-file" in lines_of(proxy, "own.log"), "the line in the file")
    os.rename(proxy.path("own.log"), proxy.path("own.log.1"))
    proxy.signal(signal.SIGUSR1)
    wait_for(lambda: os.path.exists(proxy.path("own.log")), "the file is made again")
    proxy.get("/after-usr1")
    wait_for(lambda: "/after-usr1" in lines_of(proxy, "own.log"), "the line in the new file")
    assert "/after-usr1" not in lines_of(proxy, "own.log.1")
    assert "log: reopened" in proxy.error_log()
    assert "/to-file" not in [line["path"] for line in proxy.access_lines()]


def test_a_full_disk_costs_log_lines_and_no_request(start):
    proxy = start(routes=respond("one"), upstreams={}, log={"access": "/dev/full"})
    assert all(proxy.get().status == 200 for _ in range(5))
    wait_for(lambda: proxy.status()["access_log"]["dropped"] >= 5, lambda: f"they are counted: {proxy.status()['access_log']}")
    assert "No space left on device" in proxy.error_log()
