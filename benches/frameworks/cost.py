"""One row of the table, and timing in turns."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns


@dataclass(frozen=True)
class Cost:
    """The cost of telling `envs` env processes something new in one way."""

    framework: str
    way: str
    envs: int
    blocked_ns: float
    """For how long the learner waits at each publish."""
    reset_ns: float
    """How much longer a reset takes than without it, if there is something new each time."""


def in_turns(ways: dict[str, Callable[[], object]], *, rounds: int, calls: int = 1) -> dict[str, float]:
    """Return the median nanoseconds of a call of each; each round times all of them, in another order."""
    samples: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways.items())
    for _ in range(rounds):
        random.shuffle(order)
        for name, way in order:
            start = perf_counter_ns()
            for _ in range(calls):
                way()
            samples[name].append((perf_counter_ns() - start) / calls)
    return {name: statistics.median(taken) for name, taken in samples.items()}
