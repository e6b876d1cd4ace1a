"""Schedules: values, bounds, monotonicity, composition, and that they are plain values themselves."""

from __future__ import annotations

import doctest
import math
import operator
import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import traincast.curriculum.schedules
from traincast.curriculum import (
    Apply,
    Chain,
    Clip,
    Constant,
    Exponential,
    Linear,
    Milestones,
    Piecewise,
    Product,
    Quotient,
    Schedule,
    Sum,
)

values = st.floats(-1e9, 1e9)
positive = st.floats(1e-9, 1e9)
durations = st.floats(1e-3, 1e12)
steps = st.one_of(st.integers(-10, 10**13), st.floats(-1e3, 1e13))
several_steps = st.lists(steps, min_size=2, max_size=20).map(sorted)


def test_the_examples_in_the_documentation():
    assert doctest.testmod(traincast.curriculum.schedules).attempted > 0
    assert doctest.testmod(traincast.curriculum.schedules).failed == 0


def test_constant():
    assert Constant("maze")(0) == Constant("maze")(10**12) == "maze"


def test_linear():
    schedule = Linear(10.0, 20.0, duration=100, begin=50)
    assert [schedule(at) for at in (0, 50, 75, 100, 150, 10**9)] == [10, 10, 12.5, 15, 20, 20]


def test_linear_downwards():
    assert [Linear(1.0, 0.0, 10)(at) for at in (0, 5, 10, 11)] == [1, 0.5, 0, 0]


def test_exponential():
    schedule = Exponential(1.0, 0.01, duration=100)
    assert schedule(50) == pytest.approx(0.1)
    assert (schedule(-1), schedule(0), schedule(100), schedule(101)) == (1.0, 1.0, 0.01, 0.01)
    assert Exponential(-1.0, -100.0, 2)(1) == pytest.approx(-10)


def test_exponential_has_a_constant_factor_per_step():
    schedule = Exponential(3.0, 700.0, duration=9)
    factors = [schedule(at + 1) / schedule(at) for at in range(9)]
    assert factors == pytest.approx([factors[0]] * 9)


def test_piecewise():
    schedule = Piecewise(((10, 1.0), (20, 2.0), (40, 0.0)))
    assert [schedule(at) for at in (0, 10, 15, 20, 30, 40, 99)] == [1, 1, 1.5, 2, 1, 0, 0]
    assert Piecewise([(5, 3.0)])(0) == Piecewise([(5, 3.0)])(9) == 3.0


def test_milestones():
    schedule = Milestones("walls", ((10, "doors"), (20, "keys")))
    assert [schedule(at) for at in (-1, 0, 9.99, 10, 19, 20, 99)] == [
        "walls",
        "walls",
        "walls",
        "doors",
        "doors",
        "keys",
        "keys",
    ]


def test_chain_gives_each_part_a_clock_of_its_own():
    schedule = Chain([(Linear(0.0, 1.0, 10), 20), (Linear(5.0, 6.0, 10), 10)], Linear(1.0, 0.0, 10))
    assert [schedule(at) for at in (0, 5, 10, 19, 20, 25, 30, 35, 40)] == [0, 0.5, 1, 1, 5, 5.5, 1, 0.5, 0]


def test_chains_nest():
    inner = Chain([(Constant("a"), 1)], Constant("b"))
    schedule = Chain([(inner, 2)], inner)
    assert [schedule(at) for at in range(5)] == ["a", "b", "a", "b", "b"]


def test_sums_and_products():
    rising, falling = Linear(0.0, 1.0, 10), Linear(1.0, 0.0, 10)
    assert (rising + falling)(3) == 1.0
    assert (rising * falling)(5) == 0.25
    assert (2 * rising + 1)(5) == (1 + rising * 2)(5) == 2.0
    assert sum([rising, falling])(4) == 1.0
    assert type(rising + 1) is Sum
    assert type(rising * 2) is Product


def test_differences_quotients_and_negatives():
    rising, falling = Linear(0.0, 1.0, 10), Linear(1.0, 0.0, 10)
    assert [(rising - falling)(at) for at in (0, 5, 10)] == [-1, 0, 1]
    assert [(1 - rising)(at) for at in (0, 5, 10)] == [1, 0.5, 0]
    assert [(rising - 1)(at) for at in (0, 5, 10)] == [-1, -0.5, 0]
    assert [(-rising)(at) for at in (0, 5, 10)] == [0, -0.5, -1]
    assert [(rising / 2)(at) for at in (0, 5, 10)] == [0, 0.25, 0.5]
    assert [(1 / (rising + 1))(at) for at in (0, 10)] == [1, 0.5]
    assert (rising / (falling + 1))(5) == 0.5 / 1.5
    assert -Constant(3) == Constant(-3)
    assert type((Constant(5) - 2)(0)) is int
    assert type(rising / 2) is Quotient


