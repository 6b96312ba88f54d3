"""bench/lib/script.py - scenario script: what a Lua hook costs, whether it leaves memory flat, and what bad hooks do to others."""

import os
import random
import subprocess
import threading
import time
from statistics import median

from lib import admin, figures, inside, latency, limits, load
from lib.bench import FOLDER, say
from lib.client import Client
from lib.report import Section

WITH, WITHOUT = "/with/item", "/without/item"
USERS = 1000
ROUNDS = 20
WARMUP_REQUESTS = 1500
FIELDS = {"Host": "bench.example.com", "User-Agent": "bench/1.0", "Accept": "*/*", "X-Plan": "basic"}
SPLIT = "split: { a: 90, b: 10 }"
ROUTES = """\
  - {{ name: with, match: {{ path: {{ prefix: /with }} }}, script: {hook}, {split} }}
  - {{ name: without, match: {{ path: {{ prefix: / }} }}, {split} }}"""
TARGETS = {"haproxy": 0.5, "nginx": 1.0, "envoy": 0.5}
NGINX_MODULE = "ngx_http_lua_module.so"

# Work of all kinds that a hook does for good reasons, for the memory; and each way to be cut off, one after the other.
BUSY = """\
return {
  on_request = function(req)
    local parts = {}
    for word in (req:header("user-agent") or ""):gmatch("%w+") do parts[#parts + 1] = word:upper() end
    req.ctx.words = parts
    req:set_header("x-words", table.concat(parts, ","))
    return weir.hash(req:cookie("id") or "", "busy") < 0.5 and "a" or "b"
  end,
  on_response = function(req, resp) resp:set_header("x-word-count", tostring(#req.ctx.words)) end,
}
"""
BAD = """\
local kinds = {
  function() while true do end end,
  function() return (("a"):rep(40)):find(("a*"):rep(20) .. "b") end,
  function() local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end end,
}
local turn = 0
return { on_request = function(req) turn = turn % #kinds + 1 return kinds[turn]() end }
"""
MEMORY_REQUESTS, MEMORY_TENTHS, MEMORY_READINGS = 100_000, 10, 100
BAD_PER_WINDOW = (1, 10)
WINDOW_S, WINDOW_EDGE_S = 1.0, 0.05
WINDOWS = 10
BESIDE_ROUNDS = 12


