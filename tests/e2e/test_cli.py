# e2e/test_cli.py - every command: help, exit statuses, check, explain and version, without a running instance.
import glob
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))


def weir(*words, **more):
    environment = dict(os.environ, **more.pop("env", {}))
    return subprocess.run(
        [WEIR, *words], capture_output=True, text=True, timeout=60, env=environment, **more
    )


def commands(path=()):
    """Every command as a tuple of words, found by walking --help."""
    done = weir(*path, "--help")
    section = re.search(r"^commands:\n((?:  .*\n)+)", done.stdout, re.MULTILINE)
    for name in re.findall(r"^  (\w+)", section.group(1), re.MULTILINE) if section else []:
        yield (*path, name)
        yield from commands((*path, name))


# ---- help and wrong usage ------------------------------------------------------------------------------------------


def test_every_command_of_the_contract_is_there():
    wanted = "run check explain schema reference demo top replay version ctl script".split()
    ctl = "status routes upstreams rollouts rollout split reload config audit events incidents export import hygiene drain".split()
    have = set(commands())
    assert {(name,) for name in wanted} <= have
    assert {("ctl", name) for name in ctl} <= have
    assert {("ctl", "config", name) for name in ("versions", "diff", "restore")} <= have


def test_every_command_has_a_help_that_says_how_it_is_used():
    for path in [(), *commands()]:
        done = weir(*path, "--help")
        assert done.returncode == 0 and done.stderr == ""
        lines = done.stdout.splitlines()
        assert lines[0].startswith(" ".join(["usage: weir", *path])), path
        assert any("--help" in line for line in lines)
        assert weir(*path, "-h").stdout == done.stdout


@pytest.mark.parametrize(
    "words, hint",
    [
        ([], "commands:"),
        (["chekc"], 'did you mean "check"?'),
        (["ctl", "ruotes"], 'did you mean "routes"?'),
        (["check"], "--config FILE is missing"),
        (["check", "--confg", "x"], 'did you mean "--config"?'),
        (["check", "-c"], "--config wants a value: FILE"),
        (["check", "-c", "x", "y"], 'unexpected argument "y"'),
        (["run", "-c", "x", "--workers", "0"], "is not a number from 1 to"),
        (["explain", "-c", "x"], "an argument is missing"),
        (["explain", "-c", "x", "ftp://h/"], "begins with neither http://"),
        (["explain", "-c", "x", "--from", "here", "/"], "is no IP address"),
        (["explain", "-c", "x", "--at", "noon", "/"], "is no time such as"),
        (["explain", "-c", "x", "-H", "novalue", "/"], "has no colon"),
        (["demo", "--for", "3"], "is not a duration"),
        (["ctl", "split", "r", "a=1"], "--reason TEXT is missing"),
        (["ctl", "split", "r", "--reason", "x"], "weights are missing"),
        (["ctl", "split", "r", "a", "--reason", "x"], '"a" is not UPSTREAM=WEIGHT'),
        (["ctl", "split", "r", "a=-1", "--reason", "x"], '"a=-1" is not UPSTREAM=WEIGHT'),
        (["ctl", "split", "r", "a=1", "--reset", "--reason", "x"], "--reset takes no weights"),
        (["ctl", "config", "diff", "1", "two"], '"two" is no generation'),
        (["ctl", "--admin", "localhost:1", "status"], "is not unix:PATH, http://HOST:PORT or https://HOST:PORT"),
    ],
)
def test_wrong_usage_is_status_2_with_a_hint(words, hint):
    done = weir(*words)
    assert done.returncode == 2
    assert hint in done.stderr and "usage: weir" in done.stderr
    assert done.stdout == ""