@given(values, values, steps)
def test_arithmetic_of_schedules_is_that_of_their_values(a, b, at):
    first, second = Linear(a, b, 1e6), Linear(b, a, 1e6)
    x, y = first(at), second(at)
    assert (first + second)(at) == x + y
    assert (first - second)(at) == x - y
    assert (first * second)(at) == x * y
    assert (a - second)(at) == a - y
    assert (first - b)(at) == x - b
    assert (-first)(at) == -x
    if y:
        assert (first / second)(at) == x / y
        assert (a / second)(at) == a / y


def test_division_by_zero_is_an_error_that_says_where():
    rising = Linear(0.0, 1.0, 10)
    quotient = 1 / rising
    assert quotient(10) == 1
    with pytest.raises(ZeroDivisionError, match=r"Linear\(start=0.0.*\) is zero at -3 steps"):
        quotient(-3)
    assert (1 / Clip(rising, low=0.1))(0) == 10
    for nothing in (0, 0.0, np.float32(0), Constant(0)):
        with pytest.raises(ZeroDivisionError, match="cannot be divided by 0"):
            rising / nothing
    with pytest.raises(ZeroDivisionError, match="is zero at 0 steps"):
        (Constant(np.float64(1)) / Apply(np.float64, rising))(0)  # numpy itself would only warn


@pytest.mark.parametrize("number", [np.float64(4), np.float32(4), np.int64(4), Fraction(4)])
def test_numbers_of_other_kinds_stand_on_either_side(number):
    rising = Linear(0.0, 1.0, 10)
    assert [(number * rising)(5), (rising * number)(5)] == [2, 2]
    assert [(number + rising)(5), (rising + number)(5)] == [4.5, 4.5]
    assert [(number - rising)(5), (rising - number)(5)] == [3.5, -3.5]
    assert [(number / rising)(5), (rising / number)(5)] == [8, 0.125]


