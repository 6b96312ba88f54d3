# e2e/test_headers.py - fields on their way: hop-by-hop, Via, forwarded addresses, ids, traces, edits, rewrites, own answers.
import email.utils
import re
import time

import pytest

from harness import Origin, Proxy, reply, request

ROUTES = [
    {
        "name": "edited",
        "match": {"path": {"prefix": "/edited"}},
        "to": "a",
        "request_headers": {"set": {"x-set": "new", "x-twice": "once"}, "remove": ["x-secret", "Cookie"]},
        "response_headers": {"set": {"x-frame-options": "DENY", "server": "weir"}, "remove": ["x-powered-by", "Set-Cookie"]},
        "expose_variant": True,
    },
    {"name": "old", "match": {"path": {"prefix": "/old"}}, "to": "a", "rewrite": {"path_prefix": "/new", "host": "svc.internal"}},
    {"name": "strip", "match": {"path": {"prefix": "/strip"}}, "to": "a", "rewrite": {"path_prefix": "/"}},
    {"name": "exact", "match": {"path": {"exact": "/exact"}}, "to": "a", "rewrite": {"path_prefix": "/else"}},
    {"name": "moved", "match": {"host": "moved.example"}, "redirect": {"to": "https://shop.example", "code": 301}},
    {"name": "page", "match": {"path": {"prefix": "/page"}}, "redirect": {"to": "https://shop.example/one", "code": 307}},
    {"name": "text", "match": {"path": {"exact": "/text"}}, "respond": {"status": 418, "body": "teapot\n", "headers": {"x-own": "1"}}},
    {"name": "json", "match": {"path": {"exact": "/json"}}, "respond": {"body": "{}", "headers": {"content-type": "application/json"}}},
    {"name": "dated", "match": {"path": {"exact": "/dated"}}, "respond": {"body": "x", "headers": {"date": "Sun, 06 Nov 1994 08:49:37 GMT"}}},
    {"name": "nothing", "match": {"path": {"exact": "/nothing"}}, "respond": {"status": 204}},
    {"name": "sticky", "match": {"path": {"prefix": "/sticky"}}, "split": {"a": 1, "b": 1}, "sticky": {"cookie": "weir_id", "ttl": "2h"},
     "expose_variant": True},
    {"name": "undated", "match": {"path": {"exact": "/undated"}}, "to": "a", "response_headers": {"remove": ["date"]}},
    {"name": "all", "to": "a"},
]


@pytest.fixture(scope="module", name="house")
def fixture_house():
    origin, other = Origin(), Origin()
    with Proxy(
        upstreams={"a": {"endpoints": [origin]}, "b": {"endpoints": [other]}},
        routes=ROUTES,
        listeners={
            "web": {"bind": "127.0.0.1:0"},
            "inner": {"bind": "127.0.0.1:0", "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"]},
        },
    ) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


def inner(proxy, *fields, **options):
    """By the listener that trusts its peers."""
    return proxy.client("inner").get("/", *fields, **options)


# ---- hop-by-hop ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    ["Connection: keep-alive", "Connection: x-other", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip",
     "Upgrade: h2c", "Upgrade: websocket"],
)
def test_hop_by_hop_fields_end_here(proxy, origin, field):
    assert proxy.get("/", field, "X-Stays: 1").status == 200
    name = field.split(":")[0]
    assert not origin.last.has(name) and origin.last.get("X-Stays") == "1"


def test_fields_named_by_connection_end_here(proxy, origin):
    assert proxy.get("/", "Connection: x-one, close ,X-TWO", "X-One: 1", "x-two: 2", "X-Three: 3").status == 200
    assert not origin.last.has("X-One") and not origin.last.has("X-Two")
    assert origin.last.get("X-Three") == "3"


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto", "Via", "traceparent", "X-Request-Id",
             "Authorization", "Cookie"]
)
def test_connection_cannot_take_away_what_the_proxy_stands_for(proxy, origin, name):
    fields = [f"Connection: close, {name}", "Authorization: secret", "Cookie: a=b"]
    assert proxy.get("/", *fields, method="POST", body=b"hello").status == 200
    assert origin.last.has(name)
    assert origin.last.body == b"hello"


