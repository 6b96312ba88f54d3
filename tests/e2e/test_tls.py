# e2e/test_tls.py - TLS towards clients: which certificate, which version, whose; sessions; reloads; ends and cuts.
import os
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from harness import CLOSE, WEIR, Authority, reply, request, wait_for


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module")
def shop(ca):
    return ca.make("shop", "DNS:shop.example.com")


def listener(*certificates, **more):
    return {"tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [c.pair() for c in certificates], **more}}}


@pytest.fixture
def serve(start, origin):
    """serve(certificate, ..., client_auth=...): a proxy with one TLS listener in front of `origin`."""
    def serve_one(*certificates, config=None, **more):
        return start(origin, listeners=listener(*certificates, **more), **(config or {}))
    return serve_one


class Visit:
    """One request on a connection of its own, and what the handshake agreed on."""

    def __init__(self, proxy, context, **options):
        client = proxy.client("tls", tls=context, **options)
        self.status = client.get("/").status
        self.version, self.session, self.is_resumed = client.sock.version(), client.sock.session, client.sock.session_reused
        client.close()


def names_shown(proxy, ca, server_name):
    """The DNS names of the certificate that the proxy shows to who asks for that name."""
    context = ca.client()
    context.check_hostname = False
    client = proxy.client("tls", tls=context, server_name=server_name)
    names = [name for _, name in client.sock.getpeercert()["subjectAltName"]]
    client.get("/")
    client.close()
    return names


# ---- requests ---------------------------------------------------------------------------------------------------------


def test_a_request(serve, ca, shop, origin):
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client())
    assert client.get("/one").body == b"ok" and client.get("/two").body == b"ok"
    assert client.sock.version() == "TLSv1.3" and client.sock.selected_alpn_protocol() == "http/1.1"
    assert origin.last.get("X-Forwarded-Proto") == "https"
    assert proxy.metric("weir_tls_handshakes_total", listener="tls", result="full") == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_and_large_bodies_both_ways(serve, ca, shop, origin, version):
    body = os.urandom(1 << 20)
    origin.answer = lambda connection, head: connection.send(reply(connection.body(head)))
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client(version=version))
    assert client.get("/", method="POST", body=body).body == body
    assert client.get("/", method="POST", body=body[:70000]).body == body[:70000]


def test_pipelined_requests_in_one_record_and_one_record_in_pieces(serve, ca, shop):
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client())
    client.send(request("/1") + request("/2") + request("/3"))
    assert [client.response().body for _ in range(3)] == [b"ok"] * 3
    for byte in request("/4"):
        client.send(bytes([byte]))
    assert client.response().body == b"ok"


def test_a_slow_reader_holds_the_origin_and_gets_everything(serve, ca, shop, origin):
    body = os.urandom(8 << 20)
    origin.answer = reply(body)
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client(), receive_buffer=4096)
    client.send(request("/"))
    origin.wait_requests(1)
    wait_for(lambda: proxy.live()["chunks"] > 8, "bytes wait for the client")
    assert proxy.live()["chunks"] < 60, "and no more than the marks allow"
    assert client.response().body == body


# ---- versions and ciphers -----------------------------------------------------------------------------------------------


def test_an_old_version_is_refused(serve, ca, shop):
    proxy = serve(shop, min_version="1.3")
    assert Visit(proxy, ca.client(version=ssl.TLSVersion.TLSv1_3)).version == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        proxy.client("tls", tls=ca.client(version=ssl.TLSVersion.TLSv1_2))
    wait_for(lambda: proxy.metric("weir_tls_handshakes_total", result="failed") == 1, "the failure is counted")
    assert re.search(r"info  tls: listener tls, client 127\.0\.0\.1: unsupported protocol", proxy.error_log())


def test_an_unknown_protocol_alone_is_refused(serve, ca, shop):
    proxy = serve(shop)
    with pytest.raises(ssl.SSLError, match="no application protocol|NO_APPLICATION_PROTOCOL"):
        proxy.client("tls", tls=ca.client(alpn=["spdy/3"]))
    assert Visit(proxy, ca.client(alpn=None)).status == 200


