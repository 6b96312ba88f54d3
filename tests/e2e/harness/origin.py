# e2e/harness/origin.py - a scripted server: records what it gets byte by byte, answers what a test wants.
import socket
import struct
import threading
import time

from .message import Reader
from .waiting import DEADLINE_S, wait_for

CLOSE = "close"            # FIN and done
RESET = "reset"            # RST
GOODBYE = "goodbye"        # TLS: close_notify, then FIN and done
HALF_CLOSE = "half-close"  # FIN, go on reading
HOLD = "hold"              # read and say nothing until the peer goes
RECORD_MOST_BYTES = 1 << 22


def reply(body=b"ok", *fields, status="200 OK", length=True):
    """The bytes of an answer; fields are whole lines without their CRLF."""
    lines = [f"HTTP/1.1 {status}", *fields]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """One accepted connection: a thread reads requests and answers them until either side ends it."""

    def __init__(self, origin, sock, index):
        self.origin, self.sock, self.index = origin, sock, index
        self.received = bytearray()
        self.requests = []
        self.end = None  # "fin", "reset", or None while open
        self.reader = Reader(sock, self.record)
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def record(self, data):
        if len(self.received) < RECORD_MOST_BYTES:
            self.received += data

    def run(self):
        try:
            if self.origin.tls:
                self.reader.sock = self.sock = self.origin.tls.wrap_socket(self.sock, server_side=True)
            while self.serve_one():
                pass
            self.end = self.end or "fin"
        except EOFError:
            self.end = "fin"
        except (ConnectionError, TimeoutError, OSError):
            self.end = "reset"
        except Exception as error:  # pylint: disable=broad-except
            self.end = "failed"
            self.origin.failures.append(error)
        finally:
            self.sock.close()
            self.is_over.set()

    def serve_one(self):
        """False when the connection is done."""
        while b"\r\n\r\n" not in self.reader.buffer:
            if not self.reader.fill():
                return False
        request = self.reader.head()
        self.requests.append(request)
        answer = self.origin.answer
        if isinstance(answer, list) and answer and isinstance(answer[0], list):
            answer = answer[min(len(self.origin.requests), len(answer) - 1)]  # one script per request, the last repeats
        self.origin.requests.append(request)
        if callable(answer):
            return answer(self, request) is not CLOSE
        self.reader.body(request)
        return self.play(answer if isinstance(answer, list) else [answer])

    def play(self, steps):
        for step in steps:
            if isinstance(step, bytes):
                self.send(step)
            elif isinstance(step, (int, float)):
                time.sleep(step)
            elif isinstance(step, threading.Event):
                assert step.wait(DEADLINE_S), "the test never let the origin go on"
            elif step == HALF_CLOSE:
                self.sock.shutdown(socket.SHUT_WR)
            elif step == GOODBYE:
                self.sock.unwrap()
                return False
            elif step == RESET:
                self.reset()
                return False
            elif step == HOLD:
                while self.reader.fill():
                    pass
                return False
            else:
                assert step == CLOSE, step
                return False
        return True

    def body(self, request):
        return self.reader.body(request).body

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_end(self):
        """How the proxy ended the connection: "fin" or "reset"."""
        wait_for(self.is_over.is_set, f"the proxy closes connection {self.index} to the origin")
        return self.end


class Origin:
    """answer: bytes, a list of steps, a list of lists (one per request), or a callable (connection, request)
    that is called behind the head and returns CLOSE to end the connection."""
    connection_kind = Connection

    def __init__(self, answer=None, backlog=512, tls=None):
        self.tls = tls  # an ssl.SSLContext, or plain text
        self.answer = self.default = answer if answer is not None else reply()
        self.requests, self.connections, self.failures = [], [], []
        self.backlog = backlog
        self.port = 0
        self.listen()
        self.address = f"127.0.0.1:{self.port}"

    def bind(self):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        self.port = bound.getsockname()[1]
        return bound

    def listen(self):
        self.listener = self.bind()
        self.listener.listen(self.backlog)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self.connection_kind(self, sock, len(self.connections))
            self.connections.append(connection)
            connection.thread.start()

    @property
    def received(self):
        """Everything that came, of all connections."""
        return b"".join(bytes(c.received) for c in self.connections)

    @property
    def last(self):
        return self.requests[-1]

    def wait_requests(self, count=1):
        wait_for(lambda: len(self.requests) >= count, lambda: f"{count} requests at the origin: {self.requests}")
        return self.requests

    def wait_connections(self, count=1):
        wait_for(lambda: len(self.connections) >= count, f"{count} connections at the origin")
        return self.connections

    def hang_up(self):
        """Sends FIN on every connection and waits until the proxy has closed it: nothing stays pooled."""
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        for connection in self.connections:
            connection.wait_end()

    def forget(self):
        """As new, but for failures of its own, which end the test."""
        failures = self.failures
        self.requests, self.connections, self.failures = [], [], []
        self.answer = self.default
        assert not failures, failures

    def stop(self):
        """Refuses connections from now on. The port stays ours, so that nobody else's listener answers there."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it was stopped before
        stopped, self.listener = self.listener, self.bind()
        stopped.close()

    def restart(self):
        """Listens again where it was."""
        self.listener.close()
        self.listen()


class Full:
    """An address that takes connections no more: nobody accepts, and the queue is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(self.listener.getsockname())
            self.waiting.append(sock)

    def close(self):
        for sock in [*self.waiting, self.listener]:
            sock.close()
