# e2e/harness/proxy.py - the binary under test: its configuration, its life, its admin API, its memory.
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile

from .client import Client, request
from .h2 import H2Client
from .origin import Origin
from .waiting import DEADLINE_S, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
WEIR = os.environ.get("WEIR_BIN") or os.environ.get("WEIR") or os.path.join(ROOT, "build", "weir")

LIVE = ("clients", "requests", "exchanges", "shadows", "chunks")


def shadow_factor():
    """ThreadSanitizer keeps up to four bytes beside each that the process uses; a bound on memory has to allow for them."""
    with open(WEIR, "rb") as binary:
        return 5 if b"__tsan_init" in binary.read() else 1


PORT_SLICES = 8  # more than there are processes of tests side by side


def ports_below_the_kernels():
    """The kernel gives none of these to a connection, in the moment between the choice of a port and its use. Processes of one run have a
    part each, for the same reason; where they begin in it is drawn, since there may be another run."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest, end = 10000, min(int(file.read().split()[0]), 32768)
    width = (end - lowest) // PORT_SLICES
    first = lowest + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % PORT_SLICES * width
    port = random.randrange(first, first + width)
    while True:
        yield port
        port = port + 1 if port + 1 < first + width else first


PORTS = ports_below_the_kernels()


def free_port():
    for port in PORTS:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin", timeout=DEADLINE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(self.path)


class Proxy:
    """Keyword arguments are top-level keys of the configuration; Origin objects stand for their addresses. A listener bound to port 0
    gets a free port; without listeners there is one, `web`; without routes everything goes to the upstream `a`."""

    def __init__(self, *origins, arguments=(), environment=None, **config):
        self.directory = tempfile.TemporaryDirectory(prefix="weir-e2e-")
        self.arguments, self.environment = list(arguments), environment or {}
        self.wrapper = []  # a program that executes the one behind it, in its own place
        self.config = {
            "state_dir": self.path("state"),
            "workers": 1,
            "drain_timeout": "20s",
            "watch": False,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"a": {"endpoints": list(origins)}},
            "routes": [{"name": "all", "to": "a"}],
            **config,
        }
        if "log" not in config:
            self.config["log"] = {"access": "stdout"}
        self.clients, self.process = [], None
        self.lines_before = 0  # access lines of earlier tests
        self.origins = list(self.find_origins(self.config))

    def find_origins(self, node):
        if isinstance(node, Origin):
            yield node
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from self.find_origins(child)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    # ---- life ------------------------------------------------------------------------------------------------------

    def write_config(self):
        """JSON is YAML."""
        text = json.dumps(self.config, indent=1, default=lambda origin: origin.address)
        with open(self.path("weir.yaml"), "w", encoding="utf-8") as file:
            file.write(text)

    def choose_ports(self):
        self.ports = {}
        for name, listener in self.config["listeners"].items():
            if re.search(r":0$", listener["bind"]) or name in self.chosen:
                self.chosen.add(name)
                host = listener["bind"].rsplit(":", 1)[0]
                listener["bind"] = f"{host}:{free_port()}"
            if not listener["bind"].startswith("unix:"):
                self.ports[name] = int(listener["bind"].rsplit(":", 1)[1])

    def spawn(self):
        os.makedirs(self.path("reports"), exist_ok=True)
        environment = dict(os.environ, **self.environment)
        for tool in ("ASAN", "UBSAN", "TSAN", "LSAN"):
            old = environment.get(f"{tool}_OPTIONS", "")
            more = f"log_path={self.path('reports')}/{tool.lower()}:print_stacktrace=1"
            environment[f"{tool}_OPTIONS"] = f"{old}:{more}".lstrip(":")
        with open(self.path("access.log"), "ab") as out, open(self.path("error.log"), "ab") as err:
            self.process = subprocess.Popen(
                [*self.wrapper, WEIR, "run", "-c", self.path("weir.yaml"), *self.arguments],
                stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment, cwd=self.directory.name,
            )

    def start(self):
        self.chosen = set()
        for attempt in range(5):
            self.choose_ports()
            os.makedirs(self.config["state_dir"], exist_ok=True)
            self.write_config()
            self.spawn()
            wait_for(lambda: self.is_up() or self.process.poll() is not None, lambda: f"it serves: {self.error_log()}")
            if self.process.poll() is None:
                return self
            if "in use" not in self.error_log():  # somebody was faster with the port
                break
        raise AssertionError(f"it did not start: status {self.process.returncode}\n{self.error_log()}")

    def revive(self):
        """Starts it again when a test before has killed it: that one has failed, the others need not."""
        if not self.is_running():
            for name in os.listdir(self.path("reports")):
                os.remove(self.path(f"reports/{name}"))
            self.close_clients()
            for origin in self.origins:
                origin.forget()
            self.start()
        self.lines_before = len(self.access_lines())
        return self

    def is_up(self):
        """The admin socket comes after the listeners, which the kernel lets connect before anybody serves them."""
        try:
            return self.admin("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def settle(self):
        """Between tests that share a proxy: no client, no connection to an origin, nothing live."""
        assert self.is_running(), f"the proxy died: {self.process.returncode}\n{self.error_log()}\n{self.reports()}"
        self.close_clients()
        for origin in self.origins:
            origin.hang_up()
            origin.forget()
        self.expect_nothing_live()

    def expect_nothing_live(self):
        if self.has_admin():
            wait_for(lambda: not any(self.live().values()), lambda: f"nothing is live: {self.live()}")

    def drain(self):
        status, answer = self.admin("POST", "/api/v1/drain", {"reason": "the test ends"})
        assert status == 202, answer

    def stop(self):
        """Drains, checks that nothing is left, ends it: status 0 and no sanitizer report."""
        try:
            if self.is_running():
                self.close_clients()
                if self.has_admin():
                    self.drain()
                    self.expect_nothing_live()
                self.signal(signal.SIGTERM)
                self.process.wait(DEADLINE_S)
        finally:
            if self.is_running():
                self.process.kill()
                self.process.wait()
        assert self.process.returncode == 0, f"status {self.process.returncode}\n{self.error_log()}\n{self.reports()}"
        assert self.reports() == "", self.reports()
        for origin in self.origins:
            assert not origin.failures, origin.failures

    def __enter__(self):
        return self.start()

    def kill(self):
        """For proxies whose end was the test."""
        self.close_clients()
        if self.is_running():
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()

    def end(self):
        """Its origins may serve others and stay."""
        try:
            self.stop()
        finally:
            self.directory.cleanup()

    def __exit__(self, kind, error, trace):
        try:
            self.end()
        except AssertionError:
            if kind is None:
                raise
        finally:
            for origin in self.origins:
                origin.stop()

    # ---- what it says ------------------------------------------------------------------------------------------------

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def error_log(self):
        return self.read("error.log")

    def reports(self):
        """What sanitizers found."""
        return "".join(self.read(f"reports/{name}") for name in sorted(os.listdir(self.path("reports"))))

    def access_lines(self):
        """Complete lines only: the last may be under way."""
        text = self.read("access.log")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def access_line(self, **wanted):
        """Waits for a line of this test with those values."""
        def found():
            for line in reversed(self.access_lines()[self.lines_before :]):
                if all(line.get(key) == value for key, value in wanted.items()):
                    return line
            return None
        return wait_for(found, lambda: f"an access line with {wanted}: {self.access_lines()[-5:]}")

    # ---- its admin API -----------------------------------------------------------------------------------------------

    @property
    def admin_path(self):
        return os.path.join(self.config["state_dir"], "admin.sock")

    def has_admin(self):
        return os.path.exists(self.admin_path)

    def admin(self, method, path, body=None, headers=None):
        """(status, parsed JSON or text)"""
        connection = UnixHTTPConnection(self.admin_path)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = "json" in response.getheader("Content-Type", "")
        return response.status, json.loads(text) if is_json else text

    def status(self):
        code, answer = self.admin("GET", "/api/v1/status")
        assert code == 200, answer
        return answer

    def live(self):
        live = self.status()["live"]
        return {name: live[name] for name in LIVE}

    def metric(self, name, **labels):
        """The sum of all samples of that name with at least those labels."""
        code, text = self.admin("GET", "/metrics")
        assert code == 200, text
        total = 0
        for line in text.splitlines():
            sample = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
            if not sample or sample[1] != name:
                continue
            have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""))
            if all(have.get(key) == value for key, value in labels.items()):
                total += float(sample[3])
        return total

    # ---- its clients -------------------------------------------------------------------------------------------------

    def address(self, listener="web"):
        bind = self.config["listeners"][listener]["bind"]
        if bind.startswith("unix:"):
            return bind[5:]
        host, port = bind.rsplit(":", 1)
        return ("127.0.0.1" if host == "0.0.0.0" else host, int(port))

    def client(self, listener="web", **options):
        client = Client(self.address(listener), **options)
        self.clients.append(client)
        return client

    def h2_client(self, listener="web", **options):
        client = H2Client(self.address(listener), **options)
        self.clients.append(client)
        return client

    def url(self, path="/", listener="web"):
        return f"http://127.0.0.1:{self.ports[listener]}{path}"

    def get(self, target="/", *fields, **options):
        """One request on a connection of its own."""
        client = self.client()
        try:
            return client.get(target, *fields, **options)
        finally:
            client.close()
            self.clients.remove(client)

    def send(self, data, method="GET"):
        """Raw bytes on a connection of their own; the first response."""
        client = self.client()
        return client.send(data).response(method)

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients = []

    # ---- its memory --------------------------------------------------------------------------------------------------

    def memory_kib(self, kind="Pss"):
        """Pss, Private_Dirty, Rss... of the process."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(rf"^{kind}: +(\d+) kB", file.read(), re.MULTILINE)[1])

    def forget_peak(self):
        """From here on peak_kib counts anew."""
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def peak_kib(self):
        """The most that was resident at once."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.MULTILINE)[1])

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


__all__ = ["Proxy", "WEIR", "request", "shadow_factor"]
