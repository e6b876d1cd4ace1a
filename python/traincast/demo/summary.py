"""One arm of the experiment in a few numbers over its seeds, at any time of the training."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from traincast.demo.learner import Learner
from traincast.demo.record import mean
from traincast.demo.settings import ARMS, CURRICULUM, Settings

__all__ = ["Summary", "Window", "summarize"]

Window = int | None
"""The number of latest resets of each run from which the age of information is computed; None: all."""


@dataclass(frozen=True)
class Summary:
    """One arm."""

    arm: str
    steps: int
    """Env steps that a run has trained so far, mean over the seeds."""
    total: int
    """Env steps that each run gets."""
    level: float
    """How far the curriculum is, 0...1: 1 minus the head start. Without the curriculum 1: the task itself."""
    training_return: float
    """Mean return of the latest training episodes, 0...1, from wherever they start."""
    success: float
    """The share of the latest evaluations that reached the goal, 0...1, mean over the seeds."""
    success_by_seed: tuple[float, ...]
    info_age: float
    """Median age of the training information at a reset, in seconds."""
    info_age_99: float
    """99 of 100 resets had information no older than this, in seconds."""
    resets: int


def summarize(learners: Sequence[Learner], settings: Settings, window: Window = None) -> list[Summary]:
    """Return the summary of each arm, in the order of `ARMS`."""
    return [_summarize(arm, [x for x in learners if x.run.arm == arm], settings, window) for arm in ARMS]


def _summarize(arm: str, learners: Sequence[Learner], settings: Settings, window: Window) -> Summary:
    ages = [age for x in learners for age in x.record.info_ages[-(window or 0) :]]
    hundredths = statistics.quantiles(ages, n=100) if len(ages) > 1 else [0.0] * 99
    return Summary(
        arm=arm,
        steps=round(mean([x.steps for x in learners])),
        total=settings.steps,
        level=mean([1 - settings.head_start(x.steps) for x in learners]) if arm == CURRICULUM else 1.0,
        training_return=mean([x.record.training_return for x in learners]),
        success=mean([x.record.success for x in learners]),
        success_by_seed=tuple(x.record.success for x in learners),
        info_age=hundredths[49],
        info_age_99=hundredths[98],
        resets=sum(len(x.record.info_ages) for x in learners),
    )
