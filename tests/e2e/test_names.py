# e2e/test_names.py - endpoints given as names: resolved off the workers, kept across reloads, unhealthy until they are known.
from harness import Origin, wait_for


def named(origin):
    return {"endpoints": [f"localhost:{origin.port}"]}


def test_a_name_of_the_hosts_file_is_resolved_and_used(start):
    origin = Origin()
    proxy = start(upstreams={"a": named(origin)}, workers=2)
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="a") == 1, "the name has an address that answers")
    assert proxy.get().status == 200
    assert origin.last.get("host") == "example.com"
    origin.stop()


def test_a_name_survives_a_reload_and_new_ones_are_found(start):
    origin, other = Origin(), Origin()
    proxy = start(upstreams={"a": named(origin)})
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="a") == 1, "the first name is resolved")
    proxy.config["upstreams"]["b"] = named(other)
    proxy.config["routes"] = [{"name": "b", "match": {"path": {"prefix": "/b"}}, "to": "b"}, {"name": "all", "to": "a"}]
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a second upstream"})[0] == 200
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="b") == 1, "the second name is resolved")
    assert proxy.get("/b").status == 200 and len(other.requests) == 1
    assert proxy.get("/").status == 200 and len(origin.requests) == 1
    origin.stop()
    other.stop()


def test_a_name_that_does_not_exist_is_no_endpoint_and_says_so(start):
    proxy = start(upstreams={"a": {"endpoints": ["no-such-name.invalid:80"]}})
    answer = proxy.get()
    assert (answer.status, answer.error) == (503, "no_endpoint")
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 0
    wait_for(lambda: "no-such-name.invalid:80 has no address" in proxy.error_log(), "the log names it")
