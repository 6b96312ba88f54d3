# e2e/harness/client.py - a raw downstream connection.
import socket
import struct

from .message import Reader
from .waiting import DEADLINE_S


class Client:
    """Sends exactly the bytes it is given and reads responses one by one."""

    def __init__(self, address, source=None, receive_buffer=None, tls=None, server_name="shop.example.com", session=None,
                 prelude=b""):
        """address: (host, port) or the path of a UNIX socket. prelude: bytes ahead of TLS. tls: an ssl.SSLContext."""
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(DEADLINE_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if prelude:  # on a UNIX socket even an empty send fails once the peer has closed
            self.sock.sendall(prelude)
        if tls:  # a FIN without close_notify is an error here: ssl.SSLEOFError
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name, session=session, suppress_ragged_eofs=False)
        self.reader = Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def get(self, target="/", *fields, host="example.com", method="GET", body=None, version="1.1"):
        """Sends a request and reads its response."""
        return self.send(request(target, *fields, host=host, method=method, body=body, version=version)).response(method)

    def response(self, method="GET"):
        return self.reader.response(method)

    def expect_closed(self):
        """FIN, and not a byte in front of it."""
        rest = self.reader.rest()
        assert rest == b"", f"bytes behind the last answer: {rest!r}"
        return self

    def expect_reset(self):
        """A reset, maybe behind some bytes; returns them."""
        try:
            while self.reader.fill():
                pass
        except ConnectionResetError:
            return self.reader.buffer
        raise AssertionError(f"a FIN where a reset was due, behind {self.reader.buffer[-200:]!r}")

    def rest(self):
        """All bytes up to FIN or reset."""
        try:
            while self.reader.fill():
                pass
        except ConnectionResetError:
            pass
        return self.reader.buffer

    def shutdown(self):
        """FIN: nothing more will be sent, answers are still read."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def request(target="/", *fields, host="example.com", method="GET", body=None, version="1.1"):
    """The bytes of a plain request; fields are whole lines without their CRLF."""
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += list(fields)
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
