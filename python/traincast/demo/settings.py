"""The numbers of the experiment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from traincast.curriculum import Linear

__all__ = ["ARMS", "BASELINE", "CURRICULUM", "Run", "Settings"]

CURRICULUM = "curriculum"
BASELINE = "baseline"
ARMS = (CURRICULUM, BASELINE)


@dataclass(frozen=True)
class Run:
    """One training: an arm of the experiment and a seed. It has a channel of its own."""

    arm: str
    channel: str
    policy_id: int


@dataclass(frozen=True)
class Settings:
    """What is trained, and for how long. The two arms differ only in the curriculum."""

    workers: int = 8
    """Worker processes; each plays one env of every run in turn."""
    seeds: int = 5
    """Trainings per arm."""
    steps: int = 120_000
    """Env steps that each training learns from."""
    seed: int = 0
    """The seed of all random numbers. The order in which episodes arrive stays random."""
    name: str = field(default_factory=lambda: f"demo-{os.getpid()}")
    """The names of the channels begin with it."""

    @property
    def runs(self) -> list[Run]:
        """All trainings: for each seed one with the curriculum and one without."""
        return [Run(arm, f"{self.name}-{arm}", index) for index in range(self.seeds) for arm in ARMS]

    @property
    def head_start(self) -> Linear:
        """The curriculum: the speed that the car starts with, as a share of its greatest speed.

        It reaches 0 after 60 % of the steps; from there on both arms train on the same task.
        """
        return Linear(1.0, 0.0, duration=0.6 * self.steps)

    @property
    def exploration(self) -> Linear:
        """The probability of a random action."""
        return Linear(0.1, 0.0, duration=self.steps)

    @property
    def step_size(self) -> Linear:
        """How far the value of a state and action moves towards its target."""
        return Linear(0.35, 0.02, duration=self.steps)
