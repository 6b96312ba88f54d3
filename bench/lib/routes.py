"""bench/lib/routes.py - a configuration of 10,000 routes on 1,000 hosts, and requests that meet them."""

import random

HOSTS = 1000
PATHS = 10
CONDITIONS = 20
ROUTES = HOSTS * PATHS
# The routes with a condition stand in front of a plain one of the same place; the last route takes the rest.
PLAIN = ROUTES - CONDITIONS - 1
SPLIT = "split: { a: 90, b: 10 }"

# Every one is evaluated by the requests of its place, and none is true for the bench's requests.
WHEN = [
    '{ header: x-bench, equals: "1" }',
    "{ header: x-bench, present: true }",
    "{ header: user-agent, contains: curl }",
    '{ header: x-tenant, regex: "^t[0-9]+$" }',
    "{ header: x-tenant, in: [ t1, t2, t3 ] }",
    "{ header: x-build, range: [ 100, 200 ] }",
    "{ cookie: beta, equals: yes-please }",
    "{ cookie: beta, present: true }",
    "{ query: debug, present: true }",
    '{ query: v, equals: "2" }',
    "{ query: format, suffix: json }",
    "{ header: x-method, in: [ GET, HEAD ] }",
    "{ cookie: region, prefix: eu- }",
    "{ source: [ 10.0.0.0/8, 192.168.0.0/16 ] }",
    "{ not: { source: [ 127.0.0.0/8 ] } }",
    "{ all: [ { header: x-a, present: true }, { header: x-b, present: true } ] }",
    '{ any: [ { header: x-a, equals: "1" }, { cookie: a, equals: "1" } ] }',
    "{ all: [ { query: q, prefix: x }, { not: { header: x-q, present: true } } ] }",
    "{ header: accept-language, prefix: de }",
    "{ header: accept, suffix: json }",
]


def host_of(place):
    return f"h{place % HOSTS}.example.com"


def path_of(place):
    return f"/p{place // HOSTS}"


def route(name, place, extra=""):
    match = f"match: {{ host: {host_of(place)}, path: {{ prefix: {path_of(place)} }}{extra} }}"
    return f"  - {{ name: {name}, {match}, {SPLIT} }}"


def text():
    """The routes as YAML, those with a condition first."""
    lines = []
    for number, when in enumerate(WHEN):
        place = number * (PLAIN // CONDITIONS)
        lines.append(route(f"c{number}", place, f", when: {when}"))
    lines += [route(f"r{place}", place) for place in range(PLAIN)]
    lines.append(f"  - {{ name: rest, {SPLIT} }}")
    return "\n".join(lines)


def write_script(bench):
    """A wrk script that sends every plain route's request in a shuffled, repeatable order."""
    places = list(range(PLAIN))
    random.Random(1).shuffle(places)
    path = bench.path("routes.lua")
    with open(path, "w") as file:
        file.write("local requests, at = {}, 0\n")
        file.write("local places = {\n")
        for place in places:
            file.write(f'{{"{host_of(place)}","{path_of(place)}/item"}},\n')
        file.write(
            "}\n"
            "function init(args)\n"
            "  for i, place in ipairs(places) do\n"
            '    requests[i] = wrk.format(nil, place[2], { Host = place[1] })\n'
            "  end\n"
            "end\n"
            "function request()\n"
            "  at = at % #requests + 1\n"
            "  return requests[at]\n"
            "end\n"
        )
    return path