def test_te_trailers_is_asked_for_again(proxy, origin):
    assert proxy.get("/", "TE: trailers, deflate;q=0.5", "Connection: te").status == 200
    assert (origin.last.get("TE"), origin.last.get("Connection")) == ("trailers", "TE")


def test_hop_by_hop_fields_of_an_answer_end_here(proxy, origin):
    origin.answer = reply(
        b"ok", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Connection: keep-alive, X-Internal", "Keep-Alive: timeout=5",
        "X-Internal: 1", "Upgrade: h2c", "Proxy-Connection: keep-alive", "X-Stays: 1",
    )
    response = proxy.get("/")
    assert sorted(name for name, _ in response.fields) == ["Content-Length", "Date", "X-Stays"]


# ---- what goes through -----------------------------------------------------------------------------------------------------


def test_lines_keep_their_order_and_are_not_joined(proxy, origin):
    lines = ["X-A: 1", "Cookie: a=b", "X-B: 2", "X-A: 3", "Cookie: c=d", "x-a: 4"]
    assert proxy.get("/", *lines).status == 200
    assert origin.last.all("X-A") == ["1", "3", "4"]
    assert origin.last.all("Cookie") == ["a=b", "c=d"]
    assert [n for n, _ in origin.last.fields if n in ("X-A", "X-B", "x-a")] == ["X-A", "X-B", "X-A", "x-a"]


def test_set_cookie_is_never_joined(proxy, origin):
    cookies = ["a=1; Path=/", "b=2, with comma; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "a=3"]
    origin.answer = reply(b"ok", *[f"Set-Cookie: {cookie}" for cookie in cookies])
    assert proxy.get("/").all("Set-Cookie") == cookies


@pytest.mark.parametrize("value", ["", "x", "a  b\tc", "\xe9\xff\x80", "x" * 8000, '"quoted, list"; q=1'])
def test_values_go_both_ways_as_they_are(proxy, origin, value):
    origin.answer = reply(b"ok", f"X-Back: {value}")
    assert proxy.get("/", f"X-There: {value}").get("X-Back") == value
    assert origin.last.get("X-There") == value


def test_a_hundred_fields_go_through(proxy, origin):
    fields = [f"X-Field-{n}: {n}" for n in range(100)]
    origin.answer = reply(b"ok", *fields)
    response = proxy.get("/", *fields)
    assert [f"{n}: {v}" for n, v in origin.last.fields if n.startswith("X-Field")] == fields
    assert [f"{n}: {v}" for n, v in response.fields if n.startswith("X-Field")] == fields


# ---- Via, addresses, ids ------------------------------------------------------------------------------------------------------


def test_via_is_added_behind_what_is_there(proxy, origin):
    assert proxy.get("/", "Via: 1.0 fred").status == 200
    assert origin.last.all("Via")[0] == "1.0 fred"
    assert re.fullmatch(r"1\.1 weir-[\w.-]+", origin.last.all("Via")[-1])


def test_a_loop_is_seen(proxy, origin):
    assert proxy.get("/").status == 200
    own = origin.last.get("Via")
    response = proxy.get("/", "Via: 1.0 fred", f"Via: 1.1 other, {own}, 1.1 third")
    assert (response.status, response.error) == (508, "loop")


def forwarded(message):
    return {name: message.all(f"X-Forwarded-{name}") for name in ("For", "Proto", "Host")}


def test_claims_of_a_stranger_are_replaced(proxy, origin):
    fields = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
              "Forwarded: for=1.2.3.4"]
    assert proxy.get("/", *fields, host="shop.example:81").status == 200
    assert forwarded(origin.last) == {"For": ["127.0.0.1"], "Proto": ["http"], "Host": ["shop.example:81"]}
    assert not origin.last.has("Forwarded")
    assert proxy.access_line(host="shop.example:81")["source"] == "127.0.0.1"


