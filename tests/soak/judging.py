"""Is a series flat?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# How much of each may be gained between the warm-up and the end. Memory: CPython's allocator takes arenas of
# 1 MiB, and may want one more at any time; two are a trend. 2 MiB are 93 bytes for each publish of a test of
# half a minute, and 1.2 for each of half an hour. Anonymous mappings are an allocator's affair, too. What has
# no limit here must be at the end what it was at the start.
LIMITS = {"memory": 2048, "own memory": 2048, "memory of channels": 512, "mappings": 8}


@dataclass(frozen=True)
class Verdict:
    """What was found of one series."""

    series: str
    start: float  # median of the first third after the warm-up
    end: float  # median of the last third
    growth: float  # the Theil-Sen slope, over the time from the warm-up to the end
    limit: float

    @property
    def flat(self) -> bool:
        if self.limit:
            return self.growth <= self.limit and self.end - self.start <= self.limit
        return abs(self.growth) < 0.5 and self.start == self.end


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil-Sen: the median of the slopes of all pairs, which no few outliers and no single step decide."""
    x, y = np.asarray(times, float), np.asarray(values, float)
    one, other = np.triu_indices(len(x), 1)
    return float(np.median((y[other] - y[one]) / (x[other] - x[one])))


def judge(series: str, times: Sequence[float], values: Sequence[float], limit: float = 0) -> Verdict:
    assert len(times) == len(values) >= 6, "too few samples for a slope"
    third = len(values) // 3
    return Verdict(
        series,
        float(np.median(values[:third])),
        float(np.median(values[-third:])),
        slope(times, values) * (times[-1] - times[0]),
        limit,
    )


def verdicts(found: dict[str, Any]) -> Iterator[Verdict]:
    """One for each series of what `running.run` has returned."""
    warm_up = found["parameters"]["warm up"]
    cold = sum(time < warm_up for time in found["times"])
    for who, measured in found["series"].items():
        for what, values in measured.items():
            yield judge(f"{who}: {what}", found["times"][cold:], values[cold:], LIMITS.get(what, 0))


def not_flat(found: dict[str, Any]) -> list[Verdict]:
    return [verdict for verdict in verdicts(found) if not verdict.flat]
