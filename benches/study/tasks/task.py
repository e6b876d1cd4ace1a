"""The interface of a task for the tabular learner."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

__all__ = ["Task"]


class Task(ABC):
    """An env whose states are numbers, with levels: at the last one it is the real task.

    Each instance is one env; a copy is another one of the same kind.
    """

    states: int
    actions: int
    levels: int
    budget: int
    """Env steps after which a training counts as not solved."""
    check_every: int
    """Env steps between two checks whether the task is solved."""
    step_size: float = 0.5
    discount: float = 0.99
    exploration: float = 0.1

    @abstractmethod
    def reset(self, level: int, rng: random.Random) -> int:
        """Begin an episode at a level; returns the state."""

    @abstractmethod
    def step(self, action: int) -> tuple[int, bool, bool, bool]:
        """Returns the state, whether the episode ended, whether it terminated, and whether it succeeded."""

    @abstractmethod
    def starts(self) -> Sequence[Any]:
        """The states in which the real task may begin."""

    @abstractmethod
    def begin_at(self, start: Any) -> int:
        """Begin an episode of the real task at one of them; returns the state."""

    @abstractmethod
    def copy(self) -> Task:
        """Another env of the same kind."""
