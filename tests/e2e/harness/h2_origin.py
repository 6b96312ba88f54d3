# e2e/harness/h2_origin.py - a scripted HTTP/2 server: every frame is the test's to send or to withhold.
import contextlib
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .origin import Connection, Origin
from .waiting import DEADLINE_S, wait_for

Codes = h2.errors.ErrorCodes
Settings = h2.settings.SettingCodes


class Stream:
    """One request and what is answered to it. Any thread may answer."""

    def __init__(self, connection, number, fields):
        self.connection, self.id, self.fields = connection, number, fields
        self.body, self.trailers = bytearray(), None
        self.is_complete = False  # the request's end was seen
        self.reset_code = None    # of the peer's RST_STREAM
        self.is_answered = False  # we have sent a final head, or a reset
        self.waiting, self.end = bytearray(), None  # what the windows do not let out yet; what comes behind it

    def field(self, name):
        """All values of that name, joined."""
        values = [value for key, value in self.fields if key == name]
        return ", ".join(values) if values else None

    @property
    def method(self):
        return self.field(":method")

    @property
    def path(self):
        return self.field(":path")

    def head(self, status=200, *fields, end=False):
        """fields: pairs."""
        self.is_answered = status >= 200
        with self.connection.sending() as session:
            session.send_headers(self.id, [(":status", str(status)), *fields], end_stream=end)
        return self

    def raw_head(self, *fields, end=False):
        with self.connection.sending() as session:
            session.send_headers(self.id, list(fields), end_stream=end)
        return self

    def send(self, data, end=False):
        """Queues bytes; they leave as far as the peer's windows allow."""
        with self.connection.sending():
            self.waiting += data
            self.end = () if end else self.end
            self.connection.pump(self)
        return self

    def send_trailers(self, *fields):
        with self.connection.sending():
            self.end = fields
            self.connection.pump(self)
        return self

    def reply(self, body=b"ok", *fields, status=200):
        self.head(status, *fields, end=not body)
        return self.send(body, end=True) if body else self

    def reset(self, code=Codes.INTERNAL_ERROR):
        self.is_answered = True
        with self.connection.sending() as session:
            session.reset_stream(self.id, code)
        return self

    def wait_complete(self):
        wait_for(lambda: self.is_complete, f"the end of request {self.id}")
        return self

    def wait_reset(self):
        wait_for(lambda: self.reset_code is not None, f"a reset of stream {self.id}")
        return self.reset_code

    def wait_sent(self):
        wait_for(lambda: not self.waiting and self.end is None, lambda: f"{len(self.waiting)} bytes more leave")


