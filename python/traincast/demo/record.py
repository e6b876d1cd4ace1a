"""What happened in one run, for the display and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from traincast.demo.worker import Episode

__all__ = ["RECENT_EVALUATIONS", "Evaluation", "Record", "Training", "mean"]

RECENT_EVALUATIONS = 25
"""The number of evaluations over which a success rate is averaged."""
_RECENT_EPISODES = 50


class Evaluation(NamedTuple):
    """An episode from the env's own start."""

    steps: int
    """Steps trained so far."""
    reached: bool


class Training(NamedTuple):
    """An episode that was learned from."""

    steps: int
    """Steps trained so far."""
    head_start: float
    """The push at its start, 0...1."""
    reached: bool


class Record:
    """The episodes of one run."""

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self.trainings: list[Training] = []
        self.info_ages: list[float] = []
        """Age of the training information at each reset, in seconds."""

    def add(self, steps: int, episode: Episode) -> None:
        """Note an episode that arrived when `steps` were trained."""
        if episode.evaluation:
            self.evaluations.append(Evaluation(steps, episode.reached))
        else:
            self.trainings.append(Training(steps, episode.head_start, episode.reached))
        self.info_ages.append(episode.info_age)

    @property
    def success(self) -> float:
        """The share of the latest evaluations that reached the goal, 0...1."""
        return mean([e.reached for e in self.evaluations[-RECENT_EVALUATIONS:]])

    @property
    def training_return(self) -> float:
        """Mean return of the latest training episodes, 0...1, from wherever the curriculum starts them."""
        return mean([e.reached for e in self.trainings[-_RECENT_EPISODES:]])


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 for nothing."""
    return sum(values) / len(values) if values else 0.0
