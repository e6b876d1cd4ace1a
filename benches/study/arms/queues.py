"""A queue for each worker, as frameworks have: sent on a timer, or as traffic without news (placebo)."""

from __future__ import annotations

import multiprocessing
import time
from queue import Empty
from typing import Any

import traincast
from benches.study.arms.arm import Setting, Source
from benches.study.arms.gated import Gated, GatedSource

__all__ = ["Placebo", "Timer"]


class _Queues(Gated):
    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._queues: list[Any] = [multiprocessing.Queue() for _ in range(setting.workers)]

    def _send(self) -> None:
        for queue in self._queues:
            queue.put({"level": self.level})

    def close(self) -> None:
        for queue in self._queues:
            queue.cancel_join_thread()
            queue.close()
        super().close()


class Timer(_Queues):
    """The level is sent at a fixed interval: a stand-in where Sample Factory itself does not run."""

    def __init__(self, setting: Setting, milliseconds: int) -> None:
        super().__init__(setting)
        self._seconds = milliseconds / 1000
        self._next = 0.0

    def started(self) -> None:
        self._next = time.monotonic() + self._seconds

    def update(self, now: int) -> None:
        super().update(now)
        if time.monotonic() >= self._next:
            self._next += self._seconds
            self._send()

    def source(self, worker: int) -> Source:
        return _TimerSource(self.run, self._queues[worker])


class Placebo(_Queues):
    """A fresh level by traincast, and traffic of queues beside it: a message per worker at every update."""

    def update(self, now: int) -> None:
        super().update(now)
        self._send()

    def source(self, worker: int) -> Source:
        return _PlaceboSource(self.run, self._queues[worker])


class _QueueSource(GatedSource):
    def __init__(self, run: traincast.Run, queue: Any) -> None:
        super().__init__(run)
        self._queue = queue
        self._told = 0

    def _drain(self) -> None:
        try:
            while True:
                self._told = self._queue.get_nowait()["level"]
        except Empty:
            pass


class _TimerSource(_QueueSource):
    def level(self, env: int, now: int) -> int:
        return self._told

    def between(self, now: int) -> None:
        self._drain()


class _PlaceboSource(_QueueSource):
    def between(self, now: int) -> None:
        self._drain()
