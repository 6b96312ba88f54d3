"""bench/lib/client.py - a small HTTP/1.1 client that sends an exact number of requests.

Load generators stop by time or open connections of their own; counting system calls or heap calls
per request needs a known number of requests and no connection opened or closed in between.
"""

import select
import socket
import ssl

from lib.process import Failure

REQUEST = b"GET / HTTP/1.1\r\nhost: bench.example.com\r\n\r\n"
TIMEOUT_S = 60


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port, request=REQUEST):
        self._request = request
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._wanted = 0  # bytes of the whole response; 0: its head is not there yet

    def send(self):
        self.socket.sendall(self._request)

    def receive(self):
        """Reads once; true when the response is complete."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise Failure("a connection was closed before its response was complete")
        self._received += data
        if not self._wanted:
            self._wanted = response_bytes(self._received)
        if not self._wanted or len(self._received) < self._wanted:
            return False
        self._received, self._wanted = b"", 0
        return True

    def close(self):
        self.socket.close()


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


TLS = tls_context()


class TlsConnection(Connection):
    """The same over TLS; ALPN offers HTTP/1.1 alone."""

    def __init__(self, port):
        super().__init__(port)
        self.socket = TLS.wrap_socket(self.socket, server_hostname="bench.example.com")


class Http2Connection(Connection):
    """One connection in HTTP/2 with prior knowledge, frames by hand: enough for a request after the other."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    ACK = bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])
    # Static table: GET, http, /; a literal :authority without indexing.
    HEAD = bytes([0x82, 0x86, 0x84, 0x01, 17]) + b"bench.example.com"
    SETTINGS, END_STREAM = 4, 1

    def __init__(self, port):
        super().__init__(port)
        self._stream = -1
        self.socket.sendall(self.PREFACE)

    def send(self):
        self._stream += 2
        flags = 0x5  # END_STREAM, END_HEADERS
        frame = len(self.HEAD).to_bytes(3, "big") + bytes([1, flags]) + self._stream.to_bytes(4, "big")
        self.socket.sendall(frame + self.HEAD)

    def receive(self):
        """Reads once; true when the last frame of the response is there."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise Failure("a connection was closed before its response was complete")
        self._received += data
        is_complete = False
        while len(self._received) >= 9:
            end = 9 + int.from_bytes(self._received[:3], "big")
            if len(self._received) < end:
                break
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big")
            self._received = self._received[end:]
            if kind == self.SETTINGS and not flags & 1:
                self.socket.sendall(self.ACK)
            is_complete |= stream == self._stream and kind in (0, 1) and bool(flags & self.END_STREAM)
        return is_complete


def response_bytes(received):
    """Length of a whole response by its content-length; 0 while the head is incomplete."""
    head, end, _ = received.partition(b"\r\n\r\n")
    if not end:
        return 0
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failure(f"not a 200: {head[:60]!r}")
    field = head.lower().partition(b"\r\ncontent-length:")[2]
    return len(head) + 4 + int(field.partition(b"\r\n")[0])


class Client:
    """A set of connections, closed together at the end of a `with`."""

    def __init__(self, port, connections, kind=Connection, **how):
        self._port = port
        self._kind = kind
        self._how = how  # of each connection: its request
        self._connections = []
        self.open_more(connections)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self._connections:
            connection.close()

    def open_more(self, count):
        self._connections += [self._kind(self._port, **self._how) for _ in range(count)]

    def visit_last(self, count):
        """One request on each of the connections opened last, never two at the same time."""
        for connection in self._connections[-count:]:
            connection.send()
            while not connection.receive():
                pass

    def run(self, requests):
        """Exactly that many requests, always one under way on every connection while they last."""
        waiting = {c.socket.fileno(): c for c in self._connections[:requests]}
        to_send = requests - len(waiting)
        poller = select.epoll()
        for number, connection in waiting.items():
            poller.register(number, select.EPOLLIN)
            connection.send()
        while waiting:
            events = poller.poll(TIMEOUT_S)
            if not events:
                raise Failure(f"{len(waiting)} responses are missing after {TIMEOUT_S} s")
            for number, _ in events:
                if not waiting[number].receive():
                    continue
                if to_send:
                    to_send -= 1
                    waiting[number].send()
                else:
                    del waiting[number]
                    poller.unregister(number)
        poller.close()
