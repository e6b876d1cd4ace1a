"""Warnings that are said once per process."""

from __future__ import annotations

import threading
import warnings

import pytest

from traincast import TraincastWarning
from traincast._warnings import warn_once


def test_the_first_call_under_a_key_warns_and_later_ones_do_not():
    key = object()
    with pytest.warns(TraincastWarning, match="^first$"):
        assert warn_once(key, "first")
    assert not warn_once(key, "again")
    with pytest.warns(TraincastWarning, match="^other$"):
        assert warn_once((key, "other"), "other")


def test_the_warning_names_the_line_that_called_the_function_that_warns():
    def careless():
        warn_once(object(), "here", stacklevel=2)

    with pytest.warns(TraincastWarning) as said:
        careless()
    assert said[0].filename == __file__
    assert said[0].lineno == careless.__code__.co_firstlineno + 4


def test_one_of_many_threads_warns():
    key, barrier, said = object(), threading.Barrier(8), []

    def race():
        barrier.wait()
        said.append(warn_once(key, "once"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(said) == [False] * 7 + [True]


def test_a_filter_that_makes_errors_of_warnings_leaves_no_lock_behind():
    key = object()
    with pytest.raises(TraincastWarning):  # pytest's filters are set to "error"
        warn_once(key, "raised")
    assert not warn_once(key, "raised")
