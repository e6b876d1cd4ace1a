"""Curricula, schedules and functions that another process can import by name."""

from __future__ import annotations

import dataclasses

import gymnasium
from recording_envs import PlainEnv

from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum, Schedule


def make_rising() -> gymnasium.Env:
    """An env that comes with a curriculum; `Rising-v0`."""
    return ProgressCurriculum(PlainEnv(), {"difficulty": 1 - Linear(0.0, 10.0, 100)})


def make_skilled(length: int = 3, info_key: str | None = "curriculum") -> gymnasium.Env:
    """Two curricula, by performance inside and by progress outside; episodes of `length` steps."""
    env = PerformanceCurriculum(
        PlainEnv(length), {"difficulty": range(5)}, promote_at=float(length), window=2, info_key=info_key
    )
    return ProgressCurriculum(env, {"reward": Linear(1.0, 2.0, 100)}, info_key=info_key)


def ten_times(value: float) -> float:
    return 10 * value


@dataclasses.dataclass(frozen=True)
class Steps(Schedule[float]):
    """A schedule of a user's own."""

    size: float

    def __call__(self, steps: float, /) -> float:
        return steps // self.size * self.size


@dataclasses.dataclass(frozen=True)
class Doubling(Steps):
    """One that changes when it is made again from its fields."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 2 * self.size)


@dataclasses.dataclass(frozen=True)
class Forgetful(Schedule[float]):
    """One that needs more than its fields."""

    size: float
    secret: dataclasses.InitVar[int]

    def __call__(self, steps: float, /) -> float:
        return self.size


class Opaque(Schedule[float]):
    """One whose fields nobody knows."""

    def __call__(self, steps: float, /) -> float:
        return 0.0


if "Rising-v0" not in gymnasium.registry:
    gymnasium.register("Rising-v0", entry_point="curricula:make_rising")
