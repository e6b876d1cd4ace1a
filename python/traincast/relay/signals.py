"""The signals that end a relay."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

__all__ = ["told_to_end"]


def told_to_end() -> Callable[[], bool]:
    """Handle SIGTERM and SIGINT from now on; return a function that tells if one has come."""
    told = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    return lambda: told