def request_bytes(path):
    fields = {**FIELDS, "Cookie": cookie(7)}
    return (f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode()


def cookie(user):
    return f"theme=dark; id=u-{user}; lang=en"


def write_load(bench, path):
    """A wrk script that sends that path's request for each of a thousand users in turn."""
    name = bench.path(f"users-{path.strip('/').replace('/', '-')}.lua")
    fields = ", ".join(f'["{key}"] = "{value}"' for key, value in FIELDS.items())
    with open(name, "w") as file:
        file.write(
            "local requests, at = {}, 0\n"
            "function init(args)\n"
            f"  for user = 1, {USERS} do\n"
            f'    local cookie = ("{cookie("%d")}"):format(user)\n'
            f'    requests[user] = wrk.format(nil, "{path}", {{ {fields}, Cookie = cookie }})\n'
            "  end\n"
            "end\n"
            "function request()\n"
            "  at = at % #requests + 1\n"
            "  return requests[at]\n"
            "end\n"
        )
    return name


def write_hook(bench, name, text):
    path = bench.path(name)
    with open(path, "w") as file:
        file.write(text)
    return path


def has_lua(peer):
    """Whether this build of it runs Lua: Debian's nginx needs a module, HAProxy may be built without."""
    if peer.name == "haproxy":
        run = subprocess.run([peer.path, "-vv"], capture_output=True, text=True)
        return "Built with Lua" in run.stdout
    if peer.name == "nginx":
        folders = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")
        return any(os.path.exists(os.path.join(folder, NGINX_MODULE)) for folder in folders)
    return peer.name in ("weir", "envoy")


def running(bench, peer, **how):
    hook = os.path.join(FOLDER, "peers", "hook.lua")
    return peer.running(bench, mode="script", routes=ROUTES.format(hook=hook, split=SPLIT), **how)


# ---- what a call costs -----------------------------------------------------------------------------------------------


def measure_stretch(bench, proxy, path, script):
    """(CPU µs, requests) of a second or more; None when a request failed."""
    before = proxy.process.cpu()
    result = load.run_wrk(bench, proxy.port, bench.seconds / 5, path, script)
    used = proxy.process.cpu() - before
    if result.failed or not result.requests:
        say(f"{proxy.process.name} {path}: {result.failed} failed of {result.requests}: its row is void")
        return None
    return used.total_us, result.requests


def measure_life(bench, peer, scripts):
    """CPU per request (without, with) in one life: without, with, with, without, so that a drift hits both alike."""
    with running(bench, peer) as proxy:
        for path in (WITHOUT, WITH):
            with Client(proxy.port, load.CONNECTIONS, request=request_bytes(path)) as client:
                client.run(WARMUP_REQUESTS)
        order = (WITHOUT, WITH, WITH, WITHOUT)
        stretches = [(path, measure_stretch(bench, proxy, path, scripts[path])) for path in order]
    if any(stretch is None for _, stretch in stretches):
        return None

    def per_request(wanted):
        parts = [stretch for path, stretch in stretches if path == wanted]
        return sum(cpu for cpu, _ in parts) / sum(requests for _, requests in parts)

    return per_request(WITHOUT), per_request(WITH)


def run_lives(bench, peers):
    scripts = {path: write_load(bench, path) for path in (WITHOUT, WITH)}
    rounds = bench.rounds if bench.options.quick else max(ROUNDS, bench.rounds)
    samples = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            sample = measure_life(bench, peer, scripts)
            samples[peer.name].append(sample)
            if sample:
                say(f"round {number + 1}/{rounds} {peer.name}: {sample[0]:.2f} + {sample[1] - sample[0]:.2f} µs")
    return samples


def instructions(bench, peer):
    """User instructions that the hook adds to a request; None where they are not counted."""
    if peer.name == "envoy":
        return None
    hook = os.path.join(FOLDER, "peers", "hook.lua")
    how = {"mode": "script", "routes": ROUTES.format(hook=hook, split=SPLIT)}
    counts = [inside.instructions(bench, peer, request_bytes(path), **how) for path in (WITHOUT, WITH)]
    return counts[1] - counts[0]


def add_row(section, name, samples, instruction_count):
    if None in samples:
        section.add_void(name, samples.count(None))
        return
    added = [after - before for before, after in samples]
    section.add(
        name,
        f"{median(before for before, _ in samples):.2f}",
        f"{median(after for _, after in samples):.2f}",
        figures.ratio_text(added),
        "-" if instruction_count is None else f"{instruction_count:.0f}",
    )


def added_column(samples):
    return [sample and sample[1] - sample[0] for sample in samples]


def judge_cost(section, samples):
    if "weir" not in samples:
        return
    added = {name: added_column(rows) for name, rows in samples.items()}
    own = [] if None in added["weir"] else added["weir"]
    section.target(figures.judge("script/added", 1.5, own, " µs"))
    for other, limit in TARGETS.items():
        if other in samples:
            section.target(figures.judge(f"script/{other}", limit, figures.ratios(added["weir"], added[other])))


# ---- memory ----------------------------------------------------------------------------------------------------------


def state_bytes(proxy):
    """What the workers' states hold, by weir's own metric."""
    text = admin.get(proxy, "/metrics")
    return load.find_number(r"\nweir_script_memory_bytes (\d+)", text)


def read_tenth(proxy, client, readings):
    """A tenth of the requests, and a hundred readings at distances that are drawn: garbage is a saw-tooth, and readings in step
    with it would show one height of it alone."""
    mean = MEMORY_REQUESTS // MEMORY_TENTHS // MEMORY_READINGS
    for _ in range(MEMORY_READINGS // 2):
        near = random.randint(mean // 2, mean)
        for count in (near, 2 * mean - near):
            client.run(count)
            readings["rss"].append(proxy.process.memory()["Rss"])
            readings["state"].append(state_bytes(proxy))


def judge_memory(bench, weir, section):
    """The highest of a hundred readings, so the tip of the saw-tooth, in the second tenth and in the last; the lowest beside it, which is
    about what is left after a collection."""
    routes = ROUTES.format(hook=write_hook(bench, "busy.lua", BUSY), split=SPLIT)
    tenths = []
    with weir.running(bench, routes=routes) as proxy:
        with Client(proxy.port, load.CONNECTIONS, request=request_bytes(WITH)) as client:
            for _ in range(MEMORY_TENTHS):
                tenths.append({"rss": [], "state": []})
                read_tenth(proxy, client, tenths[-1])
    for name in ("rss", "state"):
        first, last = tenths[1][name], tenths[-1][name]
        spans = [f"{min(values) / 1024:.0f} to {max(values) / 1024:.0f} KiB" for values in (first, last)]
        section.note(f"{MEMORY_REQUESTS:,} requests with hooks, {name}: {spans[0]} in the second tenth, {spans[1]} in the last")
        section.target(figures.judge(f"script/{name}", 1.05, [max(last) / max(first)]))


# ---- beside bad hooks ------------------------------------------------------------------------------------------------


def is_bad_time(at_s):
    """Seconds since the epoch: bad hooks are asked for in every other window of a life, so that with and without them is the
    same process, the same minute and the same neighbours."""
    return int(at_s / WINDOW_S) % 2 == 1


class BadRequests:
    """Asks for hooks that use up their budget, so many times in each bad window, on a connection of its own."""

    def __init__(self, port, count):
        self._over = threading.Event()
        self._client = Client(port, 1, request=request_bytes(WITH))
        self._thread = threading.Thread(target=self._work, args=(WINDOW_S / count,))

    def _work(self, pause_s):
        while not self._over.wait(pause_s):
            if is_bad_time(time.time()):
                self._client.run(1)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._over.set()
        self._thread.join()
        self._client.__exit__(*failure)


def p99_of_windows(counted, is_bad):
    """What is left from the window before does not count to this one."""
    starts_s = ((start_us / 1e6, latency_us) for start_us, latency_us in counted)
    return load.percentile(
        sorted(us for at_s, us in starts_s if is_bad_time(at_s) == is_bad and at_s % WINDOW_S > WINDOW_EDGE_S), 0.99
    )


def measure_beside(bench, weir, rate, routes, per_window):
    """p99 in µs in windows without and with bad hooks; None when a request failed."""
    with weir.running(bench, routes=routes) as proxy:
        with Client(proxy.port, load.CONNECTIONS) as client:
            client.run(1000)
        with BadRequests(proxy.port, per_window):
            counted, failed = load.run_h2load_log(bench, proxy.port, rate, WINDOWS * WINDOW_S)
    if failed:
        say(f"{failed} failed of {len(counted)}: the row is void")
        return None
    return p99_of_windows(counted, False), p99_of_windows(counted, True)


def judge_beside(bench, weir, section):
    """A fixed rate to a route without a script, while another's hooks use up their 2 ms: on one worker, in every other second."""
    rate = latency.choose_rate(bench, [weir])
    rounds = bench.rounds if bench.options.quick else BESIDE_ROUNDS
    routes = ROUTES.format(hook=write_hook(bench, "bad.lua", BAD), split=SPLIT)
    ratios = {per_window: [] for per_window in BAD_PER_WINDOW}
    for number in range(rounds):
        results = {per_window: measure_beside(bench, weir, rate, routes, per_window) for per_window in BAD_PER_WINDOW}
        if None in results.values():
            section.void += 1
            continue
        for per_window, (without_us, with_us) in results.items():
            ratios[per_window].append(with_us / without_us)
        said = ", ".join(f"{count}/s {before} and {after}" for count, (before, after) in results.items())
        say(f"round {number + 1}/{rounds} p99 µs without and with bad hooks: {said}")
    once, often = BAD_PER_WINDOW
    if ratios[often]:
        section.target(figures.judge("script/beside", 1.10, ratios[often], by_interval=True))
        section.note(
            f"p99 of a route at {rate} req/s beside another's hooks that use up 2 ms or their memory, one worker, in every other second "
            f"of a life of {WINDOWS:.0f}: judged at {often} such requests a second; at {once}: {figures.ratio_text(ratios[once])}"
        )


def run_script(bench, peers):
    section = Section(
        "script",
        "A hook that reads a header and a cookie, hashes and names an upstream, beside the split in the same life; "
        "128-byte responses, 64 keep-alive connections.",
        ["proxy", "without µs", "with µs", "added µs/request", "added user instructions"],
    )
    able = [peer for peer in peers if has_lua(peer)]
    for peer in peers:
        if peer not in able and peer.name in TARGETS:
            section.note(f"{peer.name} has no Lua here: left out")
    samples = run_lives(bench, able)
    for peer in able:
        say(f"counting {peer.name}")
        add_row(section, peer.name, samples[peer.name], instructions(bench, peer))
    judge_cost(section, samples)
    weir = next((peer for peer in able if peer.name == "weir"), None)
    if weir:
        limits.judge(bench, section)
        judge_memory(bench, weir, section)
        judge_beside(bench, weir, section)
    return section
