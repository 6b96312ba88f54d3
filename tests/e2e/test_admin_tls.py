# e2e/test_admin_tls.py - the admin API over TLS: whom it serves, what it shows, what a reload may change, who is kept out.
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from harness import WEIR, Authority, Client, wait_for

TOKEN = "token-of-ops"
TOKENS = [{"name": "ops", "role": "operator", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}]
ROUTES = "listeners: { web: { bind: 127.0.0.1:0 } }\nupstreams: { a: { endpoints: [ 127.0.0.1:1 ] } }\n" \
    "routes: [ { name: all, to: a } ]\n"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module")
def shown(ca):
    return ca.make("admin", "DNS:admin.example.com", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
def serve(start, origin, shown):
    """serve(host, tokens=...): a proxy whose admin API speaks TLS there."""
    def serve_one(host="127.0.0.1", **admin):
        return start(origin, admin={"bind": f"{host}:0", "tls": shown.pair(), **admin})
    return serve_one


def address(proxy):
    host, port = proxy.status()["admin"]["address"].rsplit(":", 1)
    return ("127.0.0.1" if host == "0.0.0.0" else host, int(port))


def connect(proxy, ca, **options):
    client = Client(address(proxy), tls=ca.client(**options), server_name="admin.example.com")
    proxy.clients.append(client)
    return client


def code(response):
    return response.status, json.loads(response.body)["error"]["code"]


def bearer(token=TOKEN):
    return f"Authorization: Bearer {token}"


def reload_with(proxy, **admin):
    proxy.config["admin"] = {**proxy.config["admin"], **admin}
    proxy.write_config()
    return proxy.admin("POST", "/api/v1/reload", {"reason": "test"})


# ---- whom it serves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_one_after_the_other(serve, ca, version):
    client = connect(serve(), ca, version=version, alpn=("h2", "http/1.1"))
    assert client.sock.selected_alpn_protocol() == "http/1.1"
    assert client.get("/healthz", host="localhost").body == b"ok\n"
    for _ in range(3):
        answer = client.get("/api/v1/openapi.json", host="localhost")
        assert answer.status == 200
        assert json.loads(answer.body)["openapi"].startswith("3.1")


def test_without_tokens_it_only_reads(serve, ca):
    client = connect(serve(), ca)
    assert client.get("/api/v1/status", host="localhost").status == 200
    assert code(client.get("/api/v1/reload?reason=x", method="POST", host="localhost", body=b"")) == (403, "read_only")
    assert code(client.get("/api/v1/status", host="evil.example.com")) == (403, "foreign_host")


def test_beyond_loopback_every_request_needs_a_token(serve, ca):
    proxy = serve("0.0.0.0", tokens=TOKENS)
    client = connect(proxy, ca)
    assert client.get("/healthz").status == 200
    assert code(client.get("/api/v1/status")) == (401, "unauthenticated")
    assert code(client.get("/api/v1/status", bearer("other"))) == (401, "bad_token")
    assert client.get("/api/v1/status", bearer()).status == 200
    answer = client.get("/api/v1/reload?reason=test", bearer(), method="POST", body=b"")
    assert answer.status == 200 and json.loads(answer.body)["result"] == "unchanged"


def test_a_head_in_pieces_of_records_and_a_body_of_many(serve, ca):
    proxy = serve(tokens=TOKENS)
    client = connect(proxy, ca)
    body = json.dumps({"reason": "x" * 100, "padding": "y" * 100000}).encode()
    head = f"POST /api/v1/reload HTTP/1.1\r\nHost: h\r\n{bearer()}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for at in range(0, len(head), 7):
        client.send(head[at:at + 7])
    assert client.send(body).response("POST").status == 200


def test_clear_text_gets_an_answer_in_clear_text(serve):
    proxy = serve()
    with socket.create_connection(address(proxy), timeout=30) as sock:
        sock.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in head
    assert json.loads(body)["error"]["code"] == "tls_required"
    assert "admin: TLS: http request" in proxy.error_log()


def test_noise_is_closed_and_others_are_served(serve, ca):
    proxy = serve()
    with socket.create_connection(address(proxy), timeout=30) as sock:
        sock.sendall(b"\x16\x03\x01\xff\xff" + os.urandom(64) * 32)
        while sock.recv(65536):  # an alert, then the end
            pass
    assert connect(proxy, ca).get("/healthz", host="localhost").status == 200


@pytest.mark.once
def test_who_does_not_finish_the_handshake_is_closed(serve, ca):
    """As many as there is room for: they keep nobody from the UNIX socket, and go by themselves."""
    proxy = serve()
    silent = [socket.create_connection(address(proxy), timeout=60) for _ in range(128)]
    for sock in silent[::2]:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")  # the first bytes of a ClientHello
    with socket.create_connection(address(proxy), timeout=60) as extra:
        assert extra.recv(1) == b"", "there is no room for another"
    assert proxy.admin("GET", "/readyz")[0] == 200
    for sock in silent:
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
        sock.close()
    assert connect(proxy, ca).get("/healthz", host="localhost").status == 200


def test_who_hangs_up_in_the_handshake_costs_nothing(serve, ca):
    proxy = serve()
    where = address(proxy)
    wait_for(lambda: proxy.open_files(), "it runs")
    before = proxy.open_files()
    for _ in range(200):
        with socket.create_connection(where, timeout=30) as sock:
            sock.sendall(b"\x16\x03\x01")
    wait_for(lambda: proxy.open_files() <= before + 1, lambda: f"all are closed: {proxy.open_files()}, {before} before")
    assert connect(proxy, ca).get("/healthz", host="localhost").status == 200


# ---- reloads and metrics ----------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_shown_after_a_reload(serve, ca, shown):
    proxy = serve(tls=ca.make("renewed", "DNS:admin.example.com").pair())
    there = connect(proxy, ca)
    old = there.sock.getpeercert()["serialNumber"]
    again = ca.make("again", "DNS:admin.example.com")
    shutil.copy(again.cert, proxy.config["admin"]["tls"]["cert"])
    shutil.copy(again.key, proxy.config["admin"]["tls"]["key"])
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    assert connect(proxy, ca).sock.getpeercert()["serialNumber"] != old
    assert there.get("/healthz", host="localhost").status == 200, "who was there goes on as before"


def test_tls_is_switched_on_and_off_by_a_reload(start, origin, ca, shown):
    proxy = start(origin, admin={"bind": "127.0.0.1:0"})
    proxy.config["admin"]["bind"] = proxy.status()["admin"]["address"]
    plain = Client(address(proxy))
    assert plain.get("/healthz", host="localhost").status == 200
    assert reload_with(proxy, tls=shown.pair())[1]["result"] == "applied"
    sealed = connect(proxy, ca)
    assert sealed.get("/healthz", host="localhost").status == 200
    assert plain.get("/healthz", host="localhost").status == 200, "who was there goes on as before"
    del proxy.config["admin"]["tls"]
    assert reload_with(proxy)[1]["result"] == "applied"
    assert sealed.get("/healthz", host="localhost").status == 200
    plain.close()
    plain = Client(address(proxy))
    assert plain.get("/healthz", host="localhost").status == 200
    plain.close()


@pytest.mark.parametrize("missing", ["tokens", "tls"])
def test_a_reload_takes_no_guard_from_an_open_socket(serve, ca, missing):
    """`bind` waits for a restart: that the new file binds to loopback does not close the socket that is there."""
    proxy = serve("0.0.0.0", tokens=TOKENS)
    client = connect(proxy, ca)
    whole = proxy.config["admin"]
    rest = {key: value for key, value in whole.items() if key != missing}
    proxy.config["admin"] = {}
    status, body = reload_with(proxy, **{**rest, "bind": "127.0.0.1:0"})
    assert status == 422, body
    assert f"until a restart, where it needs {missing}" in body["error"]["problems"][0]
    assert "weir.yaml:" in body["error"]["problems"][0]
    assert code(client.get("/api/v1/status")) == (401, "unauthenticated")
    assert reload_with(proxy, **{**whole, "bind": "127.0.0.1:0"})[0] == 200
    assert connect(proxy, ca).get("/api/v1/status", bearer()).status == 200


def test_expiry_is_a_metric(serve, shown):
    end = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", shown.cert], check=True, capture_output=True,
                         text=True).stdout.strip().split("=")[1]
    expires = serve().metric("weir_tls_certificate_expiry_timestamp_seconds", certificate=shown.cert)
    assert expires == ssl.cert_time_to_seconds(end)


