"""What a publish and a read cost grows with the leaves, and no faster."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snapshots import info

import traincast

FEW, TIMES = 10_000, 16
STRUCTURES: dict[str, Callable[[int], dict[str, Any]]] = {
    "numbers": lambda n: info(**{f"k{i}": float(i) for i in range(n)}),
    "strings in a dictionary": lambda n: info(**{f"k{i}": "ab" for i in range(n)}),
    "strings in a list": lambda n: info(x=["ab"] * n),
    "lists in a list": lambda n: info(x=[[1]] * n),
    "dictionaries in a list": lambda n: info(x=[{"a": 1.0}] * n),
    "tuples in a dictionary": lambda n: info(**{f"k{i}": (i, "ab") for i in range(n)}),
}


def costs(name: str, make: Callable[[int], dict[str, Any]], leaves: int) -> tuple[float, float]:
    """Seconds to publish and to read a structure that is known; its keys are made anew each time."""
    publishing, reading = [], []
    with traincast.TrainingInfoWriter(name, max_capacity=1 << 28) as writer:
        for _ in range(3):  # a structure is known once it was met again
            writer.publish(make(leaves))
        with traincast.TrainingInfoReader(name) as reader:
            reader.read()
            for _ in range(5):
                made = make(leaves)
                start = time.perf_counter()
                writer.publish(made)
                between = time.perf_counter()
                reader.read()
                reading.append(time.perf_counter() - between)
                publishing.append(between - start)
    return min(publishing), min(reading)


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """It looks at all containers again and again while more are made."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_cost_is_linear(channel_name: str, make: Callable[[int], dict[str, Any]]) -> None:
    few = costs(f"{channel_name}-few", make, FEW)
    many = costs(f"{channel_name}-many", make, FEW * TIMES)
    # Caches do not hold the larger one; but a quadratic part shows as TIMES times as much again.
    assert many[0] / few[0] < TIMES * 4
    assert many[1] / few[1] < TIMES * 4


def test_an_unknown_structure_costs_what_it_has_itself(channel_name: str) -> None:
    """And nothing for the large one that is known and expected meanwhile."""

    def cost(name: str, leaves: int) -> float:
        with traincast.TrainingInfoWriter(name, max_capacity=1 << 28) as writer:
            for _ in range(3):
                writer.publish(info(**{f"k{i}": float(i) for i in range(leaves)}))
            took = []
            for step in range(64):
                unknown = info(**{f"unknown_{step}": 1.0})
                start = time.perf_counter()
                writer.publish(unknown)
                took.append(time.perf_counter() - start)
            return sorted(took)[len(took) // 2]

    # A word for each leaf of the large one would take a hundred times as long.
    assert cost(f"{channel_name}-large", FEW * TIMES) < 10 * cost(f"{channel_name}-small", 1)
