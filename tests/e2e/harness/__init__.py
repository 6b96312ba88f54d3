# e2e/harness/__init__.py - what black-box tests need: the proxy, scripted origins, raw clients.
from .certificates import Authority
from .client import Client
from .message import Message, Reader, chunked, find_status
from .origin import CLOSE, GOODBYE, HALF_CLOSE, HOLD, RESET, Full, Origin, reply
from .client import request
from .h2 import H2Client
from .proxy import WEIR, Proxy, shadow_factor
from .releases import Releases
from .waiting import DEADLINE_S, wait_for

__all__ = [
    "Authority", "CLOSE", "Client", "DEADLINE_S", "Full", "GOODBYE", "H2Client", "HALF_CLOSE", "HOLD", "Message", "Origin", "Proxy",
    "RESET", "Reader", "Releases", "WEIR",
    "chunked", "find_status", "reply", "request", "shadow_factor", "wait_for",
]