def test_arrays_stand_on_either_side():
    vector = np.array([1.0, 2.0])
    rising = Linear(0.0, 1.0, 10)
    assert (vector * rising)(5).tolist() == (rising * vector)(5).tolist() == [0.5, 1.0]
    assert (vector - rising)(5).tolist() == [0.5, 1.5]
    assert (rising / vector)(5).tolist() == [0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        rising / np.array([1.0, 0.0])


@pytest.mark.parametrize("other", ["1", None, [1.0], abs, lambda steps: steps])
@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_arithmetic_with_anything_else_is_refused_when_it_is_written(operation, other):
    for operands in ((Linear(0.0, 1.0, 10), other), (other, Linear(0.0, 1.0, 10))):
        with pytest.raises(TypeError):
            operation(*operands)


def test_clip():
    schedule = Clip(Linear(0.0, 10.0, 10), 2.0, 8.0)
    assert [schedule(at) for at in (0, 5, 10)] == [2, 5, 8]
    assert Clip(Linear(0.0, 10.0, 10), high=3.0)(9) == 3.0
    assert Clip(Linear(0.0, 10.0, 10), low=3.0)(9) == 9.0


def test_apply_makes_other_types():
    schedule = Apply(round, Linear(1.0, 4.0, 30))
    assert [schedule(at) for at in (0, 10, 30)] == [1, 2, 4]
    assert type(schedule(10)) is int
    assert Apply(math.sqrt, Constant(9.0))(0) == 3.0


def test_a_schedule_of_ones_own():
    class Wave(Schedule[float]):
        def __call__(self, steps, /):
            return math.sin(steps)

    assert (Wave() + 1)(0) == 1.0
    with pytest.raises(TypeError, match="abstract"):
        Schedule()


ALL = [
    Constant((1, "x")),
    Linear(0.0, 1.0, 10, begin=3),
    Exponential(1.0, 0.1, 10, begin=3),
    Piecewise(((0, 0.0), (10, 1.0))),
    Milestones(0, ((10, 1),)),
    Chain(((Constant(1.0), 10),), Linear(1.0, 0.0, 10)),
    Linear(0.0, 1.0, 10) + 1,
    Linear(0.0, 1.0, 10) * Constant(2.0),
    1 - Linear(0.0, 1.0, 10),
    Linear(0.0, 1.0, 10) - Linear(1.0, 0.0, 7),
    -Linear(0.0, 1.0, 10),
    Linear(0.0, 1.0, 10) / 3,
    1 / Linear(1.0, 2.0, 10),
    Clip(Linear(0.0, 1.0, 10), 0.2, 0.8),
    Apply(round, Linear(0.0, 9.0, 10)),
]


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: type(schedule).__name__)
def test_schedules_are_values(schedule):
    twin = pickle.loads(pickle.dumps(schedule))
    assert twin == schedule
    assert hash(twin) == hash(schedule)
    assert [twin(at) for at in range(25)] == [schedule(at) for at in range(25)]
    assert type(schedule).__name__ in repr(schedule)
    with pytest.raises(AttributeError):
        schedule.start = 1


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: type(schedule).__name__)
def test_the_same_steps_give_the_same_value_in_any_order(schedule):
    there = [schedule(at) for at in range(25)]
    assert [schedule(at) for at in reversed(range(25))] == there[::-1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(0, 1, 0), "positive number of steps, not 0"),
        (lambda: Linear(0, 1, -5), "not -5"),
        (lambda: Linear(0, 1, math.inf), "not inf"),
        (lambda: Linear(0, math.inf, 5), "end must be finite"),
        (lambda: Linear(math.nan, 1, 5), "start must be finite"),
        (lambda: Linear(0, 1, 5, begin=math.nan), "begin must be finite"),
        (lambda: Exponential(0, 1, 5), "from 0 to 1"),
        (lambda: Exponential(1, 0, 5), "from 1 to 0"),
        (lambda: Exponential(-1, 1, 5), "from -1 to 1"),
        (lambda: Exponential(1, 2, 0), "not 0"),
        (lambda: Piecewise(()), "at least one"),
        (lambda: Piecewise(((1, 1), (1, 2))), "steps must increase: 1.0 comes after 1.0"),
        (lambda: Piecewise(((1, math.nan),)), r"points\[0\]\[1\] must be finite"),
        (lambda: Milestones("a", ()), "at least one"),
        (lambda: Milestones("a", ((2, "b"), (1, "c"))), "1.0 comes after 2.0"),
        (lambda: Milestones("a", ((math.inf, "b"),)), r"points\[0\]\[0\] must be finite"),
        (lambda: Chain(((Constant(1), 0),), Constant(2)), "not 0"),
        (lambda: Clip(Constant(1.0), 2, 1), r"low \(2\) must not be above high \(1\)"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@given(values, values, durations, values, several_steps)
def test_linear_is_monotonic_and_stays_within_its_ends(start, end, duration, begin, at):
    check_way(Linear(start, end, duration, begin), start, end, at)


@given(positive, positive, st.sampled_from([1, -1]), durations, values, several_steps)
def test_exponential_is_monotonic_and_stays_within_its_ends(start, end, sign, duration, begin, at):
    check_way(Exponential(sign * start, sign * end, duration, begin), sign * start, sign * end, at)


@given(values, values, durations, values)
def test_ends_are_exact(start, end, duration, begin):
    assume(begin + duration - begin == duration)
    assert Linear(start, end, duration, begin)(begin) == start
    assert Linear(start, end, duration, begin)(begin + duration) == end
    if start * end > 0:
        assert Exponential(start, end, duration, begin)(begin) == start
        assert Exponential(start, end, duration, begin)(begin + duration) == end


points = st.lists(st.tuples(steps, values), min_size=1, max_size=8, unique_by=lambda point: float(point[0]))


@given(points.map(sorted), steps)
def test_piecewise_passes_through_its_points_and_stays_between_neighbours(points, at):
    schedule = Piecewise(points)
    for step, value in points:
        assert schedule(step) == value
    at = min(max(at, points[0][0]), points[-1][0])
    for (begin, start), (end, stop) in pairwise(points):
        if begin <= at <= end:
            assert min(start, stop) <= schedule(at) <= max(start, stop)


@given(points.map(sorted), several_steps)
def test_milestones_take_the_last_one_passed(points, at):
    schedule = Milestones("before", points)
    for step in at:
        passed = [value for when, value in points if when <= step]
        assert schedule(step) == (passed[-1] if passed else "before")


@given(points.map(sorted), values, values, steps)
def test_clip_keeps_its_bounds(points, low, high, at):
    assume(low <= high)
    assert low <= Clip(Piecewise(points), low, high)(at) <= high


@given(st.lists(st.tuples(values, st.integers(1, 100)), min_size=1, max_size=5), st.integers(0, 600))
def test_chain_runs_its_parts_in_order(parts, at):
    schedule = Chain([(Constant(value), duration) for value, duration in parts], Constant("last"))
    expected = [value for value, duration in parts for _ in range(duration)]
    assert schedule(at) == (expected[at] if at < len(expected) else "last")


def check_way(schedule, start, end, at):
    way = [schedule(step) for step in at]
    assert all(min(start, end) <= value <= max(start, end) for value in way)
    assert way == sorted(way, reverse=end < start)


@pytest.mark.parametrize(
    "points", [{0: 1.0, 5: 2.0}, [0, 1], [(1, 2, 3)], 5], ids=["dict", "flat", "triple", "int"]
)
@pytest.mark.parametrize(
    "make", [Piecewise, lambda points: Milestones(0.0, points)], ids=["Piecewise", "Milestones"]
)
def test_what_are_no_points_is_refused_with_what_they_are(make, points):
    with pytest.raises(TypeError, match=r"a schedule takes \(\(steps, value\), \.\.\.\), not "):
        make(points)
