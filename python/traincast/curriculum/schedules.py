"""Schedules: values that follow the number of training steps.

A schedule is a small immutable object that is called with the steps and returns a value. It can be pickled,
compared and printed. It has no state: the same steps give the same value in every env, and after a resume.

    >>> Linear(0.0, 1.0, duration=1000)(250)
    0.25
    >>> (2 * Linear(0.0, 1.0, duration=1000) + 1)(500)
    2.0
    >>> (1 - Linear(0.0, 1.0, duration=1000) / 2)(500)
    0.75
    >>> Milestones("walls", ((1_000, "doors"), (5_000, "keys")))(1_200)
    'doors'
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, Generic, TypeVar

__all__ = [
    "Apply",
    "Chain",
    "Clip",
    "Constant",
    "Exponential",
    "Linear",
    "Milestones",
    "Piecewise",
    "Product",
    "Quotient",
    "Schedule",
    "Sum",
]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Schedule(ABC, Generic[V_co]):
    """A value that depends on the steps trained so far.

    Schedules of numbers can be added, subtracted, multiplied, divided and negated, with each other and with
    numbers.
    """

    __array_ufunc__ = None  # makes numpy scalars leave `scalar * schedule` to the schedule

    @abstractmethod
    def __call__(self, steps: float, /) -> V_co:
        """Return the value at `steps` env steps."""

    def __add__(self: Schedule[float], other: Schedule[float] | float) -> Sum:
        return Sum((self, _schedule(other))) if _is_operand(other) else NotImplemented

    def __sub__(self: Schedule[float], other: Schedule[float] | float) -> Sum:
        return Sum((self, -_schedule(other))) if _is_operand(other) else NotImplemented

    def __rsub__(self: Schedule[float], other: float) -> Sum:
        return Sum((_schedule(other), -self)) if _is_operand(other) else NotImplemented

    def __mul__(self: Schedule[float], other: Schedule[float] | float) -> Product:
        return Product((self, _schedule(other))) if _is_operand(other) else NotImplemented

    def __truediv__(self: Schedule[float], other: Schedule[float] | float) -> Quotient:
        return Quotient(self, _schedule(other)) if _is_operand(other) else NotImplemented

    def __rtruediv__(self: Schedule[float], other: float) -> Quotient:
        return Quotient(_schedule(other), self) if _is_operand(other) else NotImplemented

    def __neg__(self: Schedule[float]) -> Schedule[float]:
        return Constant(-self.value) if isinstance(self, Constant) else Product((Constant(-1), self))

    __radd__ = __add__
    __rmul__ = __mul__


@dataclass(frozen=True)
class Constant(Schedule[V]):
    """The same value, of any type, at all steps."""

    value: V

    def __call__(self, steps: float, /) -> V:
        """Return `value`."""
        return self.value


@dataclass(frozen=True)
class Linear(Schedule[float]):
    """From `start` to `end` on a straight line, in `duration` steps from step `begin` on.

    Constant before and after.
    """

    start: float
    end: float
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        _check_finite(start=self.start, end=self.end, begin=self.begin)
        _check_duration(self.duration)

    def __call__(self, steps: float, /) -> float:
        """Return the value at `steps`, never outside of `start`...`end`."""
        return _interpolate(self.start, self.end, _fraction(steps, self.begin, self.duration))


@dataclass(frozen=True)
class Exponential(Schedule[float]):
    """From `start` to `end` by a constant factor per step, in `duration` steps from step `begin` on.

    Constant before and after. `start` and `end` must have the same sign, and not be zero.
    """

    start: float
    end: float
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        _check_finite(start=self.start, end=self.end, begin=self.begin)
        _check_duration(self.duration)
        if self.start == 0 or self.end == 0 or (self.start < 0) != (self.end < 0):
            raise ValueError(
                f"an exponential schedule cannot go from {self.start} to {self.end}: it needs two "
                "values of the same sign, neither of them zero"
            )

    def __call__(self, steps: float, /) -> float:
        """Return the value at `steps`, never outside of `start`...`end`."""
        fraction = _fraction(steps, self.begin, self.duration)
        log_start, log_end = math.log(abs(self.start)), math.log(abs(self.end))
        value = math.copysign(math.exp(_interpolate(log_start, log_end, fraction)), self.start)
        return _exact_ends(value, self.start, self.end, fraction)


@dataclass(frozen=True)
class Piecewise(Schedule[float]):
    """Straight lines between the points `((steps, value), ...)`; constant outside of them."""

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _check_points(self.points))
        _check_finite(**{f"points[{i}][1]": value for i, (_, value) in enumerate(self.points)})

    def __call__(self, steps: float, /) -> float:
        """Return the value at `steps`."""
        following = bisect_right(self.points, steps, key=_first)
        if following == 0:
            return self.points[0][1]
        if following == len(self.points):
            return self.points[-1][1]
        (begin, start), (stop, end) = self.points[following - 1 : following + 1]
        return _interpolate(start, end, _fraction(steps, begin, stop - begin))


@dataclass(frozen=True)
class Milestones(Schedule[V]):
    """`initial` until the first of `((steps, value), ...)`; from each milestone on, its value.

    Values may be of any type.
    """

    initial: V
    milestones: tuple[tuple[float, V], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", _check_points(self.milestones))

    def __call__(self, steps: float, /) -> V:
        """Return the value of the last milestone that is not after `steps`."""
        passed = bisect_right(self.milestones, steps, key=_first)
        return self.milestones[passed - 1][1] if passed else self.initial


@dataclass(frozen=True)
class Chain(Schedule[V]):
    """One schedule after another: `((schedule, duration), ...)`, and then `last` forever.

    Each schedule counts its steps from where it begins.
    """

    parts: tuple[tuple[Schedule[V], float], ...]
    last: Schedule[V]

    def __post_init__(self) -> None:
        parts = tuple((schedule, duration) for schedule, duration in self.parts)
        object.__setattr__(self, "parts", parts)
        for _, duration in parts:
            _check_duration(duration)

    def __call__(self, steps: float, /) -> V:
        """Return the value of the schedule that applies at `steps`."""
        begin = 0.0
        for schedule, duration in self.parts:
            if steps < begin + duration:
                return schedule(steps - begin)
            begin += duration
        return self.last(steps - begin)


@dataclass(frozen=True)
class Sum(Schedule[float]):
    """The sum of schedules; `a + b` makes one, and `a - b`."""

    schedules: tuple[Schedule[float], ...]

    def __call__(self, steps: float, /) -> float:
        """Return the sum at `steps`."""
        return sum(schedule(steps) for schedule in self.schedules)


@dataclass(frozen=True)
class Product(Schedule[float]):
    """The product of schedules; `a * b` makes one, and `-a`."""

    schedules: tuple[Schedule[float], ...]

    def __call__(self, steps: float, /) -> float:
        """Return the product at `steps`."""
        return math.prod(schedule(steps) for schedule in self.schedules)


@dataclass(frozen=True)
class Quotient(Schedule[float]):
    """A schedule divided by another; `a / b` makes one.

    Raises ZeroDivisionError when it is called at steps where the divisor is zero; when it is made, if the
    divisor is the constant zero. `Clip` keeps a divisor away from zero.
    """

    dividend: Schedule[float]
    divisor: Schedule[float]

    def __post_init__(self) -> None:
        if isinstance(self.divisor, Constant) and _has_zero(self.divisor.value):
            raise ZeroDivisionError(f"{self.dividend} cannot be divided by {self.divisor.value}")

    def __call__(self, steps: float, /) -> float:
        """Return the quotient at `steps`."""
        divisor = self.divisor(steps)
        if _has_zero(divisor):
            raise ZeroDivisionError(
                f"{self.divisor} is zero at {steps} steps, and {self.dividend} is divided by it"
            )
        return self.dividend(steps) / divisor


@dataclass(frozen=True)
class Clip(Schedule[float]):
    """A schedule kept between `low` and `high`; infinities leave a side open."""

    schedule: Schedule[float]
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")

    def __call__(self, steps: float, /) -> float:
        """Return the schedule's value at `steps`, or the bound that it exceeds."""
        return min(max(self.schedule(steps), self.low), self.high)