def test_a_failed_write_is_a_failure():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([WEIR, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert "could not write the output" in done.stderr


def test_version_names_the_libraries():
    done = weir("version")
    assert done.returncode == 0
    assert re.match(r"weir \d+\.\d+\.\d+\n", done.stdout)
    for library in ("libevent", "libyaml", "PCRE2", "SQLite", "jansson", "libcurl", "OpenSSL", "nghttp2"):
        assert re.search(rf"^  {library} +\d+\.\d+", done.stdout, re.MULTILINE), library
    assert weir("--version").stdout == done.stdout


# ---- check -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(glob.glob(os.path.join(ROOT, "conf", "*.yaml"))), ids=os.path.basename)
def test_the_examples_are_valid(path, examples):
    done = weir("check", "-c", os.path.join(examples, os.path.basename(path)))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # not even a warning
    assert re.search(r": ok: \d+ listeners?, \d+ routes?, \d+ upstreams?\n$", done.stdout)


def test_there_are_examples():
    names = {os.path.basename(p) for p in glob.glob(os.path.join(ROOT, "conf", "*.yaml"))}
    assert {"minimal.yaml", "canary.yaml", "header-targeting.yaml", "blue-green.yaml", "dark-launch.yaml", "shadow.yaml", "tls.yaml", "grpc.yaml"} <= names


def test_check_reports_every_problem_in_one_run_in_file_order(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text(
        "listeners:\n"
        "  web: { bind: 127.0.0.1:99999, bnd: 3 }\n"
        "upstreams:\n"
        "  a: { endpoints: [] }\n"
        "routes:\n"
        "  - { name: x, match: { path: { regex: '(' } }, split: { a: 95, b: 5 } }\n"
        "  - { name: y, to: c }\n"
    )
    done = weir("check", "-c", str(file))
    assert done.returncode == 1 and done.stdout == ""
    places = [tuple(map(int, m)) for m in re.findall(rf"^{file}:(\d+):(\d+): ", done.stderr, re.MULTILINE)]
    assert {line for line, _ in places} == {2, 4, 6, 7}
    assert len(places) >= 5 and places == sorted(places)
    assert "did you mean 'bind'?" in done.stderr


def test_check_binds_nothing(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = tmp_path / "weir.yaml"
        file.write_text(
            f"listeners: {{ web: {{ bind: '127.0.0.1:{taken.getsockname()[1]}' }} }}\n"
            "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] } }\n"
            "routes: [ { name: all, to: a } ]\n"
        )
        assert weir("check", "-c", str(file)).returncode == 0


def test_warnings_do_not_fail(tmp_path):
    file = tmp_path / "weir.yaml"
    file.write_text(
        "listeners: { web: { bind: 127.0.0.1:8080 } }\n"
        "upstreams: { a: { endpoints: [ 127.0.0.1:1 ] }, unused: { endpoints: [ 127.0.0.1:2 ] } }\n"
        "routes: [ { name: all, to: a } ]\n"
    )
    done = weir("check", "-c", str(file))
    assert done.returncode == 0
    assert re.search(r":2:\d+: warning: ", done.stderr)
    assert done.stdout.endswith(", 1 warning\n")


@pytest.mark.parametrize("command", ["check", "run", "explain"])
@pytest.mark.parametrize(
    "content, message",
    [
        (None, "No such file or directory"),
        ("directory", "Is a directory"),
        (b"", "the file is empty"),
        (b"a: [\n", "not valid YAML"),
        (b"\xff\xfe", "not valid YAML"),
    ],
    ids=["missing", "directory", "empty", "no YAML", "no UTF-8"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, command, content, message):
    path = tmp_path / "weir.yaml"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = weir(command, "-c", str(path), *(["/"] if command == "explain" else []))
    assert done.returncode == 1
    assert str(path) in done.stderr and message in done.stderr


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("x")
    path.chmod(0)
    prefix = []
    if os.geteuid() == 0:  # root may read everything but for these capabilities
        os.chown(path, 65534, 65534)
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*prefix, WEIR, "check", "-c", str(path)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert f"{path}: could not read the file: Permission denied" in done.stderr


# ---- explain ---------------------------------------------------------------------------------------------------------

SHOP = """
listeners:
  web: { bind: 127.0.0.1:8080 }
upstreams:
  v1: { endpoints: [ 127.0.0.1:9001 ] }
  v2: { endpoints: [ 127.0.0.1:9002 ] }
  dark: { endpoints: [ 127.0.0.1:9003 ] }
segments:
  staff: { any: [ { header: x-staff, equals: "1" }, { source: [10.8.0.0/16] } ] }
routes:
  - { name: robots, match: { path: { exact: /robots.txt } }, respond: { status: 200, body: "hello" } }
  - { name: old, match: { host: old.example.com }, redirect: { to: "https://shop.example.com", code: 308 } }
  - name: checkout
    match: { host: "*.example.com", path: { prefix: /checkout }, method: [GET, POST] }
    rules:
      - { name: testers, when: { segment: staff }, to: v2, owner: team-a, expires: 2027-03-01 }
      - { name: dark, when: { header: x-dark-launch, equals: "on" }, to: dark }
      - { name: winter, when: { between: [ 2026-12-20T00:00:00Z, 2027-01-03T00:00:00Z ] }, to: v1 }
    split: { v1: 95, v2: 5 }
    sticky: { cookie: weir_id, ttl: 30d }
  - { name: api, match: { path: { prefix: /api } }, encoded_slash: reject, to: v1 }
  - { name: rest, match: { host: rest.example.com }, split: { v1: 2, v2: 1 } }
"""


@pytest.fixture(name="shop")
def fixture_shop(tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)

    def explain(*words):
        done = weir("explain", "-c", str(file), "--at", "2026-11-23T12:00:00Z", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(str(file), "shop.yaml")

    return explain


def test_explain_says_why_each_earlier_route_and_rule_does_not_match(shop):
    assert shop("http://a.example.com:8080/checkout/x?y=1") == (
        "request    GET /checkout/x?y=1, host a.example.com, from 127.0.0.1, at 2026-11-23T12:00:00.000Z\n"
        "listener   web (127.0.0.1:8080)\n"
        'route      robots does not match: path is "/checkout/x", not "/robots.txt"\n'
        'route      old does not match: host is "a.example.com", not "old.example.com"\n'
        "route      checkout matches (shop.yaml:13)\n"
        "  rule     testers does not match: segment staff: none of (header x-staff is absent; "
        "source is 127.0.0.1, not in 10.8.0.0/16)\n"
        "  rule     dark does not match: header x-dark-launch is absent\n"
        "  rule     winter does not match: time is 2026-11-23T12:00:00.000Z, not from "
        "2026-12-20T00:00:00.000Z until 2027-01-03T00:00:00.000Z\n"
        "  split    v1 95%, v2 5%\n"
        "  sticky   by cookie weir_id: absent, so one is issued and chosen by the shares\n"
        "upstream   one of v1 95%, v2 5%\n"
    )


CLIENTS = """
listeners: { web: { bind: 127.0.0.1:8080 } }
upstreams: { a: { endpoints: [ 127.0.0.1:9001 ] } }
routes:
  - { name: staff, match: { when: { tls_client: cn, equals: alice } }, to: a }
  - { name: robots, match: { when: { tls_client: san, suffix: .bots.example } }, to: a }
  - { name: others, respond: { status: 403, body: "no" } }
"""


@pytest.mark.parametrize("words, route", [
    ([], "others"),
    (["--client-cn", "alice"], "staff"),
    (["--client-cn", "bob"], "others"),
    (["--client-san", "alice"], "others"),
    (["--client-san", "a.example", "--client-san", "one.bots.example"], "robots"),
    (["--client-cn=alice", "--client-san=one.bots.example"], "staff"),
])
def test_explain_knows_client_certificates(tmp_path, words, route):
    file = tmp_path / "clients.yaml"
    file.write_text(CLIENTS)
    done = weir("explain", "-c", str(file), *words, "/")
    assert done.returncode == 0 and f"route      {route} matches" in done.stdout, done.stdout + done.stderr


def test_explain_says_which_client_certificate_it_takes_for_given(tmp_path):
    file = tmp_path / "clients.yaml"
    file.write_text(CLIENTS)
    said = weir("explain", "-c", str(file), "--client-cn", "bob", "--client-san", "b", "--client-san", "c", "/").stdout
    assert "client cn  bob\nclient san b, c\n" in said
    assert 'staff does not match: client certificate\'s cn is "bob", not "alice"' in said


SHADOWED = """
upstreams: { a: { endpoints: [127.0.0.1:1] }, dark: { endpoints: [127.0.0.1:2] }, other: { endpoints: [127.0.0.1:3] } }
routes:
  - name: all
    to: a
    shadow:
      - { to: dark, share: 10%, when: { header: x-copy, equals: "1" } }
      - { to: other, methods: [GET, POST] }
"""


@pytest.mark.parametrize("words,dark,other", [
    ((), "gets no copy: header x-copy is absent", "gets a copy of 100% (shop.yaml:8)"),
    (("-H", "x-copy: 1"), "gets a copy of 10% (shop.yaml:7)", "gets a copy of 100% (shop.yaml:8)"),
    (("-X", "POST"), 'gets no copy: method is "POST", which is not safe, and no methods are named', "gets a copy of 100% (shop.yaml:8)"),
    (("-X", "PUT"), 'gets no copy: method is "PUT", which is not safe, and no methods are named',
     'gets no copy: method is "PUT", not one of "GET", "POST"'),
    (("-H", "x-copy: 1", "-H", "x-shadow: 1"), "gets no copy: the request is a copy itself", "gets no copy: the request is a copy itself"),
])
def test_explain_says_which_shadows_get_a_copy(tmp_path, words, dark, other):
    file = tmp_path / "shop.yaml"
    file.write_text(SHADOWED)
    said = weir("explain", "-c", str(file), *words, "http://a.example.com/").stdout.replace(str(file), "shop.yaml")
    assert [line for line in said.splitlines() if "shadow" in line[:10]] == [f"  shadow   dark {dark}", f"  shadow   other {other}"]


def last_line(text):
    return text.splitlines()[-1]


def test_explain_follows_rules(shop):
    url = "http://a.example.com/checkout"
    said = shop("--from", "10.8.1.1", url)
    assert last_line(said) == "upstream   v2"
    assert "  rule     testers matches (shop.yaml:16, owner team-a, expires 2027-03-01T00:00:00.000Z)\n" in said
    assert last_line(shop("-H", "x-dark-launch: on", url)) == "upstream   dark"
    assert last_line(shop("--at", "2026-12-24T18:00:00Z", url)) == "upstream   v1"


def test_explain_tells_the_sticky_outcome_and_it_is_always_the_same(shop):
    words = ("-H", "Cookie: weir_id=abc", "http://a.example.com/checkout")
    said = shop(*words)
    assert '  sticky   by cookie weir_id = "abc": always the same upstream\n' in said
    assert last_line(said) in ("upstream   v1", "upstream   v2")
    assert shop(*words) == said


def test_explain_sticky_outcomes_have_the_shares(shop):
    upstreams = [
        last_line(shop("-H", f"Cookie: weir_id=user-{i}", "http://a.example.com/checkout")) for i in range(60)
    ]
    assert 45 <= upstreams.count("upstream   v1") < 60


def test_explain_knows_what_is_not_forwarded(shop):
    assert last_line(shop("/robots.txt")) == "answer     200 with 5 bytes of body"
    assert last_line(shop("http://old.example.com/")) == "answer     308 redirect to https://shop.example.com"
    assert last_line(shop("/nowhere")).startswith("answer     404 no_route: ")
    assert last_line(shop("/api/a%2Fb")).startswith("answer     400 encoded_slash: ")
    assert last_line(shop("/%00")).startswith("answer     400 bad_path: ")
    assert last_line(shop("-H", "Host: a b", "/")).startswith("answer     400 bad_host: ")
    assert last_line(shop("-X", "DELETE", "http://a.example.com/checkout")).startswith("answer     404 no_route: ")


def test_explain_matches_in_normal_form_and_says_so(shop):
    said = shop("http://A.Example.COM./x/../checkout%2D1/%63")
    assert "host a.example.com," in said
    assert "path       /checkout-1/c in normal form\n" in said


def test_explain_rounds_shares_for_people(shop):
    assert last_line(shop("http://rest.example.com/")) == "upstream   one of v1 66.67%, v2 33.33%"


def test_explain_shows_twenty_routes_and_all_on_demand(tmp_path):
    routes = "".join(f"  - {{ name: r{i}, match: {{ path: {{ exact: /{i} }} }}, to: a }}\n" for i in range(50))
    file = tmp_path / "many.yaml"
    file.write_text(
        "listeners: { web: { bind: 127.0.0.1:8080 } }\nupstreams: { a: { endpoints: [ 127.0.0.1:1 ] } }\n"
        f"routes:\n{routes}"
    )
    short = weir("explain", "-c", str(file), "/40").stdout
    assert short.count("does not match") == 20
    assert "20 more that do not match: --all shows them" in short
    assert weir("explain", "-c", str(file), "--all", "/40").stdout.count("does not match") == 40


def test_nothing_is_coloured_in_a_pipe(shop):
    assert "\033" not in shop("/robots.txt")


def test_colour_on_a_terminal_but_not_with_no_color(tmp_path):
    import pty

    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)

    def said(**environment):
        ours, theirs = pty.openpty()
        words = [WEIR, "explain", "-c", str(file), "/robots.txt"]
        subprocess.run(words, stdout=theirs, env=dict(os.environ, TERM="xterm", **environment), check=True, timeout=30)
        os.close(theirs)
        output = os.read(ours, 4096)
        os.close(ours)
        return output

    assert b"\033[32m" in said()
    assert b"\033" not in said(NO_COLOR="1")


# ---- ctl without an instance --------------------------------------------------------------------------------------------


def test_ctl_says_where_it_looked(tmp_path):
    done = weir("ctl", "--state-dir", str(tmp_path), "status")
    assert done.returncode == 1
    assert f"could not reach unix:{tmp_path}/admin.sock: No such file or directory" in done.stderr
    assert "Is weir running there?" in done.stderr
    done = weir("ctl", "status", env={"WEIR_STATE_DIR": str(tmp_path)})
    assert f"unix:{tmp_path}/admin.sock" in done.stderr


def test_ctl_names_a_token_file_that_is_not_there(tmp_path):
    done = weir("ctl", "--token-file", str(tmp_path / "token"), "status")
    assert done.returncode == 1
    assert f"{tmp_path}/token: No such file or directory" in done.stderr
