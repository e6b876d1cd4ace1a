"""Curricula: how hard an env is follows the progress of the training, or the performance of its agent.

Two kinds, as Sample Factory's documentation distinguishes them ("Passing Info from RL Algo to Env"), and both
together:

- `ProgressCurriculum` sets env attributes from schedules over the training steps that a learner broadcasts.
- `PerformanceCurriculum` moves the level of one env instance up and down with the agent's results in that
  instance. It needs no learner, and instances differ in their levels, which makes the data more diverse.
  Petrenko et al., "Sample Factory" (2020, arXiv:2006.11751), trained against bots that way. Two thresholds
  over a buffer of results are also what automatic domain randomization uses: Akkaya et al., "Solving Rubik's
  Cube with a Robot Hand" (2019, arXiv:1910.07113).
- `ProgressCurriculum(PerformanceCurriculum(env, ...), {"max_level": schedule})` bounds the one by the other.

The schedules and `PerformanceLevel` are plain Python; the two wrappers load gymnasium when they are first
used.
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
    from traincast.curriculum.progress import ProgressCurriculum

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
    "Product",
    "ProgressCurriculum",
    "Quotient",
    "Schedule",
    "Sum",
]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"performance": ["PerformanceCurriculum"], "progress": ["ProgressCurriculum"]},
)


def __dir__() -> list[str]:
    return __all__
