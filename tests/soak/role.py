"""A process with a part in the soak: it works on a schedule, and comes to rest when it is told to.

At rest it holds only what it keeps for its whole life, so that what is then measured of it must be the same
each time. It ends when the supervisor does.
"""

from __future__ import annotations

import collections
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Collection

MAIN = "main"  # the channel that lives the whole time
AGAIN = [f"again-{n}" for n in range(4)]  # channels that are closed and opened again

LEAKS = ("memory", "reader", "descriptor", "file")

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Role:
    """`period`: seconds from one `work` to the next. The schedule is absolute: delays are made up for."""

    period: float

    def __init__(self, leaks: Collection[str]) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.leaks = leaks  # deliberate ones: the tests must see them
        self.kept: list[object] = []

    def work(self) -> None:
        raise NotImplementedError

    def rest(self) -> None:
        """Let go of all that is not for life."""
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def serve(self) -> None:
        """Orders are lines: `rest`, then `work` (on with it). The end of the input is the end."""
        die_with_parent()
        print("ready", flush=True)
        due = time.monotonic()
        while True:
            ready, _, _ = select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))
            if not ready:
                self.work()
                due += self.period
            elif sys.stdin.readline():
                self._stand_still()
            else:
                break
        self.end()

    def _stand_still(self) -> None:
        self.rest()
        gc.collect()
        # Memory that malloc keeps for later is not a leak; Python's allocator gives memory back by arenas.
        ctypes.CDLL(None).malloc_trim(0)
        print(json.dumps(self.counts), flush=True)
        sys.stdin.readline()


def end_child(pid: int, kill: bool = True) -> None:
    """Wait for a child, which must not have failed."""
    if kill:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == (-signal.SIGKILL if kill else 0), status


def run(role: type[Role]) -> None:
    role(sys.argv[1:]).serve()
