"""bench/lib/release.py - one event loop with all the peers of a release: versions that turn bad, and steady traffic to them.

Everything is logged with one clock, the wall's, since an incident tells its moment by that.
"""

import asyncio
import time

CONNECTIONS_MOST = 256


class Version:
    """An origin: a port, what it answers, and a log of (when, user) of each request that came."""

    def __init__(self, name):
        self.name = name
        self.log = []
        self.status, self.delay_s, self.resets, self.has_event, self.body = "200 OK", 0.0, False, False, b"x" * 128
        self.port = 0
        self._server = None

    async def start(self):
        self._server = await asyncio.get_running_loop().create_server(lambda: Answering(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self):
        self._server.close()

    def answer(self):
        event = "x-weir-event: purchase\r\n" if self.has_event else ""
        head = f"HTTP/1.1 {self.status}\r\nx-version: {self.name}\r\n{event}content-length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


class Answering(asyncio.Protocol):
    """One connection to a version; its peer sends a request at a time, without a body."""

    def __init__(self, version):
        self._version = version
        self._got = b""
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, self._got = self._got.partition(b"\r\n\r\n")
            self._version.log.append((time.time(), field(head, b"x-user")))
            self._answer()

    def _answer(self):
        version = self._version
        if version.resets:
            self._transport.abort()
        elif version.delay_s:
            asyncio.get_running_loop().call_later(version.delay_s, self._transport.write, version.answer())
        else:
            self._transport.write(version.answer())


def field(head, name):
    at = head.lower().find(b"\r\n" + name + b":")
    return head[at + len(name) + 3 :].split(b"\r\n", 1)[0].strip().decode() if at >= 0 else ""


class Asking(asyncio.Protocol):
    """One connection to the proxy with at most one request under way."""

    def __init__(self, traffic):
        self._traffic = traffic
        self._got = b""
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if end and len(body) >= int(field(head, b"content-length") or 0):
            self._got = b""
            self._traffic.on_answer(self, head)

    def connection_lost(self, exc):
        self._traffic.on_lost(self)


class Traffic:
    """`rate` requests a second to one path, whatever the answers; users take turns in an order of their own."""

    def __init__(self, port, path, rate, users):
        self._port, self._path, self._rate, self._users = port, path, rate, users
        self._idle, self._open = [], 0
        self.sent = []  # when
        self.answered = 0

    def on_answer(self, connection, head):
        self.answered += 1
        if b"connection: close" in head.lower():
            connection.transport.close()
        else:
            self._idle.append(connection)

    def on_lost(self, connection):
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    async def _connection(self):
        if self._idle:
            return self._idle.pop()
        self._open += 1
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: Asking(self), "127.0.0.1", self._port))[1]

    async def _send(self):
        connection = await self._connection()
        user = self._users[len(self.sent) % len(self._users)]
        self.sent.append(time.time())
        text = f"GET {self._path} HTTP/1.1\r\nhost: bench.example.com\r\nx-user: {user}\r\n\r\n"
        connection.transport.write(text.encode())

    async def run(self, is_over):
        began = time.monotonic()
        while not is_over.is_set():
            due = int((time.monotonic() - began) * self._rate)
            while len(self.sent) < due and (self._idle or self._open < CONNECTIONS_MOST):
                await self._send()
            await asyncio.sleep(0.002)

    async def meet_all(self):
        """Returns when each user was sent from now on, and answered."""
        wanted = len(self.sent) + len(self._users)
        while len(self.sent) < wanted or self.answered < wanted:
            await asyncio.sleep(0.02)

    def close(self):
        for connection in self._idle:
            connection.transport.close()