def test_claims_of_a_trusted_proxy_are_carried_on(proxy, origin):
    fields = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example",
              "Forwarded: for=203.0.113.9"]
    assert inner(proxy, *fields).status == 200
    assert forwarded(origin.last) == {"For": ["203.0.113.9, 127.0.0.1"], "Proto": ["https"], "Host": ["shop.example"]}
    assert origin.last.get("Forwarded") == "for=203.0.113.9"


def test_a_trusted_proxy_without_claims_is_the_source(proxy, origin):
    assert inner(proxy, host="plain.example").status == 200
    assert forwarded(origin.last) == {"For": ["127.0.0.1"], "Proto": ["http"], "Host": ["plain.example"]}
    assert proxy.access_line(host="plain.example")["source"] == "127.0.0.1"


@pytest.mark.parametrize(
    "lines, source",
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        (["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        (["203.0.113.9, nonsense, 10.1.2.3"], "10.1.2.3"),
        (["nonsense"], "127.0.0.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:db9::7, 2001:db8::1"], "2001:db9::7"),
        (["203.0.113.9 ,\t10.1.2.3 "], "203.0.113.9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
    ],
)
def test_the_source_is_the_rightmost_address_nobody_vouches_for(proxy, origin, lines, source):
    host = f"h{abs(hash((tuple(lines), source)))}.example"
    assert inner(proxy, *[f"X-Forwarded-For: {line}" for line in lines], host=host).status == 200
    assert proxy.access_line(host=host)["source"] == source
    assert origin.last.get("X-Forwarded-For") == ", ".join(line.strip() for line in lines) + ", 127.0.0.1"


def test_a_request_id_is_made_or_carried_on(proxy, origin):
    assert proxy.get("/").status == 200
    made = origin.last.get("X-Request-Id")
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert proxy.access_line(request_id=made)["status"] == 200
    assert proxy.get("/", "X-Request-Id: abc-123_X").status == 200
    assert origin.last.get("X-Request-Id") == "abc-123_X"
    assert proxy.get("/").status == 200
    assert origin.last.get("X-Request-Id") != made


def test_many_lines_of_addresses_are_joined_within_the_memory_of_a_request(start, make_origin):
    origin = make_origin()
    proxy = start(origin, limits={"header_count": 1024},
                  listeners={"web": {"bind": "127.0.0.1:0", "trusted_proxies": ["127.0.0.0/8"]}})
    lines = [f"10.0.{n // 256}.{n % 256}" for n in range(1000)]
    assert proxy.get("/", *[f"X-Forwarded-For: {line}" for line in lines]).status == 200
    assert origin.last.get("X-Forwarded-For") == ", ".join(lines) + ", 127.0.0.1"


# ---- trace context (W3C) --------------------------------------------------------------------------------------------------------

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parse_trace(origin):
    parts = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", origin.last.get("traceparent"))
    assert parts and set(parts[1]) != {"0"} and set(parts[2]) != {"0"}
    return parts.groups()


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_trace_goes_on_with_a_new_parent(proxy, origin, flags):
    state = ["tracestate: a=1,b=2", "tracestate: c=3"]
    assert proxy.get("/", f"traceparent: 00-{TRACE}-{PARENT}-{flags}", *state).status == 200
    trace, parent, now = parse_trace(origin)
    assert (trace, now) == (TRACE, flags) and parent != PARENT
    assert origin.last.all("tracestate") == ["a=1,b=2", "c=3"]
    assert proxy.access_line(trace_id=TRACE)["status"] == 200


@pytest.mark.parametrize(
    "value",
    ["", "nonsense", f"00-{TRACE}-{PARENT}", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
     f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-0",
     f"00_{TRACE}-{PARENT}-01", f"0-{TRACE}-{PARENT}-001", f"cc-{TRACE}-{PARENT}-01x"],
)
def test_a_broken_trace_starts_anew(proxy, origin, value):
    assert proxy.get("/", f"traceparent: {value}", "tracestate: a=1").status == 200
    assert parse_trace(origin)[0] != TRACE
    assert not origin.last.has("tracestate")


def test_two_traceparents_are_none(proxy, origin):
    line = f"traceparent: 00-{TRACE}-{PARENT}-01"
    assert proxy.get("/", line, line).status == 200
    assert parse_trace(origin)[0] != TRACE


@pytest.mark.parametrize("value", [f"cc-{TRACE}-{PARENT}-01", f"01-{TRACE}-{PARENT}-ff-what-comes"])
def test_a_higher_version_is_read_as_far_as_known(proxy, origin, value):
    assert proxy.get("/", f"traceparent: {value}").status == 200
    assert parse_trace(origin)[0] == TRACE and parse_trace(origin)[2] == "01"


# ---- edits and rewrites -----------------------------------------------------------------------------------------------------------


def test_a_route_edits_requests(proxy, origin):
    fields = ["X-Secret: 1", "x-secret: 2", "Cookie: a=b", "X-Set: old", "X-Twice: a", "X-TWICE: b"]
    assert proxy.get("/edited", *fields).status == 200
    assert not origin.last.has("X-Secret") and not origin.last.has("Cookie")
    assert (origin.last.all("X-Set"), origin.last.all("X-Twice")) == (["new"], ["once"])


def test_a_route_edits_answers(proxy, origin):
    origin.answer = reply(b"ok", "X-Powered-By: x", "Server: y", "Set-Cookie: a=b", "Set-Cookie: c=d", "X-Stays: 1")
    response = proxy.get("/edited")
    assert len(response.fields) == 6 and response.has("Date")
    assert {n.lower(): v for n, v in response.fields if n.lower() != "date"} == {
        "content-length": "2", "x-stays": "1", "server": "weir", "x-frame-options": "DENY", "x-weir-upstream": "a",
    }


def test_a_route_edits_answers_of_the_proxy_too(proxy, origin):
    origin.answer = b"garbage\r\n\r\n"
    response = proxy.get("/edited")
    assert (response.status, response.error) == (502, "upstream_invalid")
    assert response.get("X-Frame-Options") == "DENY"


@pytest.mark.parametrize(
    "target, seen",
    [
        ("/old", "/new"),
        ("/old/", "/new/"),
        ("/old/x/y?q=1&r", "/new/x/y?q=1&r"),
        ("/old?q", "/new?q"),
        ("/old?", "/new?"),
        ("/a/../old/%7Euser/./x", "/new/~user/x"),
        ("/old/a%2Fb%20c", "/new/a%2Fb%20c"),
        ("/older", "/older"),
        ("/strip", "/"),
        ("/strip/x", "/x"),
        ("/strip//x", "//x"),
        ("/strip?q", "/?q"),
        ("/exact", "/else"),
        ("/exact?q=/x", "/else?q=/x"),
        ("/exact/", "/exact/"),
    ],
)
def test_a_rewrite_works_on_the_normal_form(proxy, origin, target, seen):
    assert proxy.get(target, host="shop.example").status == 200
    assert origin.last.target == seen
    is_old = target.startswith("/old") and not target.startswith("/older") or target.startswith("/a/")
    assert origin.last.get("Host") == ("svc.internal" if is_old else "shop.example")
    assert origin.last.get("X-Forwarded-Host") == "shop.example"


# ---- Date ------------------------------------------------------------------------------------------------------------------

IMF_FIXDATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"


@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified", "404 Not Found", "500 Internal Server Error"])
def test_an_answer_without_date_gets_one(proxy, origin, status):
    origin.answer = reply(b"", status=status)
    before = int(time.time())
    value = proxy.get("/").get("Date")
    assert re.fullmatch(IMF_FIXDATE, value)
    assert before <= email.utils.parsedate_to_datetime(value).timestamp() <= time.time()


def test_a_date_stays_as_it_is(proxy, origin):
    for value in ("Sun, 06 Nov 1994 08:49:37 GMT", "yesterday"):
        origin.answer = reply(b"ok", f"Date: {value}")
        assert proxy.get("/").all("Date") == [value]


def test_the_date_of_a_fixed_answer_stays_too(proxy):
    assert proxy.get("/dated").all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_an_interim_answer_gets_no_date(proxy, origin):
    origin.answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply()
    response = proxy.get("/")
    assert not response.interim[0].has("Date") and response.has("Date")


def test_a_route_may_remove_the_date_that_was_added(proxy, origin):
    origin.answer = reply()
    assert not proxy.get("/undated").has("Date")


# ---- answers of the proxy's own ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host, target, status, location",
    [
        ("moved.example", "/a/b?c=d&e", 301, "https://shop.example/a/b?c=d&e"),
        ("MOVED.example.:80", "/", 301, "https://shop.example/"),
        ("moved.example", "/%7e/../x//y?", 301, "https://shop.example/%7e/../x//y?"),
        ("example.com", "/page/two?x", 307, "https://shop.example/one"),
    ],
)
def test_redirects(proxy, host, target, status, location):
    response = proxy.get(target, host=host)
    assert (response.status, response.get("Location"), response.body) == (status, location, b"")
    assert re.fullmatch(IMF_FIXDATE, response.get("Date"))


