"""bench/lib/bench.py - what all scenarios share: cores, the working directory, the two origins."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cached_property

from lib.process import Failure, Process, started, wait_for

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(FOLDER)
BUILD = os.path.join(ROOT, "build", "bench")


def say(text):
    print(text, file=sys.stderr, flush=True)


def build_tool(name, *flags, libraries=()):
    """The bench program of that name: as make left it in build/bench, or compiled here, with -O2."""
    source = os.path.join(FOLDER, f"{os.path.splitext(name)[0]}.c")
    target = os.path.join(BUILD, name)
    sources = [source, os.path.join(FOLDER, "tcp.h")]
    if os.path.exists(target) and os.path.getmtime(target) >= max(map(os.path.getmtime, sources)):
        return target
    os.makedirs(BUILD, exist_ok=True)
    command = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", *flags, "-o", target, source, *libraries]
    if subprocess.run(command).returncode != 0:
        raise Failure(f"{name} does not compile")
    return target


def need(program, package):
    if not shutil.which(program):
        raise Failure(f"{program} is missing: it is in Debian's package {package}")


class Bench:
    """The options of one call of bench/run, and the processes that live through all of it."""

    def __init__(self, options):
        self.options = options
        self.seconds = options.seconds
        self.rounds = options.rounds
        self.proxy_core = options.proxy_core
        self.load_cores = options.load_cores
        self.floor_path = build_tool("floor")
        self.origin_path = build_tool("origin")
        self.mallocs_path = build_tool("mallocs.so", "-shared", "-fPIC")
        self.directory = tempfile.mkdtemp(prefix="weir-bench-")
        self.origin_ports = []
        self._origins = []
        self._numbers = 0

    def __enter__(self):
        os.sched_setaffinity(0, self.load_cores)
        try:
            for name in ("a", "b"):
                self._start_origin(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for origin in self._origins:
            origin.stop()
        if self.options.keep:
            say(f"kept {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start_origin(self, name):
        log = self.path(f"origin-{name}.log")
        origin = Process(f"origin {name}", [self.origin_path, "--name", name], self.load_cores, log)
        self._origins.append(origin)
        line = wait_for(f"origin {name} prints its port", lambda: read_line(log), process=origin)
        self.origin_ports.append(int(line))

    @cached_property
    def handshakes_path(self):
        return build_tool("handshakes", libraries=("-lssl", "-lcrypto"))

    @cached_property
    def pem_path(self):
        """A certificate for bench.example.com and its P-256 key, in one file."""
        key, certificate, both = (self.path(name) for name in ("key.pem", "certificate.pem", "site.pem"))
        how = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
        names = ["-subj", "/CN=bench.example.com", "-addext", "subjectAltName=DNS:bench.example.com"]
        made = subprocess.run([*how.split(), "-keyout", key, "-out", certificate, *names], capture_output=True)
        if made.returncode != 0:
            raise Failure(f"openssl made no certificate:\n{made.stderr.decode()}")
        with open(both, "wb") as pem:
            for part in (certificate, key):
                with open(part, "rb") as file:
                    pem.write(file.read())
        return both

    def path(self, name):
        return os.path.join(self.directory, name)

    def new_directory(self, name):
        """A fresh directory for one life of one proxy."""
        self._numbers += 1
        path = self.path(f"{name}-{self._numbers}")
        os.makedirs(os.path.join(path, "state"))
        return path

    def check_origins(self):
        for origin in self._origins:
            origin.check_alive()

    @contextmanager
    def load_process(self, name, argv):
        """A load generator, on the cores that are not the proxy's."""
        self._numbers += 1
        with started(name, argv, self.load_cores, self.path(f"{name}-{self._numbers}.log")) as process:
            yield process


def read_line(path):
    """The first whole line of a file that someone is writing; empty until it is there."""
    with open(path) as file:
        line = file.readline()
    return line if line.endswith("\n") else ""
