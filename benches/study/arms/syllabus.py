"""Syllabus in both directions: its task queue, its update queue, the thread between them, its env wrapper.

The gate is a curriculum of Syllabus with traincast's rule for results, as in all arms. Only the way differs:
an env asks for its next task when an episode ends, and the thread, which looks for requests every 10 ms,
answers. With `buffer_size=1`, the default for Gymnasium, the reset waits for the answer; with 2, the default
for PettingZoo, the reset uses the previous task.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import gymnasium
import numpy as np

from benches.study.arms.arm import Arm, Setting, Source
from benches.study.arms.gated import PROMOTE_AT
from traincast.curriculum import PerformanceLevel

logging.getLogger("ray").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of its dependencies
    from syllabus.core import Curriculum, GymnasiumSyncWrapper, make_multiprocessing_curriculum
    from syllabus.task_space import DiscreteTaskSpace

__all__ = ["Syllabus"]

_PRACTICE = -1.0  # the progress of an episode that is not the gate's


class _Gate(Curriculum):  # type: ignore[misc] # Syllabus is untyped
    def __init__(self, space: Any, setting: Setting) -> None:
        super().__init__(space)
        self.rule = PerformanceLevel(promote_at=PROMOTE_AT, window=setting.gate, max_level=setting.levels - 1)

    def sample(self, k: int = 1) -> list[int]:
        return [self.rule.level] * k

    def update_on_episode(
        self, episode_return: float, length: int, task: Any, progress: Any, env_id: int | None = None
    ) -> None:
        if progress != _PRACTICE and task == self.rule.level:
            self.rule.record(float(progress))


class Syllabus(Arm):
    """Level and results by Syllabus."""

    def __init__(self, setting: Setting, buffer_size: int = 1) -> None:
        super().__init__(setting)
        self._buffer_size = buffer_size
        self._space = DiscreteTaskSpace(setting.levels)
        self._gate = _Gate(self._space, setting)
        self._synchronised = make_multiprocessing_curriculum(self._gate, start=False)

    def started(self) -> None:
        self._synchronised.start()

    def update(self, now: int) -> None:
        while self.setting.shared.level < self._gate.rule.level:
            self.promotions.append(now)
            self.setting.shared.level += 1

    def source(self, worker: int) -> Source:
        return _SyllabusSource(
            self.setting.envs, self._space, self._synchronised.components, self._buffer_size
        )

    def close(self) -> None:
        if self._synchronised.update_thread is not None:
            self._synchronised.stop()


class _Env(gymnasium.Env[Any, Any]):
    """What Syllabus' wrapper sees of an env: its resets, and the last step of each episode."""

    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(1)
    task: int = 0
    progress = 0.0

    def reset(self, *, new_task: Any = 0, **options: Any) -> tuple[Any, dict[str, Any]]:
        self.task = new_task
        return np.int64(0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.int64(0), max(self.progress, 0.0), True, False, {"task_completion": self.progress}


class _SyllabusSource(Source):
    def __init__(self, envs: int, space: Any, components: Any, buffer_size: int) -> None:
        self._envs = [_Env() for _ in range(envs)]
        self._wrapped = [
            GymnasiumSyncWrapper(env, space, components, buffer_size=buffer_size) for env in self._envs
        ]

    def level(self, env: int, now: int) -> int:
        self._wrapped[env].reset()
        return int(self._envs[env].task)

    def record(self, env: int, level: int, success: bool, now: int) -> None:
        self._end(env, float(success))

    def practised(self, env: int, level: int) -> None:
        self._end(env, _PRACTICE)

    def _end(self, env: int, progress: float) -> None:
        self._envs[env].progress = progress
        self._wrapped[env].step(0)
