"""Warns when a curriculum that follows the learner receives no training information, or only one."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any, Protocol

from traincast._warnings import warn_once
from traincast.unwrapping import find_training_info_interface, find_wrapper_interface
from traincast.wrappers.gymnasium import TrainingInfoWrapper
from traincast.wrappers.missing import RESETS, SECONDS

__all__ = ["StillWatch", "UnfedWatch"]

_STILL = 300.0  # seconds without anything new: learners publish with each of their updates

_FEEDERS = ("traincast.wrappers.", "traincast.integrations.")


class Curriculum(Protocol):
    """The wrapper that is watched: one that follows the training."""

    env: Any

    @property
    def progress(self) -> float | None:
        """The progress that its schedules are called with; None if they are not called."""


class UnfedWatch:
    """Counts the resets of a curriculum that has received nothing, and warns: once per process and cause.

    Our wrapper around a curriculum warns by itself while it has nothing to deliver. Three causes remain:
    nothing feeds the curriculum; it is outside of the wrapper that should feed it; or it is behind an
    interface that does not pass the information on.
    """

    def __init__(self) -> None:
        self._resets = 0
        self._since = 0.0

    def at_reset(self, curriculum: Curriculum) -> None:
        """Warn if it is time to; a wrong order of wrappers shows at the first reset already."""
        self._resets += 1
        now = monotonic()
        first = self._resets == 1
        if not first and self._resets % RESETS and now - self._since < SECONDS:
            return
        self._since = now
        feeder = _feeder_outside()
        if feeder is not None:
            if not first and getattr(feeder, "training_info", None):
                _warn_of_an_interface_between(curriculum, feeder)
        elif find_wrapper_interface(curriculum.env, TrainingInfoWrapper) is not None:
            _warn_of_the_order(curriculum)
        elif not first:
            _warn_of_nobody(curriculum, self._resets)


class StillWatch:
    """Counts the resets of a curriculum since it received something for the first time, and warns as above.

    An env that stays at the start of the training looks like one whose curriculum works.
    """

    def __init__(self) -> None:
        self._resets = 0
        self._since = monotonic()

    def at_reset(self, curriculum: Curriculum) -> None:
        """Warn if it is time to, unless the env is one of an evaluation, or is fed by hand."""
        self._resets += 1
        if self._resets % RESETS or monotonic() - self._since < _STILL:
            return
        feed = getattr(_feeder_outside(), "_feed", None)
        if feed is not None and not feed.frozen:
            _warn(
                "still",
                f"{curriculum} has received training information once, {self._resets} resets ago, and "
                f"nothing new since: it {_consequence(curriculum)}. Does the learner call run.publish(steps) "
                "as the training goes on? With an integration: has the framework got its callback or hook?",
            )


def _feeder_outside() -> object | None:
    """Return our wrapper that is resetting the curriculum, if there is one.

    An env does not know the wrappers around it, but the wrapper that resets it is on the stack.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__", "").startswith(_FEEDERS) and "self" in frame.f_locals:
            feeder: object = frame.f_locals["self"]
            return feeder
    return None


def _warn_of_the_order(curriculum: Curriculum) -> None:
    _warn(
        "order",
        f"{curriculum} is outside of TrainingInfoWrapper, which delivers to what is inside of it, so the "
        f"curriculum receives nothing and {_consequence(curriculum)}. Put the wrapper around it: "
        f"TrainingInfoWrapper({type(curriculum).__name__}(env, ...))",
    )


def _warn_of_nobody(curriculum: Curriculum, resets: int) -> None:
    _warn(
        "nobody",
        f"{curriculum} has received no training information in {resets} resets, so it "
        f"{_consequence(curriculum)}. Put traincast.TrainingInfoWrapper around it; if nothing should feed "
        'it, pass on_missing="ignore"',
    )


def _warn_of_an_interface_between(curriculum: Curriculum, feeder: Any) -> None:
    between = type(find_training_info_interface(feeder.env)).__name__
    _warn(
        "between",
        f"{between} has received training information from {type(feeder).__name__}, but has not passed it on "
        f"to the curriculum inside of it, {curriculum}, which {_consequence(curriculum)}. Let its "
        "set_training_info call traincast.set_training_info(self.env, training_info)",
    )


def _consequence(curriculum: Curriculum) -> str:
    progress = curriculum.progress
    return "leaves the env as it is" if progress is None else f"stays at a progress of {progress}"


def _warn(cause: str, message: str) -> None:
    warn_once(("curriculum", cause), message, stacklevel=5)  # names the line that resets the curriculum
