"""What `ScoreWriter.record` takes: the fast path of usual calls counts the same as the general path."""

from __future__ import annotations

import inspect
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.scores import Scoreboard, ScoreWriter

DEFAULTS: dict[str, Any] = {"success": False, "episode_return": 0.0, "length": 0, "score": None}
GIVEN: dict[str, Any] = {"success": True, "episode_return": 7.5, "length": 40, "score": 0.25}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    directory = tmp_path_factory.mktemp("channels")
    directory.chmod(0o700)
    with traincast.Run("arguments", directory=str(directory)) as run:
        yield Scoreboard(run, tasks=4), ScoreWriter(run)


def counted(board):
    row = board.collect()[3]
    return (
        row["episodes"],
        row["successes"],
        row["return_sum"],
        row["squared_return_sum"],
        row["length_sum"],
        row["last_score"],
    )


def expected(success, episode_return, length, score):
    last = episode_return if score is None else score
    return 1, int(success), float(episode_return), float(episode_return) ** 2, int(length), float(last)


ORDERS = [
    order for count in range(5) for order in itertools.permutations(GIVEN, count)
]  # what callers may name, in each order


@pytest.mark.parametrize("names", ORDERS, ids=lambda names: "-".join(names) or "none")
def test_arguments_may_be_named_in_any_order(scores, names):
    board, writer = scores
    arguments = {name: GIVEN[name] for name in names}
    call = eval(f"lambda record, **a: record(3, {', '.join(f'{name}=a[{name!r}]' for name in names)})")
    for _ in range(3):  # PyO3 parses the arguments of the first call, the fast path those of the others
        assert call(writer.record, **arguments) is True
        assert counted(board) == expected(**DEFAULTS | arguments)


def test_calls_from_two_places_do_not_mix_up_their_names(scores):
    board, writer = scores
    for _ in range(5):
        writer.record(3, length=7, episode_return=2.0)
        assert counted(board) == expected(False, 2.0, 7, None)
        writer.record(3, episode_return=3.0, length=9)
        assert counted(board) == expected(False, 3.0, 9, None)
        writer.record(3, success=True)
        assert counted(board) == expected(True, 0.0, 0, None)


eighths = st.integers(-8000, 8000).map(lambda count: count / 8)  # sums of them and of their squares are exact
numbers = eighths | st.integers(-1000, 1000) | st.booleans()
lengths = st.integers(0, 2**30) | st.booleans()


@given(
    task=st.sampled_from([3, np.int64(3), np.uint8(3)]),
    success=st.sampled_from([True, False, np.True_, np.False_, np.array(True), np.array([False])]),
    episode_return=numbers | numbers.map(np.float64) | eighths.map(np.float32),
    length=lengths | st.integers(0, 2**30).map(np.int64),
    score=st.none() | numbers,
)
def test_numbers_of_all_types_count_the_same(scores, task, success, episode_return, length, score):
    board, writer = scores
    writer.record(task, success=success, episode_return=episode_return, length=length, score=score)
    assert counted(board) == expected(bool(success), episode_return, length, score)


class Index:
    """An integer of somebody else's type, which records while it is asked for its value."""

    def __init__(self, writer):
        self.writer = writer

    def __index__(self):
        self.writer.record(3, episode_return=1.0)
        return 3


def test_an_argument_that_records_while_it_is_read_counts_both(scores):
    board, writer = scores
    assert writer.record(Index(writer), success=True) is True
    assert counted(board)[:3] == (2, 1, 1.0)


REFUSED = {
    "no task": ((), {}, TypeError),
    "two tasks": ((3, 3), {}, TypeError),
    "a task twice": ((3,), {"task": 3}, TypeError),
    "an unknown name": ((3,), {"reward": 1.0}, TypeError),
    "a task that is not there": ((4,), {"success": True}, ValueError),
    "a negative task": ((-1,), {"success": True}, OverflowError),
    "a task that is a text": (("3",), {"success": True}, TypeError),
    "a return whose square is infinite": ((3,), {"episode_return": -1e160}, ValueError),
    "a huge task": ((2**70,), {"success": True}, OverflowError),
    "a success that is a number": ((3,), {"success": 1}, TypeError),
    "a success that is an array of numbers": ((3,), {"success": np.array(1)}, TypeError),
    "a success that is many": ((3,), {"success": np.array([True, False])}, ValueError),
    "a return that is nan": ((3,), {"episode_return": math.nan}, ValueError),
    "a return that is a text": ((3,), {"episode_return": "1"}, TypeError),
    "a negative length": ((3,), {"length": -1}, OverflowError),
    "a length with a fraction": ((3,), {"length": 1.5}, TypeError),
    "an infinite score": ((3,), {"score": math.inf}, ValueError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_counts_nothing_and_the_next_call_works(scores, case):
    board, writer = scores
    arguments, named, error = REFUSED[case]
    for _ in range(3):
        with pytest.raises(error):
            writer.record(*arguments, **named)
        assert counted(board)[0] == 0
        writer.record(3, success=True, episode_return=2.0, length=4)
        assert counted(board) == expected(True, 2.0, 4, None)


def test_the_task_may_be_named(scores):
    board, writer = scores
    for _ in range(3):
        writer.record(task=3, length=2)
        assert counted(board) == expected(False, 0.0, 2, None)


def test_the_signature_shows_all_arguments():
    assert str(inspect.signature(ScoreWriter.record)) == (
        "(self, /, task, *, success=False, episode_return=0.0, length=0, score=None)"
    )
