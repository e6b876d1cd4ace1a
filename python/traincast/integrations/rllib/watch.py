"""A thread for the two moments of an algorithm at which RLlib calls no callback."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet, ref

__all__ = ["Watch", "look_at_all"]

_SECONDS = 0.02  # a look costs microseconds

_watches: WeakSet[Watch] = WeakSet()


@atexit.register  # before Ray ends: a program may be over right after `algo.stop()`
def look_at_all() -> None:
    """Look now: an env of this process has been closed, and perhaps its algorithm has stopped."""
    for watch in list(_watches):
        watch.look()


class Watch(threading.Thread):
    """Notices that an algorithm was restored by `from_checkpoint`, and that it has ended.

    `Algorithm.restore` calls `on_checkpoint_loaded`; `Algorithm.from_checkpoint` calls nothing, nor does
    `Algorithm.stop`. A restored algorithm has an iteration before it has trained any. A stopped one has shut
    down its learners, and one that nobody holds is gone.

    Args:
        algorithm: held weakly.
        on_restored: called with the algorithm, at most once, and not after `trained()`.
        on_end: may be called twice.
    """

    def __init__(
        self, algorithm: Any, on_restored: Callable[[Any], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(name="traincast: watches an RLlib algorithm", daemon=True)
        self._algorithm = ref(algorithm)
        self._on_restored = on_restored
        self._on_end = on_end
        self._restorable = True
        self._ended = threading.Event()
        _watches.add(self)

    def trained(self) -> None:
        """Note that callbacks tell everything from here on."""
        self._restorable = False

    def run(self) -> None:
        """Look until the algorithm has ended."""
        while not self._ended.is_set():
            self.look()
            algorithm = self._algorithm()
            if self._restorable and algorithm is not None and algorithm.iteration > 0:
                self._restorable = False
                self._on_restored(algorithm)
            del algorithm
            self._ended.wait(_SECONDS)

    def look(self) -> None:
        """End the run if the algorithm has ended; from any thread, and twice at once does no harm."""
        algorithm = self._algorithm()
        if (algorithm is None or _has_stopped(algorithm)) and not self._ended.is_set():
            self._on_end()
            self._ended.set()


def _has_stopped(algorithm: Any) -> bool:
    # stop() begins with the learners. They alone remember it: envs are closed at other times too, and with
    # no env runners of its own (offline training) an algorithm has nothing else that ends.
    return getattr(algorithm.learner_group, "_is_shut_down", False) is True
