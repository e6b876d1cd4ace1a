"""The slope test objects to leaks, and to nothing else."""

from __future__ import annotations

import random

import pytest

from tests.soak.judging import LIMITS, judge, slope

TIMES = [float(second) for second in range(45)]
OWN = LIMITS["own memory"]


def noise(size: float) -> list[float]:
    chance = random.Random(3)
    return [30_000 + chance.gauss(0, size) for _ in TIMES]


def test_slope_of_a_line_with_outliers() -> None:
    values = [3 * time + 7 for time in TIMES]
    values[5], values[30] = 1e9, -1e9
    assert slope(TIMES, values) == pytest.approx(3)


def test_allocator_noise_is_flat() -> None:
    assert judge("", TIMES, noise(300), OWN).flat


def test_one_step_within_the_limit_is_flat() -> None:
    assert judge("", TIMES, [30_000 + 1024 * (time > 20) for time in TIMES], OWN).flat


@pytest.mark.parametrize("bytes_per_publish", [60, 100])
def test_memory_kept_by_each_publish_is_seen_through_noise(bytes_per_publish: int) -> None:
    leak = [value + time * bytes_per_publish for time, value in zip(TIMES, noise(100), strict=True)]
    assert not judge("", TIMES, leak, OWN).flat


def test_memory_that_is_given_back_is_flat() -> None:
    assert judge("", TIMES, [60_000 - 500 * time for time in TIMES], OWN).flat


def test_counts_must_not_move() -> None:
    assert judge("", TIMES, [4] * len(TIMES)).flat
    assert judge("", TIMES, [4 + (time == 17) for time in TIMES]).flat
    assert not judge("", TIMES, [4 + time // 10 for time in TIMES]).flat
    assert not judge("", TIMES, [4 + time // 23 for time in TIMES]).flat
    assert not judge("", TIMES, [9 - time // 10 for time in TIMES]).flat