@dataclass(frozen=True)
class Apply(Schedule[V]):
    """A function of a schedule's value: `Apply(round, Linear(1, 10, 1_000_000))` gives integers.

    For pickling, the function must be importable, so not a lambda.
    """

    function: Callable[[Any], V]
    schedule: Schedule[Any]

    def __call__(self, steps: float, /) -> V:
        """Return the function of the schedule's value at `steps`."""
        return self.function(self.schedule(steps))


def _is_operand(value: object) -> bool:
    return isinstance(value, Schedule | Real) or hasattr(value, "__array__")


def _schedule(value: Schedule[float] | float) -> Schedule[float]:
    return value if isinstance(value, Schedule) else Constant(value)


def _has_zero(value: Any) -> bool:
    is_zero = value == 0
    return bool(is_zero.any()) if hasattr(is_zero, "any") else bool(is_zero)  # numpy would only warn


def _first(point: tuple[float, Any]) -> float:
    return point[0]


def _fraction(steps: float, begin: float, duration: float) -> float:
    return min(max((steps - begin) / duration, 0.0), 1.0)


def _interpolate(start: float, end: float, fraction: float) -> float:
    return _exact_ends(start + (end - start) * fraction, start, end, fraction)


def _exact_ends(value: float, start: float, end: float, fraction: float) -> float:
    """Correct rounding that leaves the interval or misses its ends."""
    if fraction == 0:
        return start
    if fraction == 1:
        return end
    return min(max(value, min(start, end)), max(start, end))


def _check_finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, not {value}")


def _check_duration(duration: float) -> None:
    if not 0 < duration < math.inf:
        raise ValueError(f"a duration must be a positive number of steps, not {duration}")


def _check_points(points: Any) -> tuple[tuple[float, Any], ...]:
    try:
        checked = tuple((float(steps), value) for steps, value in points)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a schedule takes ((steps, value), ...), not {points!r}") from error
    if not checked:
        raise ValueError("a schedule needs at least one (steps, value)")
    _check_finite(**{f"points[{i}][0]": steps for i, (steps, _) in enumerate(checked)})
    for (before, _), (after, _) in pairwise(checked):
        if not before < after:
            raise ValueError(f"steps must increase: {after} comes after {before}")
    return checked
