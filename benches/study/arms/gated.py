"""Arms with a gate over the results of all envs: traincast's `PooledCurriculum`, on its scoreboard."""

from __future__ import annotations

import multiprocessing
import time
from bisect import bisect_right
from collections import deque
from typing import Any

import traincast
from benches.study.arms.arm import Arm, Setting, Source
from traincast.curriculum import PooledCurriculum
from traincast.scores import ScoreWriter

__all__ = ["Boundaries", "Delayed", "DelayedResults", "Gated", "GatedSource", "SharedValue", "Stalled"]

PROMOTE_AT = 0.8


class GatedSource(Source):
    """Plays the level that the curriculum published last, and counts episodes on its scoreboard."""

    def __init__(self, run: traincast.Run) -> None:
        self._key: Any = traincast.TrainingInfoReader(run.name).key("curriculum.level")
        self._scores = ScoreWriter(run.name)

    def level(self, env: int, now: int) -> int:
        return int(self._key())

    def record(self, env: int, level: int, success: bool, now: int) -> None:
        self._scores.record(level, success=success)


class Gated(Arm):
    """traincast in both directions. The classes below deliver the level differently, behind the same gate."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.run = traincast.Run("study")
        self.curriculum = PooledCurriculum(
            self.run, levels=setting.levels, promote_at=PROMOTE_AT, window=setting.gate
        )
        self.setting.shared.level = 0

    @property
    def level(self) -> int:
        return self.curriculum.level

    def update(self, now: int) -> None:
        if self.curriculum.update() and self.level != self.setting.shared.level:
            self.promotions.append(now)
            self.deliver(now)
            # Last, because an env that has the new level already is not behind.
            self.setting.shared.level = self.level

    def deliver(self, now: int) -> None:
        """Deliver a new level in another way; the curriculum itself has published it."""

    def source(self, worker: int) -> Source:
        return GatedSource(self.run)

    def close(self) -> None:
        self.run.close()


class SharedValue(Gated):
    """The level in a `multiprocessing.Value`: as fresh as traincast."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._value: Any = multiprocessing.Value("q", 0)

    def deliver(self, now: int) -> None:
        self._value.value = self.level

    def source(self, worker: int) -> Source:
        return _ValueSource(self.run, self._value)


class _ValueSource(GatedSource):
    def __init__(self, run: traincast.Run, value: Any) -> None:
        super().__init__(run)
        self._value = value

    def level(self, env: int, now: int) -> int:
        return int(self._value.value)


class Stalled(Gated):
    """A fresh level for which the learner waits: what waiting costs if nothing is stale."""

    def __init__(self, setting: Setting, milliseconds: int) -> None:
        super().__init__(setting)
        self._seconds = milliseconds / 1000

    def deliver(self, now: int) -> None:
        time.sleep(self._seconds)


class _Late(Gated):
    """The learner publishes when each level began, and envs play the level of an earlier time."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._history: tuple[list[int], list[int]] = [0], [0]
        self.deliver(0)

    def deliver(self, now: int) -> None:
        if self.level:
            self._history[0].append(now)
            self._history[1].append(self.level)
        self.run.publish(now, history=self._history)


class Delayed(_Late):
    """Every level arrives a stated number of env steps late, at any speed.

    It is exact if the lag is longer than what workers do while the learner publishes: `IN_FLIGHT` turns of
    all.
    """

    def __init__(self, setting: Setting, lag: int) -> None:
        super().__init__(setting)
        self._lag = lag

    def source(self, worker: int) -> Source:
        return _DelayedSource(self.run, self._lag)


class Boundaries(_Late):
    """Levels arrive between rollouts of a stated number of env steps: as `env_method` delivers them."""

    def __init__(self, setting: Setting, steps: int) -> None:
        super().__init__(setting)
        self._steps = steps

    def source(self, worker: int) -> Source:
        return _BoundarySource(self.run, self._steps)


class _LateSource(GatedSource):
    def __init__(self, run: traincast.Run) -> None:
        super().__init__(run)
        self._reader: Any = traincast.TrainingInfoReader(run.name)

    def level_at(self, then: int) -> int:
        times, levels = self._reader.read()["history"]
        return int(levels[max(bisect_right(times, then) - 1, 0)])


class _DelayedSource(_LateSource):
    def __init__(self, run: traincast.Run, lag: int) -> None:
        super().__init__(run)
        self._lag = lag

    def level(self, env: int, now: int) -> int:
        return self.level_at(now - self._lag)


class _BoundarySource(_LateSource):
    def __init__(self, run: traincast.Run, steps: int) -> None:
        super().__init__(run)
        self._steps = steps

    def level(self, env: int, now: int) -> int:
        return self.level_at(now - now % self._steps)


class DelayedResults(Gated):
    """A fresh level, and results that arrive a stated number of env steps late."""

    def __init__(self, setting: Setting, lag: int) -> None:
        super().__init__(setting)
        self._lag = lag

    def source(self, worker: int) -> Source:
        return _LateResults(self.run, self._lag)


class _LateResults(GatedSource):
    def __init__(self, run: traincast.Run, lag: int) -> None:
        super().__init__(run)
        self._lag = lag
        self._held: deque[tuple[int, int, bool]] = deque()

    def record(self, env: int, level: int, success: bool, now: int) -> None:
        self._held.append((now + self._lag, level, success))

    def between(self, now: int) -> None:
        while self._held and self._held[0][0] <= now:
            _, level, success = self._held.popleft()
            self._scores.record(level, success=success)