# ---- what weir check says ---------------------------------------------------------------------------------------------


def check(tmp_path, admin):
    (tmp_path / "weir.yaml").write_text(f"admin:\n{admin}{ROUTES}")
    return subprocess.run([WEIR, "check", "-c", "weir.yaml"], capture_output=True, text=True, timeout=60, cwd=tmp_path)


def test_check_names_the_place_of_what_is_wrong(tmp_path, ca, shown):
    other = ca.make("other", "DNS:other.example.com")
    done = check(tmp_path, f"  bind: 127.0.0.1:0\n  tls: {{ cert: {shown.cert}, key: {other.key} }}\n")
    assert done.returncode == 1 and done.stderr.startswith("weir.yaml:3:"), done.stderr
    assert "does not belong to the certificate" in done.stderr, done.stderr
    done = check(tmp_path, "  bind: 127.0.0.1:0\n  tls:\n    cert: none.pem\n    key: none.key\n")
    assert "weir.yaml:4:11: could not read" in done.stderr and "weir.yaml:5:10: could not read" in done.stderr
    done = check(tmp_path, f"  bind: 0.0.0.0:0\n  tls: {{ cert: {shown.cert}, key: {shown.key} }}\n")
    assert done.returncode == 1 and done.stderr.startswith("weir.yaml:2:9: the admin API cannot listen on '0.0.0.0:0' without tokens (")
    done = check(tmp_path, f"  bind: 127.0.0.1:0\n  tls: {{ cert: {shown.cert}, key: {shown.key} }}\n")
    assert done.returncode == 0, done.stderr


