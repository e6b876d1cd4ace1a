"""Medians, quartiles and ratios, and how they are written for people."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and quartiles, in the unit of the samples."""

    median: float
    q1: float
    q3: float
    count: int


def spread(samples: Sequence[float]) -> Spread:
    ordered = sorted(samples)
    if len(ordered) == 1:
        q1 = q3 = ordered[0]
    else:
        q1, _, q3 = statistics.quantiles(ordered, n=4, method="inclusive")
    return Spread(statistics.median(ordered), q1, q3, len(ordered))


def ratios(samples: Sequence[float], base: Sequence[float]) -> Spread:
    """`samples` relative to `base`, round by round."""
    return spread([a / b for a, b in zip(samples, base, strict=True)])


def time(nanoseconds: float, digits: str = ".3g") -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:{digits}} {unit}"
    return f"{nanoseconds:{digits}} ns"


def ns(samples: Sequence[float]) -> str:
    """The median of nanoseconds."""
    return time(statistics.median(samples))


def times(value: float) -> str:
    """A factor."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def size(octets: float) -> str:
    for unit, whole in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets >= whole and octets % whole == 0:
            return f"{octets / whole:g} {unit}"
    if octets >= 1000:
        return f"{octets / 1000:g} KB"
    return f"{octets:g} B"
