# e2e/harness/grpc_peers.py - clients and servers of gRPC that others wrote: python3-grpcio, and npm's @grpc/grpc-js.
import base64
import itertools
import json
import os
import queue
import subprocess
import threading
from concurrent import futures

import grpc

from .proxy import ROOT
from .waiting import DEADLINE_S

SCRIPTS = os.path.join(ROOT, "tests", "e2e", "grpc_js")
MODULES = os.path.join(ROOT, "build", "grpc_js", "node_modules")  # where scripts/install-deps puts them


class Outcome:
    """What a client saw of a call."""

    def __init__(self, code, details, messages, initial, trailing):
        self.code, self.details, self.messages = code, details, messages
        self.initial, self.trailing = initial, trailing

    def __repr__(self):
        return f"<{self.code} {self.details!r} {len(self.messages)} messages {self.initial} {self.trailing}>"


class Events:
    """What a server tells of calls that hang."""

    def __init__(self):
        self.begun, self.cancelled = threading.Event(), threading.Event()

    def clear(self):
        self.begun.clear()
        self.cancelled.clear()


# ---- Python ------------------------------------------------------------------------------------------------------------


class PythonService(grpc.GenericRpcHandler):
    """Bytes in, bytes out: no message is parsed by anybody. grpc_js/server.js has the same."""

    def __init__(self, events):
        self.events = events

    def service(self, details):
        handlers = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "down": grpc.unary_stream_rpc_method_handler(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
            "fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "fail_late": grpc.unary_stream_rpc_method_handler(self.fail_late),
            "remaining": grpc.unary_unary_rpc_method_handler(self.remaining),
            "hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        return handlers.get(details.method.rsplit("/", 1)[1])

    def unary(self, message, context):
        asked = dict(context.invocation_metadata()).get("x-asked", "")
        context.send_initial_metadata((("x-initial", "1"), ("x-echoed", asked)))
        context.set_trailing_metadata((("x-trailing", "2"), ("data-bin", b"\0\xff")))
        return message[::-1]

    def down(self, message, _):
        for n in range(int(message)):
            yield b"%d" % n

    def up(self, messages, _):
        return b"%d" % sum(len(message) for message in messages)

    def both(self, messages, _):
        for message in messages:
            yield message.upper()

    def fail(self, _, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % \u00fc")

    def fail_late(self, _, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    def remaining(self, _, context):
        return b"%d" % (context.time_remaining() * 1000)

    def hang(self, _, context):
        is_over = threading.Event()

        def on_over():
            self.events.cancelled.set()
            is_over.set()

        if not context.add_callback(on_over):
            on_over()  # it is over already
        self.events.begun.set()
        is_over.wait(DEADLINE_S)
        return b""


class PythonServer:
    """A port in clear text, and one with TLS."""

    def __init__(self, certificate):
        self.events = Events()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[PythonService(self.events)],
                                  options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        with open(certificate.key, "rb") as key, open(certificate.cert, "rb") as cert:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        self.ports = {
            "clear": self.server.add_insecure_port("127.0.0.1:0"),
            "tls": self.server.add_secure_port("127.0.0.1:0", credentials),
        }
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()


class PythonClient:
    """Makes calls; start() gives something to cancel() and to wait for with result()."""

    def __init__(self, authority):
        self.authority, self.channels = authority, {}

    def channel(self, target, is_secure):
        if target not in self.channels:
            options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
            if is_secure:
                with open(self.authority.cert, "rb") as file:
                    credentials = grpc.ssl_channel_credentials(file.read())
                options.append(("grpc.ssl_target_name_override", "localhost"))
                self.channels[target] = grpc.secure_channel(target, credentials, options)
            else:
                self.channels[target] = grpc.insecure_channel(target, options)
        return self.channels[target]

    def start(self, target, path, kind="unary", messages=(b"",), in_turns=False, timeout=DEADLINE_S, metadata=None,
              is_secure=False):
        channel = self.channel(target, is_secure)
        options = {"timeout": timeout, "metadata": tuple((metadata or {}).items())}
        return PythonCall(channel, path, kind, messages, in_turns, options)

    def close(self):
        for channel in self.channels.values():
            channel.close()
        self.channels = {}

    stop = close


class PythonCall:
    def __init__(self, channel, path, kind, messages, in_turns, options):
        self.answered = threading.Semaphore(1 if in_turns else len(messages))
        self.messages = messages
        if kind == "unary":
            self.call = channel.unary_unary(path).future(messages[0], **options)
        elif kind == "down":
            self.call = channel.unary_stream(path)(messages[0], **options)
        elif kind == "up":
            self.call = channel.stream_unary(path).future(iter(messages), **options)
        else:
            self.call = channel.stream_stream(path)(self.send(), **options)
        self.is_stream = kind in ("down", "both")

    def send(self):
        """In turns: each message waits for the answer to the one before."""
        for message in self.messages:
            if not self.answered.acquire(timeout=DEADLINE_S):
                return
            yield message

    def cancel(self):
        self.call.cancel()

    def result(self):
        got = []
        try:
            if self.is_stream:
                for message in self.call:
                    got.append(message)
                    self.answered.release()
            else:
                got.append(self.call.result())
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        return Outcome(self.call.code().value[0], self.call.details(), got, dict(self.call.initial_metadata() or ()),
                       dict(self.call.trailing_metadata() or ()))


# ---- Node --------------------------------------------------------------------------------------------------------------


class Node:
    """A script of grpc_js/: it reads and writes lines of JSON."""

    def __init__(self, script, *arguments):
        assert os.path.isdir(MODULES), f"@grpc/grpc-js is not in {MODULES}: run scripts/install-deps test"
        self.process = subprocess.Popen(
            ["node", os.path.join(SCRIPTS, script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": MODULES}, text=True,
        )
        self.lock = threading.Lock()
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.on_line(json.loads(line))
        self.lines.put(None)

    def on_line(self, line):
        self.lines.put(line)

    def write(self, what):
        with self.lock:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()

    def next_line(self):
        line = self.lines.get(timeout=DEADLINE_S)
        assert line is not None, f"node ended, status {self.process.wait()}"
        return line

    def stop(self):
        """The end of its input is its end."""
        self.process.stdin.close()
        try:
            assert self.process.wait(DEADLINE_S) == 0
        finally:
            self.process.kill()
            self.thread.join()
            self.process.stdout.close()


class NodeServer(Node):
    def __init__(self, certificate):
        self.events = Events()
        super().__init__("server.js", certificate.cert, certificate.key)
        self.ports = self.next_line()

    def on_line(self, line):
        if line.get("event"):
            getattr(self.events, line["event"]).set()
        else:
            super().on_line(line)


def plain(metadata):
    """Buffers as bytes."""
    return {name: bytes(value["data"]) if isinstance(value, dict) else value for name, value in metadata.items()}


class NodeClient(Node):
    def __init__(self, authority):
        self.authority = authority
        self.numbers, self.calls = itertools.count(), {}
        super().__init__("client.js")

    def on_line(self, line):
        if "id" in line:
            self.calls.pop(line["id"]).outcome.put(line)
        else:
            super().on_line(line)

    def start(self, target, path, kind="unary", messages=(b"",), in_turns=False, timeout=DEADLINE_S, metadata=None,
              is_secure=False):
        call = NodeCall(self, next(self.numbers))
        self.calls[call.number] = call
        self.write({
            "id": call.number, "target": target, "authority": self.authority.cert if is_secure else None, "path": path,
            "kind": kind, "messages": [base64.b64encode(message).decode() for message in messages], "in_turns": in_turns,
            "timeout_ms": timeout * 1000, "metadata": metadata or {},
        })
        return call

    def close(self):
        self.write({"close": True})
        assert self.next_line() == {"closed": True}


class NodeCall:
    def __init__(self, client, number):
        self.client, self.number, self.outcome = client, number, queue.Queue()

    def cancel(self):
        self.client.write({"cancel": self.number})

    def result(self):
        line = self.outcome.get(timeout=2 * DEADLINE_S)
        messages = [base64.b64decode(message) for message in line["messages"]]
        return Outcome(line["code"], line["details"], messages, plain(line["initial"]), plain(line["trailing"]))