# ---- weir ctl ---------------------------------------------------------------------------------------------------------


def ctl(proxy, *words, host="127.0.0.1"):
    where = f"https://{host}:{address(proxy)[1]}"
    return subprocess.run([WEIR, "ctl", "--admin", where, *words], capture_output=True, text=True, timeout=60)


@pytest.fixture
def token_file(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return str(tmp_path / "token")


def test_ctl_over_tls(serve, ca, token_file):
    proxy = serve("0.0.0.0", tokens=TOKENS)
    for host in ("127.0.0.1", "localhost"):
        done = ctl(proxy, "--ca", ca.cert, "--token-file", token_file, "status", host=host)
        assert done.returncode == 0 and "serving" in done.stdout, done.stderr
    done = ctl(proxy, "--ca", ca.cert, "--token-file", token_file, "reload", "--reason", "over TLS")
    assert done.returncode == 0, done.stderr
    line = proxy.admin("GET", "/api/v1/audit")[1]["lines"][0]
    assert (line["who"], line["reason"]) == ("ops", "over TLS")


def test_ctl_believes_only_whom_it_is_told_to(serve, ca, token_file, tmp_path):
    proxy = serve(tokens=TOKENS)
    for words in ([], ["--ca", Authority(str(tmp_path / "other")).cert]):
        done = ctl(proxy, *words, "--token-file", token_file, "status")
        assert done.returncode == 1 and "could not reach https://" in done.stderr and "certificate" in done.stderr, done.stderr
    done = ctl(proxy, "--ca", str(tmp_path / "none.pem"), "status")
    assert done.returncode == 1 and "none.pem" in done.stderr, done.stderr
    for insecure in ("-k", "--insecure"):
        done = ctl(proxy, insecure, "--token-file", token_file, "status")
        assert done.returncode == 0 and "serving" in done.stdout, done.stderr
    done = ctl(proxy, "-k", "status")
    assert done.returncode == 1 and "a token is needed" in done.stderr, done.stderr


def test_ctl_checks_the_name(start, origin, ca, token_file):
    wrong = ca.make("wrong", "DNS:elsewhere.example.com")
    proxy = start(origin, admin={"bind": "127.0.0.1:0", "tls": wrong.pair(), "tokens": TOKENS})
    done = ctl(proxy, "--ca", ca.cert, "--token-file", token_file, "status")
    assert done.returncode == 1 and "could not reach" in done.stderr, done.stderr
