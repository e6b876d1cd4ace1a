"""Warnings that a user sees once, however many envs of the process have the same problem."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Hashable

from traincast.errors import TraincastWarning

__all__ = ["warn_once"]

_lock = threading.RLock()  # a signal handler or a destructor that comes in between may warn, too
_said: set[Hashable] = set()


def warn_once(key: Hashable, message: str, stacklevel: int | None = None) -> bool:
    """Warn with a `TraincastWarning`, unless this process has done so under `key`; tell if it did now.

    `stacklevel` counts as in `warnings.warn`: 2 names the line that called the caller of this function. None
    names the line in the user's code that led here.
    """
    with _lock:
        if key in _said:
            return False
        _said.add(key)
    # Outside of the lock: a warning filter may raise, and showwarning may be the user's code.
    level = _level_of_the_user() if stacklevel is None else stacklevel + 1
    warnings.warn(message, TraincastWarning, stacklevel=level)
    return True


def _renew_lock() -> None:
    """In a forked child: a thread that it does not have may have held the lock."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _level_of_the_user() -> int:
    """The stacklevel of the first frame that belongs neither to us nor to a package that calls us."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "traincast",
        "gymnasium",
        "pettingzoo",
        "stable_baselines3",
    ):
        level, frame = level + 1, frame.f_back
    return level
