# e2e/harness/message.py - HTTP/1 messages read strictly and by hand, so that the proxy's own parser proves nothing here.
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
NO_BODY = {204, 304}


class Message:
    """A request or response as it came over the wire."""

    def __init__(self, head_bytes):
        self.head_bytes = head_bytes
        lines = head_bytes[:-4].split(b"\r\n")
        self.start = lines[0].decode("latin-1")
        self.fields = []
        for line in lines[1:]:
            field = FIELD.fullmatch(line)
            assert field, f"not a field line: {line!r} in {head_bytes!r}"
            self.fields.append((field[1].decode("latin-1"), field[2].decode("latin-1")))
        self.body = b""
        self.raw_body = b""
        self.chunks = []
        self.trailers = []
        self.interim = []
        self.is_complete = False

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The value of a field that stands at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands more than once: {self.head_bytes!r}"
        return values[0] if values else None

    def has(self, name):
        return bool(self.all(name))

    @property
    def status(self):
        line = re.fullmatch(r"HTTP/1\.1 (\d{3}) [^\r\n]*", self.start)
        assert line, f"not a status line: {self.start!r}"
        return int(line[1])

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def is_chunked(self):
        return self.get("Transfer-Encoding") == "chunked"

    @property
    def length(self):
        value = self.get("Content-Length")
        assert value is None or re.fullmatch(r"\d+", value), f"not a length: {value!r}"
        return None if value is None else int(value)

    @property
    def error(self):
        return self.get("x-weir-error")

    def __repr__(self):
        return f"<{self.start} {self.fields} body={self.body[:200]!r}>"


class Reader:
    """Reads messages off a socket; what was read and not asked for yet waits in `buffer`."""

    def __init__(self, sock, record=None):
        self.sock = sock
        self.buffer = b""
        self.record = record  # takes all bytes as they come

    def fill(self):
        """False at the peer's FIN."""
        data = self.sock.recv(65536)
        if self.record:
            self.record(data)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError(f"closed before {mark!r}; came: {self.buffer[:2000]!r}")
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken + mark

    def exactly(self, count):
        parts, have = [self.buffer[:count]], min(count, len(self.buffer))
        self.buffer = self.buffer[count:]
        while have < count:
            data = self.sock.recv(min(1 << 20, count - have))
            if self.record:
                self.record(data)
            if not data:
                raise EOFError(f"closed {count - have} bytes before the end; came: {b''.join(parts)[-200:]!r}")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def rest(self):
        while self.fill():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def head(self):
        return Message(self.until(b"\r\n\r\n"))

    def chunked_body(self, message):
        raw = []
        while True:
            line = self.until(b"\r\n")
            assert re.fullmatch(rb"[0-9a-fA-F]{1,16}\r\n", line), f"not a chunk size: {line!r}"
            raw.append(line)
            size = int(line, 16)
            if size == 0:
                break
            data = self.exactly(size)
            assert self.exactly(2) == b"\r\n", "a chunk does not end with CRLF"
            raw += [data, b"\r\n"]
            message.chunks.append(data)
        message.body = b"".join(message.chunks)
        message.raw_body = b"".join(raw)
        while (line := self.until(b"\r\n")) != b"\r\n":
            message.raw_body += line
            field = FIELD.fullmatch(line[:-2])
            assert field, f"not a trailer line: {line!r}"
            message.trailers.append((field[1].decode("latin-1"), field[2].decode("latin-1")))
        message.raw_body += b"\r\n"

    def body(self, message, is_until_close=False):
        """As RFC 9112 6.3 frames it; both framings at once are an error."""
        assert not (message.is_chunked and message.has("Content-Length")), f"framed twice: {message!r}"
        if message.is_chunked:
            self.chunked_body(message)
        elif message.length is not None:
            message.raw_body = message.body = self.exactly(message.length)
        elif is_until_close:
            message.raw_body = message.body = self.rest()
        message.is_complete = True
        return message

    def response(self, method="GET"):
        interim = []
        message = self.head()
        while message.status < 200 and message.status != 101:
            assert not message.has("Transfer-Encoding") and not message.has("Content-Length"), message
            interim.append(message)
            message = self.head()
        message.interim = interim
        if method == "HEAD" or message.status in NO_BODY or message.status == 101:
            message.is_complete = True
            return message
        return self.body(message, is_until_close=True)


def chunked(*chunks, trailers=b""):
    """Those chunks, the last one, the trailer block."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed + b"0\r\n" + trailers + b"\r\n"


def find_status(data):
    """All status lines in raw bytes: more than expected means a split response."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]
