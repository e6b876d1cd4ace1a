"""Warnings that a user sees once, however many envs of the process have the same trouble."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Hashable

from traincast.errors import TraincastWarning

__all__ = ["warn_once"]

_lock = threading.Lock()
_said: set[Hashable] = set()


def warn_once(key: Hashable, message: str, stacklevel: int = 2) -> bool:
    """Warn with a `TraincastWarning` unless this process has done so under `key`; tell if it did now.

    `stacklevel` counts as in `warnings.warn`: 2 names the line that called the caller of this function.
    """
    with _lock:
        if key in _said:
            return False
        _said.add(key)
    # Outside of the lock: a warning filter may raise, and showwarning is a user's code.
    warnings.warn(message, TraincastWarning, stacklevel=stacklevel + 1)
    return True
