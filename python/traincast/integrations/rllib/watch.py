"""A thread that notices the end of an algorithm, for which RLlib calls no callback."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet, ref

__all__ = ["Watch", "look_at_all"]

_SECONDS = 0.02  # between two looks, each of which takes microseconds

_watches: WeakSet[Watch] = WeakSet()


@atexit.register  # before Ray shuts down: a program may end right after `algo.stop()`
def look_at_all() -> None:
    """Look now: an env of this process has been closed, and perhaps its algorithm has stopped."""
    for watch in list(_watches):
        watch.look()


class Watch(threading.Thread):
    """Notices that an algorithm has ended: `Algorithm.stop` calls nothing.

    A stopped one has shut down its learners, and one that nothing refers to has been freed.

    Args:
        algorithm: the algorithm; only a weak reference to it is kept.
        on_end: called when the algorithm has ended; perhaps twice.
    """

    def __init__(self, algorithm: Any, on_end: Callable[[], None]) -> None:
        super().__init__(name="traincast: watches an RLlib algorithm", daemon=True)
        self._algorithm = ref(algorithm)
        self._on_end = on_end
        self._ended = threading.Event()
        _watches.add(self)

    def run(self) -> None:
        """Look until the algorithm has ended."""
        while not self._ended.is_set():
            self.look()
            self._ended.wait(_SECONDS)

    def look(self) -> None:
        """Call `on_end` if the algorithm has ended. Any thread may call this, and two at once."""
        algorithm = self._algorithm()
        if (algorithm is None or _has_stopped(algorithm)) and not self._ended.is_set():
            self._on_end()
            self._ended.set()


def _has_stopped(algorithm: Any) -> bool:
    # stop() shuts down the learners first, and only they show it: envs are closed at other times, too, and an
    # algorithm without env runners (offline training) has nothing else to shut down.
    return getattr(algorithm.learner_group, "_is_shut_down", False) is True
