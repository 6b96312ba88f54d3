# e2e/harness/h2.py - a raw downstream connection of HTTP/2: python3-h2 keeps the state, tests may write any frame.
import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hpack import Encoder
from hyperframe.frame import GoAwayFrame

from .waiting import DEADLINE_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 5, 6, 7, 8, 11
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of any frame, sensible or not."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(*fields):
    """A header block, or any part of one, of literals that no table remembers: no state on either side."""
    return Encoder().encode([(name, value, True) for name, value in fields], huffman=False)


def head(path="/", *fields, method="GET", authority="example.com", scheme="http"):
    """The fields of a request, pseudo-fields first; None leaves one out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(fields)


class Answer:
    """What came back on one stream."""

    def __init__(self, stream):
        self.stream = stream
        self.fields, self.trailers, self.interim = [], [], []
        self.parts = []
        self.is_complete = False
        self.reset = None  # the error code of RST_STREAM

    @property
    def body(self):
        return b"".join(self.parts)

    @property
    def status(self):
        return int(self.get(":status")) if self.fields else None

    def get(self, name, fields=None):
        values = [value for key, value in (self.fields if fields is None else fields) if key == name]
        assert len(values) <= 1, f"{name} stands more than once: {self.fields}"
        return values[0] if values else None

    @property
    def error(self):
        return self.get("x-weir-error")

    @property
    def is_over(self):
        return self.is_complete or self.reset is not None

    def __repr__(self):
        return f"<stream {self.stream}: {self.fields} body={self.body[:100]!r} {self.trailers} reset={self.reset}>"


class H2Client:
    """begin() sends a request, answer() waits for what comes of it; everything between is there too."""

    def __init__(self, address, settings=None, receive_buffer=None, opens_windows=True, tls=None, prelude=b""):
        """opens_windows: give back every byte that came, at once. prelude: bytes ahead of all else. tls: an ssl.SSLContext."""
        self.sock = socket.socket(socket.AF_INET)
        self.sock.settimeout(DEADLINE_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(prelude)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="shop.example.com")
        config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1",
                                           validate_outbound_headers=False, normalize_outbound_headers=False)
        self.state = h2.connection.H2Connection(config)
        if settings:
            self.state.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        # python3-h2 takes the first GOAWAY for the end and forgets what it was about to send.
        self.state._frame_dispatch_table[GoAwayFrame] = self.on_goaway  # pylint: disable=protected-access
        self.answers = {}
        self.opens_windows = opens_windows
        self.goaways = []  # (error, last stream)
        self.order = []    # of GOAWAY and PING, as they came
        self.pongs = 0
        self.has_ended = None  # "fin" or "reset"
        self.remote_settings = {}
        self.state.initiate_connection()
        self.flush()

    # ---- sending -----------------------------------------------------------------------------------------------------

    def flush(self):
        data = self.state.data_to_send()
        if data:
            self.send(data)
        return self

    def send(self, data):
        """Bytes that the state machine knows nothing of."""
        try:
            self.sock.sendall(data)
        except ConnectionError:
            self.has_ended = self.has_ended or "reset"
        return self

    def prepare(self, path="/", *fields, end=True, **options):
        """A head that the next flush sends; the number of its stream."""
        stream = self.state.get_next_available_stream_id()
        self.answers[stream] = Answer(stream)
        self.state.send_headers(stream, head(path, *fields, **options), end_stream=end)
        return stream

    def begin_raw(self, *fields):
        """A request whose head is these fields, whatever they say."""
        stream = self.prepare("/")
        self.state.data_to_send()  # it was for the state of the stream
        self.state.encoder = Encoder()  # which has told the peer nothing yet
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, block(*fields)))
        return stream

    def begin(self, path="/", *fields, end=True, **options):
        """The head of a request, sent; the number of its stream."""
        stream = self.prepare(path, *fields, end=end, **options)
        self.flush()
        return stream

    def data(self, stream, data=b"", end=False):
        """Body bytes, as the windows allow; gives up when the stream is over."""
        view = memoryview(data)
        while len(view) > 0:
            room = min(self.state.local_flow_control_window(stream), self.state.max_outbound_frame_size, len(view))
            if room == 0:
                self.flush()
                self.pump()
                if self.answers[stream].is_over:
                    return self
                continue
            self.state.send_data(stream, bytes(view[:room]))
            view = view[room:]
        if end:
            self.state.end_stream(stream)
        return self.flush()

    def trailers(self, stream, *fields):
        self.state.send_headers(stream, list(fields), end_stream=True)
        return self.flush()

    def cancel(self, stream, error=CANCEL):
        self.state.reset_stream(stream, error)
        return self.flush()

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def pump(self):
        """Reads once and acts on it. False at the end of the connection."""
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            self.has_ended = "reset"
            return False
        if not data:
            self.has_ended = "fin"
            return False
        for event in self.state.receive_data(data):
            self.on_event(event)
        self.flush()
        return True

    def on_goaway(self, frame_read):
        self.goaways.append((frame_read.error_code, frame_read.last_stream_id))
        self.order.append("GOAWAY")
        return [], []

    def on_event(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(event.headers)
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = event.headers
        elif isinstance(event, h2.events.DataReceived):
            answer.parts.append(event.data)
            if self.opens_windows:
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_complete = True
        elif isinstance(event, h2.events.StreamReset):
            if answer:
                answer.reset = event.error_code
        elif isinstance(event, h2.events.PingReceived):
            self.order.append("PING")
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.remote_settings.update({key: change.new_value for key, change in event.changed_settings.items()})

    def until(self, condition, what="it is so"):
        """Reads until the condition holds."""
        while not condition():
            if not self.pump():
                assert condition(), f"the connection ended ({self.has_ended}, {self.goaways}) before: {what}"
        return self

    def answer(self, stream):
        """The whole answer, or what there is of it at a reset."""
        answer = self.answers[stream]
        self.until(lambda: answer.is_over, f"the answer is over: {answer}")
        return answer

    def get(self, path="/", *fields, body=None, **options):
        """One request and its answer."""
        stream = self.begin(path, *fields, end=body is None, **options)
        if body is not None:
            self.data(stream, body, end=True)
        return self.answer(stream)

    def ping(self):
        """A round trip: everything before it was read."""
        seen = self.pongs
        self.state.ping(b"roundtrp")
        self.flush()
        return self.until(lambda: self.pongs > seen, "the PING comes back")

    def rest(self):
        """Reads to the end of the connection."""
        while self.pump():
            pass
        return self

    def close(self):
        self.sock.close()
