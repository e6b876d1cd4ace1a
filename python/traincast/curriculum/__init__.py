"""Curricula: the difficulty of an env follows the progress of the training, or the agent's performance.

Sample Factory's documentation ("Passing Info from RL Algo to Env") distinguishes curricula by progress and by
performance. Here, performance is measured in one env or in all:

- `ProgressCurriculum` sets env attributes from schedules over the training steps that a learner broadcasts.
- `PerformanceCurriculum` moves the level of one env instance up and down with the agent's results in that
  instance. It needs no learner, and instances differ in their levels, which makes the data more diverse.
  Petrenko et al., "Sample Factory" (2020, arXiv:2006.11751), trained against bots that way. Two thresholds
  over a buffer of results are also what automatic domain randomization uses: Akkaya et al., "Solving Rubik's
  Cube with a Robot Hand" (2019, arXiv:1910.07113).
- `ProgressCurriculum(PerformanceCurriculum(env, ...), {"max_level": schedule})` combines them: progress
  limits the level.
- `PooledCurriculum`, in the learner, moves one level for all envs with the results of all of them, and
  `TaskSampler` publishes the probabilities with which envs draw their tasks (prioritized level replay). A
  `TaskCurriculum` around each env plays what is published and records the results.

The schedules and `PerformanceLevel` are plain Python; the wrappers load gymnasium when they are first used,
and the curricula of the learner load numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from traincast.curriculum.level import PerformanceLevel
from traincast.curriculum.schedules import (
    Apply,
    Chain,
    Clip,
    Constant,
    Exponential,
    Linear,
    Milestones,
    Piecewise,
    Product,
    Quotient,
    Schedule,
    Sum,
)
from traincast.curriculum.statistics import Episode

if TYPE_CHECKING:
    from traincast.curriculum.performance import PerformanceCurriculum
    from traincast.curriculum.pooled import PooledCurriculum
    from traincast.curriculum.progress import ProgressCurriculum
    from traincast.curriculum.sampler import TaskSampler
    from traincast.curriculum.task import TaskCurriculum

__all__ = [
    "Apply",
    "Chain",
    "Clip",
    "Constant",
    "Episode",
    "Exponential",
    "Linear",
    "Milestones",
    "PerformanceCurriculum",
    "PerformanceLevel",
    "Piecewise",
    "PooledCurriculum",
    "Product",
    "ProgressCurriculum",
    "Quotient",
    "Schedule",
    "Sum",
    "TaskCurriculum",
    "TaskSampler",
]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "performance": ["PerformanceCurriculum"],
        "pooled": ["PooledCurriculum"],
        "progress": ["ProgressCurriculum"],
        "sampler": ["TaskSampler"],
        "task": ["TaskCurriculum"],
    },
)


def __dir__() -> list[str]:
    return __all__
