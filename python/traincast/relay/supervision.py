"""Supervision: a relay that is killed is replaced within a moment.

A relay under torchrun needs torch, which takes seconds to import. So a supervisor, which has imported torch
and does nothing else, forks the process that serves, and forks another one when that is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from traincast.relay.backoff import Backoff

__all__ = ["supervised"]

_TOLD = {signal.SIGTERM, signal.SIGINT}
_SOUND = 5.0
"""A process that has lived for this many seconds is replaced at once when it is killed, without a pause."""


def supervised(serve: Callable[[], int], goes_on: Callable[[], bool]) -> int:
    """Run `serve` in a forked process, and again if that is killed while `goes_on()`; return its exit status.

    SIGTERM and SIGINT are passed on to the process. Call this before the program has threads.
    """
    child, told = 0, False

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(child, number)

    backoff = Backoff()
    while True:
        began = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)  # until the pid of the child is known
        child = os.fork()
        if child == 0:
            _serve(serve)
        for number in _TOLD:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)
        _, status = os.waitpid(child, 0)
        for number in _TOLD:
            signal.signal(number, signal.SIG_DFL)
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        if told or not goes_on():
            return 0
        if time.monotonic() - began < _SOUND:
            time.sleep(backoff.pause())
        else:
            backoff.reset()


def _serve(serve: Callable[[], int]) -> None:
    for number in _TOLD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)
    status = 1
    try:
        status = serve()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(status)  # a thread may hang in a call of the engine
