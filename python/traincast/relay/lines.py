"""Lines to an engine: connections that are made anew when they break, and calls that are timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from traincast.relay.backoff import Backoff
from traincast.relay.engine import Engine, EngineLost, Engines

__all__ = ["Line"]


class Line:
    """The connections of one thread, one after the other.

    The calls of the thread are timed: `overdue` says if one has not returned in time, so that another thread
    can cut it. An engine's own timeouts do not fire when the link is dead.
    """

    PATIENCE = 1.5
    """Seconds that a call may take in addition to its own timeout."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._backoff = Backoff()
        self._due_ns = 0
        self.last_answer_ns = 0
        """When a call last returned, by the monotonic clock."""
        self.fault: str | None = None
        """Why there is no connection."""

    @property
    def overdue(self) -> bool:
        """Whether a call should have returned by now."""
        due = self._due_ns
        return due != 0 and time.monotonic_ns() > due

    @property
    def tried(self) -> bool:
        """Whether it is known by now if the engine is reachable."""
        return self.fault is not None or self.last_answer_ns != 0

    @property
    def connected(self) -> bool:
        """Whether the engine answers, as far as is known."""
        return self.last_answer_ns != 0 and self.fault is None and not self.overdue

    @contextmanager
    def connection(self, stop: threading.Event) -> Iterator[Engine]:
        """Connect, however long that takes, and close at the end.

        Raises: `EngineLost` once `stop` is set; and what the body raises.
        """
        engine = self._connect(stop)
        engine.report_progress_to(self.go_on)
        try:
            yield _Watched(engine, self)
        except EngineLost as error:
            self.fault = str(error)
            raise
        finally:
            self._due_ns = 0
            engine.close()

    def _connect(self, stop: threading.Event) -> Engine:
        while not stop.is_set():
            try:
                self.begin_call(0)
                engine = self._engines.connect()
                self.end_call()
                self.fault = None
                self._backoff.reset()
                return engine
            except EngineLost as error:
                self._due_ns = 0
                self.fault = str(error)
            stop.wait(self._backoff.pause())
        raise EngineLost("this relay ends")

    def begin_call(self, timeout: float) -> None:
        """Time a call from now on."""
        self._due_ns = time.monotonic_ns() + int((timeout + self.PATIENCE) * 1e9)

    def go_on(self) -> None:
        """Note that a call has not returned, but goes on: a large value comes over a slow link."""
        self._due_ns = time.monotonic_ns() + int(self.PATIENCE * 1e9)

    def end_call(self) -> None:
        """Note that a call has returned."""
        self._due_ns = 0
        self.last_answer_ns = time.monotonic_ns()


class _Watched:
    """A connection whose calls are timed. What a call raises ends the connection, and the timing with it."""

    def __init__(self, engine: Engine, line: Line) -> None:
        self._engine, self._line = engine, line

    def put(self, topic: str, value: bytes) -> None:
        self._line.begin_call(0)
        self._engine.put(topic, value)
        self._line.end_call()

    def wait(self, topic: str, newer_than: object, timeout: float) -> tuple[object, bytes] | None:
        self._line.begin_call(timeout)
        news = self._engine.wait(topic, newer_than, timeout)
        self._line.end_call()
        return news

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        self._line.begin_call(0)
        there = self._engine.swap(key, expected, new)
        self._line.end_call()
        return there

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        self._engine.report_progress_to(progressed)

    def close(self) -> None:
        self._engine.close()
