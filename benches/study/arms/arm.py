"""What an arm is: a way in which the level gets from the learner to the envs, and their results back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from benches.study.shared import Shared

__all__ = ["ENVS", "WORKERS", "Arm", "Setting", "Source"]

WORKERS, ENVS = 8, 8
"""Worker processes, and envs in each."""


@dataclass(frozen=True)
class Setting:
    """The training for which an arm is made."""

    levels: int
    gate: int
    """The number of greedy episodes that the gate averages."""
    shared: Shared
    workers: int = WORKERS
    envs: int = ENVS


class Source(ABC):
    """The worker's end. `now` is the clock: env steps of all workers."""

    @abstractmethod
    def level(self, env: int, now: int) -> int:
        """Return the level for an env that resets."""

    def record(self, env: int, level: int, success: bool, now: int) -> None:  # noqa: B027 - some need none
        """A greedy episode has ended."""

    def practised(self, env: int, level: int) -> None:  # noqa: B027 - most need none
        """An episode that explores has ended."""

    def between(self, now: int) -> None:  # noqa: B027 - most need none
        """The worker is between two turns of its envs."""


class Arm(ABC):
    """The learner's end. It is made before the workers are forked, and gives each one its source."""

    one_level = True
    """Whether there is one level for all envs, which an env can be behind."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.promotions: list[int] = []
        """The clock, in env steps, at each promotion."""

    def started(self) -> None:  # noqa: B027 - most need none
        """All workers have been forked: threads may begin."""

    @abstractmethod
    def update(self, now: int) -> None:
        """Act on the results that have come in, and tell the envs."""

    @abstractmethod
    def source(self, worker: int) -> Source:
        """Return a worker's end, which is made in its process."""

    def close(self) -> None:  # noqa: B027 - most need none
        """The training has ended."""
