"""bench/lib/admin.py - weir's admin API, by the UNIX socket in its state directory."""

import http.client
import json
import os
import signal
import socket

from lib import routes
from lib.process import Failure, wait_for


class UnixConnection(http.client.HTTPConnection):
    """http.client over a UNIX socket."""

    def __init__(self, path):
        super().__init__("admin", timeout=30)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(proxy, path):
    return call(proxy, "GET", path)


def post(proxy, path, body):
    return call(proxy, "POST", path, json.dumps(body))


def call(proxy, method, path, body=None):
    connection = UnixConnection(proxy.admin_path)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise Failure(f"the admin API answered {response.status} to {path}: {body}")
    return body


def status(proxy):
    return json.loads(get(proxy, "/api/v1/status"))


def swap_us(proxy):
    """What the last swap took on each worker, in µs."""
    return [worker["last_swap_us"] for worker in status(proxy)["workers"]]


def reload_count(proxy):
    """Reloads that were applied, in this process's life."""
    return status(proxy)["reloads"]["applied"]


def generation(proxy):
    """Of the configuration that every worker has come to use."""
    return min(worker["generation"] for worker in status(proxy)["workers"])


class Reloader:
    """Changes the file of a running weir, back and forth, and has it read again."""

    def __init__(self, proxy):
        self._proxy = proxy
        with open(proxy.config_path) as file:
            text = file.read()
        # The last route's split: a real change of what is compiled, and of almost nothing.
        head, split, tail = text.rpartition(routes.SPLIT)
        self._texts = [head + routes.SPLIT.replace("90", "89").replace("10", "11") + tail, text]
        self._count = 0

    def request(self):
        """Swaps the file and sends HUP; does not wait."""
        path = self._proxy.config_path
        with open(path + ".new", "w") as file:
            file.write(self._texts[self._count % 2])
        os.replace(path + ".new", path)
        self._count += 1
        self._proxy.process.popen.send_signal(signal.SIGHUP)

    def reload(self):
        """The same, and waits until every worker uses a new generation."""
        before = generation(self._proxy)
        self.request()
        wait_for(
            "the new configuration is in use",
            lambda: generation(self._proxy) > before,
            30,
            self._proxy.process,
            interval_s=0.002,
        )