class H2Connection:
    """One accepted connection: a thread reads frames, and lets the origin answer."""

    def __init__(self, origin, sock, index):
        self.origin, self.sock, self.index = origin, sock, index
        self.lock = threading.RLock()
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.session = h2.connection.H2Connection(config)
        self.streams = {}
        self.events = []
        self.end = None      # "fin", "reset", or None while open
        self.goaway = None   # the error code of the peer's GOAWAY
        self.is_deaf = False # reads nothing any more
        self.most_streams = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def sending(self):
        return Sending(self)

    # ---- reading ---------------------------------------------------------------------------------------------------

    def run(self):
        try:
            if self.origin.tls:
                self.sock = self.origin.tls.wrap_socket(self.sock, server_side=True)
            with self.sending() as session:
                if self.origin.settings:
                    session.local_settings = h2.settings.Settings(client=False, initial_values={
                        **dict(session.local_settings), **self.origin.settings})
                session.initiate_connection()
            while self.read():
                pass
            self.end = self.end or "fin"
        except (ConnectionError, TimeoutError, OSError):
            self.end = self.end or "reset"
        except Exception as error:  # pylint: disable=broad-except
            self.end = "failed"
            self.origin.failures.append(error)
        finally:
            self.sock.close()
            self.is_over.set()

    def read(self):
        data = self.sock.recv(1 << 16)
        if self.is_deaf:
            self.is_over.wait(DEADLINE_S)
            return False
        if not data:
            return False
        with self.sending() as session:
            events = session.receive_data(data)
            self.events += [type(event).__name__ for event in events]
        for event in events:
            self.on_event(event)
        return True

    def on_event(self, event):
        number = getattr(event, "stream_id", 0)
        if isinstance(event, h2.events.RequestReceived):
            stream = Stream(self, number, [(str(k), str(v)) for k, v in event.headers])
            with self.lock:
                self.streams[number] = stream
                self.most_streams = max(self.most_streams, self.session.open_inbound_streams)
            self.origin.requests.append(stream)
            if self.origin.on_head:
                self.origin.on_head(stream)
        elif isinstance(event, h2.events.DataReceived):
            self.streams[number].body += event.data
            if self.origin.is_reading:
                self.take(number, event.flow_controlled_length)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[number].trailers = [(str(k), str(v)) for k, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[number].is_complete = True
            if self.origin.answer and not self.streams[number].is_answered:
                self.origin.answer(self.streams[number])
        elif isinstance(event, h2.events.StreamReset):
            self.streams[number].reset_code = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            with self.sending():
                for stream in list(self.streams.values()):
                    self.pump(stream)

    def take(self, number, count):
        """Gives so much of the windows back."""
        with self.sending() as session:
            if count > 0:
                session.increment_flow_control_window(count)
                try:
                    session.increment_flow_control_window(count, number)
                except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError):
                    pass  # its end was seen

    # ---- writing ---------------------------------------------------------------------------------------------------

    def pump(self, stream):
        """Under `sending`."""
        session = self.session
        while stream.waiting and stream.reset_code is None:
            room = min(session.local_flow_control_window(stream.id), session.max_outbound_frame_size, len(stream.waiting))
            if room <= 0:
                return
            is_last = room == len(stream.waiting) and stream.end == ()
            session.send_data(stream.id, bytes(stream.waiting[:room]), end_stream=is_last)
            del stream.waiting[:room]
            if is_last:
                stream.end = None
        if stream.end is not None and stream.reset_code is None:
            if stream.end:
                session.send_headers(stream.id, list(stream.end), end_stream=True)
            else:
                session.end_stream(stream.id)
            stream.end = None

    def raw(self, data):
        with self.lock:
            self.sock.sendall(data)

    def ping(self):
        with self.sending() as session:
            session.ping(b"12345678")

    def update_settings(self, **values):
        with self.sending() as session:
            session.update_settings({getattr(Settings, name): value for name, value in values.items()})

    def send_goaway(self, last_stream_id, code=Codes.NO_ERROR):
        """As a frame only: the streams go on."""
        payload = last_stream_id.to_bytes(4, "big") + int(code).to_bytes(4, "big")
        self.raw(len(payload).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload)

    def close(self):
        """FIN; what comes is still read."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def wait_settled(self):
        """The peer has acknowledged the SETTINGS."""
        wait_for(lambda: "SettingsAcknowledged" in self.events, "SETTINGS are acknowledged")

    def wait_end(self):
        """How the proxy ended the connection: "fin" or "reset"."""
        wait_for(self.is_over.is_set, f"the proxy closes connection {self.index} to the origin")
        return self.end


class Sending:
    """Locks the session and lets out what was produced inside."""

    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        self.connection.lock.acquire()
        return self.connection.session

    def __exit__(self, kind, error, trace):
        try:
            data = self.connection.session.data_to_send()
            if data:
                self.connection.sock.sendall(data)
        finally:
            self.connection.lock.release()
        return kind is h2.exceptions.StreamClosedError  # the peer was faster with a reset


def reply_ok(stream):
    stream.reply()


class H2Origin(Origin):
    """answer: called with the stream when a request is complete; None: the test answers. on_head: called with each head."""
    connection_kind = H2Connection

    def __init__(self, answer=reply_ok, on_head=None, settings=None, backlog=512, tls=None):
        self.on_head, self.is_reading = on_head, True
        self.settings = self.default_settings = settings or {}
        super().__init__(answer, backlog, tls)
        self.answer = self.default = answer

    @contextlib.contextmanager
    def frozen(self):
        """Inside, SYNs are not answered: connects neither succeed nor fail. Yields what makes them fail."""
        self.stop()
        full = socket.socket()
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", self.port))
        full.listen(0)
        filler = socket.create_connection(("127.0.0.1", self.port))
        try:
            yield full.close
        finally:
            filler.close()
            full.close()
            self.restart()

    def hang_up(self):
        for connection in self.connections:
            connection.close()
        for connection in self.connections:
            connection.is_deaf = False
            connection.wait_end()

    def forget(self):
        self.on_head, self.settings, self.is_reading = None, self.default_settings, True
        super().forget()

    def wait_streams(self, count):
        return self.wait_requests(count)


def kind_by_alpn(origin, sock, index):
    """Who offers HTTP/2 in its ClientHello, which is looked at and left, gets it; anybody else is `origin.http1`'s."""
    hello = sock.recv(1 << 16, socket.MSG_PEEK)
    return H2Connection(origin, sock, index) if b"\x02h2" in hello else Connection(origin.http1, sock, index)


class AlpnOrigin(H2Origin):
    """HTTP/2 or HTTP/1.1 over TLS, as each connection asks. `http1` answers the latter; its connections are counted here too."""
    connection_kind = staticmethod(kind_by_alpn)

    def __init__(self, tls, **options):
        tls.set_alpn_protocols(["h2", "http/1.1"])
        self.http1 = Origin(tls=tls)
        super().__init__(tls=tls, **options)

    def stop(self):
        self.http1.stop()
        super().stop()
