"""Companions of a run: the learner's curricula, which are published, saved and restored with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from traincast.wrappers.channel import Channel

__all__ = ["Companion", "Companions"]

R = TypeVar("R")
"""The class of the run: `traincast.Run`, which imports this."""

_STATES = "curricula"


class Companion(ABC, Generic[R]):
    """Keeps an entry in the training information of a run, and is saved and restored with the run."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The key of its entry."""

    @abstractmethod
    def __call__(self, *hand: Any) -> dict[str, Any]:
        """Act on new results, and return `{key: entry}`, which an integration publishes next."""

    @abstractmethod
    def entry(self, channel: Channel) -> dict[str, Any]:
        """Return `{key: entry}` as the envs of a run with this channel see it."""

    @abstractmethod
    def begin(self, run: R) -> None:
        """Join this run, which may be one that does not publish."""

    @abstractmethod
    def end(self) -> None:
        """The run has ended; `state_dict` goes on giving the last state."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the state to resume from, in plain JSON types: any framework's checkpoint can hold them."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""


class Companions(Generic[R]):
    """The companions of one run, and the saved states of those that are yet to be added."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._all: dict[str, Companion[R]] = {}
        self._saved = _states_in(state or {})

    def attach(self, companion: Companion[R], run: R, channel: Channel) -> dict[str, Any]:
        """Take one in while the run lives, and return its entry."""
        self._check(companion)  # before it takes the scoreboard of the one that is there
        companion.begin(run)
        return self.add(companion, channel)

    def _check(self, companion: Companion[R]) -> None:
        """Raise ValueError if there is another one: both would count their episodes on one scoreboard."""
        others = [other for other in self._all.values() if other is not companion]
        if others:
            raise ValueError(
                f"the run has {others[0]!r} already, and one scoreboard, so {companion!r} needs a run of its "
                "own (in a notebook: run its cell again, too). For two properties of one env: one curriculum "
                "whose tasks are the pairs, TaskCurriculum(env, {'size': lambda task: sizes[task // 5], "
                "'speed': ...})"
            )

    def add(self, companion: Companion[R], channel: Channel) -> dict[str, Any]:
        """Add a companion, restore its saved state if there is one, and return `{key: entry}`.

        Raises:
            ValueError: there is another companion, or the state is not one for it.
        """
        self._check(companion)
        key = companion.key
        if key in self._saved:
            companion.load_state_dict(self._saved[key])  # an error takes nothing in
            del self._saved[key]
        self._all[key] = companion
        return {key: companion.entry(channel)}

    def begin(self, run: R) -> None:
        """The run has begun."""
        for companion in self._all.values():
            companion.begin(run)

    def end(self) -> None:
        """The run has ended."""
        for companion in self._all.values():
            companion.end()

    def states(self) -> dict[str, Any]:
        """Return their part of the run's state; empty if there is none."""
        states = self._saved | {key: companion.state_dict() for key, companion in self._all.items()}
        return {_STATES: states} if states else {}

    def restore(self, state: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
        """Restore each companion from the state of a run, and return the entries of all."""
        self._saved = _states_in(state)
        info: dict[str, Any] = {}
        for companion in self._all.values():
            info |= self.add(companion, channel)
        return info


def _states_in(state: Mapping[str, Any]) -> dict[str, Any]:
    states = state.get(_STATES)
    if states is not None and not isinstance(states, Mapping):
        raise ValueError(f"the {_STATES} of the state must be what Run.state_dict() returned, not {states!r}")
    return dict(states or {})