# ---- which certificate ----------------------------------------------------------------------------------------------------


def test_the_certificate_is_chosen_by_name(serve, ca, shop):
    wild = ca.make("wild", "DNS:*.example.org")
    exact = ca.make("exact", "DNS:a.example.org", "DNS:Upper.Example.ORG")
    proxy = serve(shop, wild, exact)
    assert names_shown(proxy, ca, "a.example.org") == ["a.example.org", "Upper.Example.ORG"]
    assert names_shown(proxy, ca, "upper.example.org") == ["a.example.org", "Upper.Example.ORG"]
    assert names_shown(proxy, ca, "b.example.org") == ["*.example.org"]
    assert names_shown(proxy, ca, "a.b.example.org") == ["shop.example.com"], "a star is one label"
    assert names_shown(proxy, ca, "example.org") == ["shop.example.com"]
    assert names_shown(proxy, ca, None) == ["shop.example.com"], "the first is the default"


def test_key_types_share_a_name(serve, ca, shop):
    rsa = ca.make("shop-rsa", "DNS:shop.example.com", kind="rsa")
    proxy = serve(shop, rsa)
    for cipher, key in (("ECDHE-ECDSA-AES128-GCM-SHA256", "id-ecPublicKey"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsaEncryption")):
        context = ca.client(version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(cipher)
        client = proxy.client("tls", tls=context)
        shown = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-text"], check=True, capture_output=True,
                               input=client.sock.getpeercert(binary_form=True)).stdout
        assert key.encode() in shown
        client.get("/")
        client.close()


# ---- client certificates ------------------------------------------------------------------------------------------------


def test_required_client_certificates(serve, ca, shop):
    other = Authority(ca.directory, "other")
    proxy = serve(shop, client_ca=ca.cert, client_auth="require")
    assert Visit(proxy, ca.client(ca.make("me"))).status == 200
    for context in (ca.client(), ca.client(other.make("stranger"))):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Visit(proxy, context)
    wait_for(lambda: proxy.metric("weir_tls_handshakes_total", result="failed") == 2, "both are counted")
    assert proxy.metric("weir_tls_handshakes_total", result="full") == 1


def test_requested_client_certificates(serve, ca, shop):
    other = Authority(ca.directory, "other2")
    proxy = serve(shop, client_ca=ca.cert, client_auth="request")
    assert Visit(proxy, ca.client(ca.make("me2"))).status == 200
    assert Visit(proxy, ca.client()).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Visit(proxy, ca.client(other.make("stranger2")))


def test_conditions_on_the_clients_certificate(start, ca, shop):
    def respond(name, when):
        return {"name": name, "match": {"when": when}, "respond": {"status": 200, "body": name}}
    proxy = start(listeners=listener(shop, client_ca=ca.cert, client_auth="request"), upstreams={}, routes=[
        respond("alice", {"tls_client": "cn", "equals": "alice"}),
        respond("ops", {"tls_client": "san", "suffix": ".ops.internal"}),
        respond("mail", {"tls_client": "san", "contains": "@"}),
        respond("nobody", {"tls_client": "cn", "present": False}),
        respond("somebody", {"tls_client": "cn", "present": True})])
    def seen(certificate=None):
        client = proxy.client("tls", tls=ca.client(certificate))
        return client.get("/").body.decode()
    assert seen() == "nobody"
    assert seen(ca.make("alice")) == "alice"
    assert seen(ca.make("bob")) == "somebody"
    assert seen(ca.make("carol", "DNS:x.example.com", "DNS:a.ops.internal")) == "ops"
    assert seen(ca.make("dave", "email:dave@example.com")) == "mail"
    line = proxy.access_line(route="alice")
    assert line["tls"] == "TLSv1.3" and line["server_name"] == "shop.example.com" and line["client_cn"] == "alice"


# ---- sessions ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_go_on_at_any_worker_and_over_a_reload(serve, ca, shop, version):
    proxy = serve(shop, config={"workers": 2})
    context = ca.client(version=version)
    session = Visit(proxy, context).session
    for _ in range(8):
        visit = Visit(proxy, context, session=session)
        assert visit.is_resumed
        session = visit.session
    proxy.config["limits"] = {"header_count": 100}
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    assert Visit(proxy, context, session=session).is_resumed
    assert proxy.metric("weir_tls_handshakes_total", result="resumed") == 9


def test_a_session_does_not_pass_by_client_authentication(start, origin, ca, shop):
    listeners = {**listener(shop), "strict": {"bind": "127.0.0.1:0", "tls": {
        "certificates": [shop.pair()], "client_ca": ca.cert, "client_auth": "require"}}}
    proxy = start(origin, listeners=listeners)
    context = ca.client(version=ssl.TLSVersion.TLSv1_2)
    session = Visit(proxy, context).session
    with pytest.raises((ssl.SSLError, ConnectionError)):
        proxy.client("strict", tls=context, session=session).get("/")


# ---- reloads ------------------------------------------------------------------------------------------------------------------


def serial(client):
    return client.sock.getpeercert()["serialNumber"]


def test_a_renewed_certificate_is_taken_without_dropping_a_connection(start, origin, ca, tmp_path):
    certificate = ca.make("renewed", "DNS:shop.example.com")
    used = type(certificate)(str(tmp_path / "site.pem"), str(tmp_path / "site.key"))

    def install(made):
        shutil.copy(made.key, used.key)
        shutil.copy(made.cert, used.cert)

    install(certificate)
    proxy = start(origin, listeners=listener(used), watch=True)
    old = proxy.client("tls", tls=ca.client())
    assert old.get("/").body == b"ok"
    install(ca.make("renewed", "DNS:shop.example.com"))
    wait_for(lambda: proxy.status()["config"]["generation"] == 2, "the watch sees the file")
    new = proxy.client("tls", tls=ca.client())
    assert new.get("/").body == b"ok" and old.get("/").body == b"ok"
    assert serial(new) != serial(old)
    status, answer = proxy.admin("POST", "/api/v1/reload", {"reason": "nothing changed"})
    assert status == 200 and answer["result"] == "unchanged"


def test_a_pair_that_does_not_match_changes_nothing(serve, ca, shop):
    proxy = serve(shop)
    proxy.config["listeners"]["tls"]["tls"]["certificates"][0]["key"] = ca.make("else").key
    proxy.write_config()
    status, answer = proxy.admin("POST", "/api/v1/reload", {"reason": "test"})
    assert status == 422
    assert "does not belong to the certificate" in answer["error"]["problems"][0]
    assert Visit(proxy, ca.client()).status == 200


def test_tls_is_switched_on_by_a_reload(start, origin, ca, shop):
    proxy = start(origin, listeners={"tls": {"bind": "127.0.0.1:0"}})
    plain = proxy.client("tls")
    assert plain.get("/").status == 200
    proxy.config["listeners"]["tls"]["tls"] = {"certificates": [shop.pair()]}
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    assert Visit(proxy, ca.client()).status == 200
    assert plain.get("/").status == 200, "who was there goes on as before"


# ---- metrics ------------------------------------------------------------------------------------------------------------------


def test_expiry_is_a_metric(serve, ca, shop):
    proxy = serve(shop)
    end = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", shop.cert], check=True, capture_output=True,
                         text=True).stdout.strip().split("=")[1]
    expires = proxy.metric("weir_tls_certificate_expiry_timestamp_seconds", certificate=shop.cert)
    assert expires == ssl.cert_time_to_seconds(end)


# ---- what weir check says --------------------------------------------------------------------------------------------------------


def check(tmp_path, text):
    path = tmp_path / "weir.yaml"
    path.write_text(text)
    done = subprocess.run([WEIR, "check", "-c", "weir.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in done.stderr.splitlines() if "warning: no " not in line]


LISTENER = """listeners:
  web:
    bind: 127.0.0.1:8443
    tls:
      certificates:
        - cert: %s
          key: %s
routes:
  - { name: all, respond: { status: 200 } }
"""


def test_check_names_a_pair_that_does_not_match(tmp_path, ca, shop):
    other = ca.make("other-key")
    status, lines = check(tmp_path, LISTENER % (shop.cert, other.key))
    assert status == 1
    assert lines == [f"weir.yaml:7:16: the key '{other.key}' does not belong to the certificate '{shop.cert}'"]


def test_check_names_an_expired_certificate_and_one_that_will_be(tmp_path, ca):
    old, soon = ca.make("old", days=-1), ca.make("soon", days=20)
    status, lines = check(tmp_path, LISTENER % (old.cert, old.key))
    assert status == 1 and len(lines) == 1
    assert re.fullmatch(rf"weir\.yaml:6:17: the certificate '{old.cert}' expired on \d{{4}}-\d\d-\d\d", lines[0])
    status, lines = check(tmp_path, LISTENER % (soon.cert, soon.key))
    assert status == 0
    assert re.fullmatch(rf"weir\.yaml:6:17: warning: the certificate '{soon.cert}' expires soon, on \d{{4}}-\d\d-\d\d", lines[0])


def test_an_expired_certificate_keeps_nobody_from_starting(serve, ca):
    proxy = serve(ca.make("outdated", "DNS:shop.example.com", days=-1))
    assert Visit(proxy, ca.client(verify=False)).status == 200
    assert "warning: the certificate" in proxy.error_log()


def test_check_tells_everything_at_once(tmp_path, ca, shop):
    key = str(tmp_path / "locked.key")
    subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", shop.key, "-out", key], check=True,
                   capture_output=True)
    (tmp_path / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n")
    (tmp_path / "empty.pem").write_text("")
    text = (
        "listeners:\n"
        "  a: { bind: 127.0.0.1:1, tls: { certificates: [ { cert: gone.pem, key: gone.key } ] } }\n"
        f"  b: {{ bind: 127.0.0.1:2, tls: {{ certificates: [ {{ cert: {shop.cert}, key: locked.key }} ] }} }}\n"
        f"  c: {{ bind: 127.0.0.1:3, tls: {{ certificates: [ {{ cert: garbage.pem, key: {shop.key} }} ] }} }}\n"
        f"  d: {{ bind: 127.0.0.1:4, tls: {{ certificates: [ {{ cert: empty.pem, key: empty.pem }} ] }} }}\n"
        "  e: { bind: 127.0.0.1:5, tls: { certificates: [] } }\n"
        f"  f: {{ bind: 127.0.0.1:6, tls: {{ certificates: [ {{ cert: {shop.cert}, key: {shop.key} }} ], client_auth: require }} }}\n"
        f"  g: {{ bind: 127.0.0.1:7, tls: {{ certificates: [ {{ cert: {shop.cert}, key: {shop.key} }} ], client_ca: {ca.cert} }} }}\n"
        f"  h: {{ bind: 127.0.0.1:8, tls: {{ certificates: [ {{ cert: {shop.cert}, key: {shop.key} }} ], client_ca: empty.pem, "
        "client_auth: request } }\n"
        "upstreams:\n"
        "  u: { endpoints: [ unix:/x ], tls: {} }\n"
        "  v: { endpoints: [ 127.0.0.1:1 ], tls: { cert: a.pem } }\n"
        "  w: { endpoints: [ 127.0.0.1:1 ], tls: { ca: gone.pem, sni: 'a b' } }\n"
        "routes:\n  - { name: all, to: u }\n"
    )
    status, lines = check(tmp_path, text)
    assert status == 1
    found = [re.sub(r"^weir\.yaml:(\d+):\d+: ", r"\1 ", line) for line in lines]
    found = [re.sub(r"(cannot be read): .*", r"\1", line) for line in found]  # the library's own words
    path = str(tmp_path)
    assert found == [
        f"2 could not read '{path}/gone.pem': No such file or directory",
        f"2 could not read '{path}/gone.key': No such file or directory",
        f"3 the key '{path}/locked.key' is encrypted (store it without a passphrase, readable by weir alone)",
        f"4 '{path}/garbage.pem': a certificate in it cannot be read",
        f"5 '{path}/empty.pem' holds no certificate in PEM",
        f"5 '{path}/empty.pem' holds no private key in PEM",
        "6 TLS without certificates",
        "7 'client_auth' has no authorities to verify certificates by (add client_ca: FILE)",
        "8 'client_ca' has no effect without 'client_auth' (add client_auth: require, or request)",
        f"9 '{path}/empty.pem' holds no certificate in PEM",
        "11 the endpoint 'unix:/x' has no name to verify (add sni: NAME to the upstream's tls)",
        "12 'cert' has no 'key'",
        f"13 could not read '{path}/gone.pem': No such file or directory",
        "13 'sni': 'a b' is neither a host name nor an address (write the name that the certificate is for, without port)",
    ]


# ---- ends, cuts and strangers -------------------------------------------------------------------------------------------------


def test_a_plain_request_is_answered_in_plain_text(serve, shop):
    proxy = serve(shop)
    client = proxy.client("tls")
    answer = client.get("/")
    assert answer.status == 400 and answer.error == "malformed" and b"https://" in answer.body
    client.rest()


def test_a_connection_over_the_limit_is_closed_without_a_word_in_plain_text(serve, ca, shop):
    proxy = serve(shop, config={"limits": {"connections": 1}})
    client = proxy.client("tls", tls=ca.client())
    assert client.get("/").status == 200
    assert proxy.client("tls").expect_closed()
    line = proxy.access_line(reason="connection_limit")
    assert (line["status"], line["listener"]) == (0, "tls")
    assert proxy.metric("weir_request_errors_total", reason="connection_limit") == 1
    assert proxy.metric("weir_requests_total", code="0") == 1


def test_garbage_and_silence(serve, shop):
    proxy = serve(shop, config={"limits": {"header_timeout": "300ms"}})
    proxy.client("tls").send(os.urandom(300)).rest()
    silent = proxy.client("tls")
    assert silent.rest() == b"", "closed at header_timeout"
    gone = proxy.client("tls")
    gone.close()
    wait_for(lambda: proxy.metric("weir_tls_handshakes_total", result="failed") == 3, "all three are counted")


def test_the_proxy_ends_in_order(serve, ca, shop):
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client())
    client.send(request("/", "Connection: close"))
    assert client.response().status == 200
    client.expect_closed()  # a FIN without close_notify would raise


def test_what_is_sent_behind_a_refusal_is_dropped_and_holds_up_nobody(serve, ca, shop, origin):
    """The rest of the head comes in a record that is longer than the room behind its start: some of it waits deciphered when the
    body is refused by its length, and no descriptor tells of that."""
    proxy = serve(shop, config={"limits": {"body": "1000B"}})
    client = proxy.client("tls", tls=ca.client())
    head = request("/", "Content-Length: 1000000000", method="POST")
    reads = proxy.metric("weir_read_calls_total")
    client.send(head[:20])
    wait_for(lambda: proxy.metric("weir_read_calls_total") > reads, "the start is read")
    client.send(head[20:] + bytes(16384 - len(head[20:])))
    response = client.response()
    assert (response.status, response.error) == (413, "body_too_large")
    turns = proxy.metric("weir_loop_turns_total")
    for _ in range(100):
        client.send(bytes(65536))
    assert proxy.client("tls", tls=ca.client()).get("/").status == 200
    client.expect_closed()
    assert proxy.metric("weir_loop_turns_total") < turns + 100_000
    assert len(origin.requests) == 1


def test_an_answer_that_breaks_off_does_not_look_complete(serve, ca, shop, origin):
    origin.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", CLOSE]
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client())
    client.send(request("/"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        while client.sock.recv(1000):
            pass


def test_a_client_that_only_stops_sending_gets_its_answer(serve, ca, shop):
    proxy = serve(shop)
    client = proxy.client("tls", tls=ca.client())
    client.send(request("/"))
    socket.socket.shutdown(client.sock, socket.SHUT_WR)
    assert client.response().body == b"ok"


def test_handshakes_under_way_when_the_proxy_drains(serve, ca, shop):
    proxy = serve(shop, config={"limits": {"header_timeout": "1s"}})
    slow, idle = proxy.client("tls"), proxy.client("tls", tls=ca.client())
    assert idle.get("/").status == 200
    proxy.drain()
    idle.expect_closed()
    assert slow.rest() == b""
    proxy.expect_nothing_live()