def test_a_fixed_answer(proxy, origin):
    client = proxy.client()
    response = client.get("/text", method="POST", body=b"ignored")
    assert (response.status, response.body, response.get("x-own")) == (418, b"teapot\n", "1")
    assert response.get("Content-Type").startswith("text/plain")
    response = client.get("/text", method="HEAD")
    assert (response.length, response.body) == (7, b"")
    assert client.get("/json").all("Content-Type") == ["application/json"]
    response = client.get("/nothing")
    assert response.status == 204 and not response.has("Content-Length") and not response.has("Content-Type")
    assert client.get("/text").status == 418
    assert origin.received == b""


def test_errors_are_short_text(proxy):
    response = proxy.get("/%00", "Accept: text/html")
    assert (response.status, response.error) == (400, "bad_path")
    assert response.get("Content-Type").startswith("text/plain") and response.body.startswith(b"bad_path: ")
    head = proxy.get("/%00", method="HEAD")
    assert (head.status, head.error, head.body) == (400, "bad_path", b"") and head.length == response.length


@pytest.mark.parametrize("method, status", [("OPTIONS", 200), ("TRACE", 405)])
def test_max_forwards_ends_here(proxy, origin, method, status):
    response = proxy.get("/", "Max-Forwards: 0", method=method)
    assert response.status == status and response.has("Allow")
    assert origin.received == b""
    assert proxy.get("/", "Max-Forwards: 3", method=method).status == 200
    assert origin.last.get("Max-Forwards") == "2"
    assert proxy.get("/", "Max-Forwards: 0").status == 200
    assert origin.last.get("Max-Forwards") == "0"


# ---- sticky cookies ----------------------------------------------------------------------------------------------------------------


def test_a_sticky_cookie_is_issued_once(proxy):
    response = proxy.get("/sticky")
    issued = re.fullmatch(r"weir_id=([\w-]+); Path=/; Max-Age=7200; HttpOnly; SameSite=Lax", response.get("Set-Cookie"))
    assert issued
    for _ in range(5):
        again = proxy.get("/sticky", f"Cookie: x=y; weir_id={issued[1]}")
        assert not again.has("Set-Cookie")
        assert again.get("x-weir-upstream") == response.get("x-weir-upstream")


def test_issued_cookies_differ_and_join_those_of_the_origin(proxy):
    for origin in proxy.origins:
        origin.answer = reply(b"ok", "Set-Cookie: own=1")
    cookies = [proxy.get("/sticky").all("Set-Cookie") for _ in range(20)]
    assert all(c[0] == "own=1" and len(c) == 2 for c in cookies)
    assert len({c[1] for c in cookies}) == 20
