"""Arms without a gate over all envs: a schedule over training steps, a window in each env, no curriculum."""

from __future__ import annotations

from typing import Any

import traincast
from benches.study.arms.arm import Arm, Setting, Source
from benches.study.arms.gated import PROMOTE_AT
from traincast.curriculum import Linear, PerformanceLevel

__all__ = ["NoCurriculum", "Scheduled", "Windows"]


class Scheduled(Arm):
    """The level follows the published training steps, whatever the envs achieve. It needs no scoreboard.

    With a lag, envs see the training steps as they were that many steps ago.
    """

    one_level = False

    def __init__(self, setting: Setting, steps: int, lag: int = 0) -> None:
        super().__init__(setting)
        self._steps, self._lag = steps, lag
        self.run = traincast.Run("study")

    def update(self, now: int) -> None:
        self.run.publish(now)

    def source(self, worker: int) -> Source:
        return _ScheduleSource(self.run, self.setting.levels, self._steps, self._lag)

    def close(self) -> None:
        self.run.close()


class _ScheduleSource(Source):
    def __init__(self, run: traincast.Run, levels: int, steps: int, lag: int) -> None:
        self._key: Any = traincast.TrainingInfoReader(run.name).key("approx_total_training_steps")
        self._schedule = Linear(0, levels - 1, steps)
        self._lag = lag

    def level(self, env: int, now: int) -> int:
        return int(self._schedule(max(self._key() - self._lag, 0)))


class Windows(Arm):
    """Each env has a window of its own: the rule of `PerformanceCurriculum`."""

    one_level = False

    def __init__(self, setting: Setting, window: int) -> None:
        super().__init__(setting)
        self._window = window

    def update(self, now: int) -> None:
        pass

    def source(self, worker: int) -> Source:
        return _WindowSource(self.setting, self._window)


class _WindowSource(Source):
    def __init__(self, setting: Setting, window: int) -> None:
        self._rules = [
            PerformanceLevel(promote_at=PROMOTE_AT, window=window, max_level=setting.levels - 1)
            for _ in range(setting.envs)
        ]

    def level(self, env: int, now: int) -> int:
        return self._rules[env].level

    def record(self, env: int, level: int, success: bool, now: int) -> None:
        self._rules[env].record(success)


class NoCurriculum(Arm):
    """The real task from the beginning."""

    one_level = False

    def update(self, now: int) -> None:
        pass

    def source(self, worker: int) -> Source:
        return _TopSource(self.setting.levels - 1)


class _TopSource(Source):
    def __init__(self, top: int) -> None:
        self._top = top

    def level(self, env: int, now: int) -> int:
        return self._top
