"""Warnings that are said once per process."""

from __future__ import annotations

import os
import signal
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


class Interrupting:
    """A key whose comparison is interrupted by a signal."""

    def __hash__(self):
        os.kill(os.getpid(), signal.SIGUSR1)
        return 1


@pytest.mark.timeout(60)
def test_a_signal_handler_that_comes_in_between_may_warn_too():
    before = signal.signal(signal.SIGUSR1, lambda *_: warn_once("of the handler", "inner"))
    try:
        with pytest.warns(TraincastWarning) as said:
            assert warn_once(Interrupting(), "outer")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert {str(warning.message) for warning in said} == {"inner", "outer"}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.timeout(60)
def test_a_child_that_is_forked_while_a_thread_warns_may_warn_too():
    inside, forked = threading.Event(), threading.Event()

    class Slow:
        def __hash__(self):
            inside.set()
            forked.wait()
            return 1

    def warn():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warn_once(Slow(), "slow")

    thread = threading.Thread(target=warn)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a watchdog: ends it by a signal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os._exit(0 if warn_once("of the child", "inner") else 1)
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
