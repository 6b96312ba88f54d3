# e2e/harness/waiting.py - waits for conditions; a test never sleeps for luck.
import os
import time

# Past it something hangs: generous, because sanitizers are slow and machines are shared.
DEADLINE_S = float(os.environ.get("E2E_DEADLINE_S", "30"))


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The condition's first true value."""
    give_up = time.monotonic() + deadline_s
    pause_s = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"still not so after {deadline_s} s: {what() if callable(what) else what}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
