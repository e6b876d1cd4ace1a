"""What goes with a run: curricula of the learner, which are published and saved with it."""

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
    """Has an entry in the training information of a run, and is saved and restored with it."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The key of its entry."""

    @abstractmethod
    def __call__(self, *hand: Any) -> dict[str, Any]:
        """Act on what is new, and return its entry by its key: what an integration publishes next."""

    @abstractmethod
    def entry(self, channel: Channel) -> dict[str, Any]:
        """What the envs of the run with this channel see."""

    @abstractmethod
    def begin(self, run: R) -> None:
        """Belong to this run, which may be one that does not publish."""

    @abstractmethod
    def end(self) -> None:
        """The run has ended; `state_dict` goes on giving the last state."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what to go on from, in plain JSON types: every framework's checkpoints keep those."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""


class Companions(Generic[R]):
    """Those of one run, and what its checkpoint has for those that are still to come."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._all: dict[str, Companion[R]] = {}
        self._saved: dict[str, Any] = dict((state or {}).get(_STATES) or {})

    def add(self, companion: Companion[R], channel: Channel) -> dict[str, Any]:
        """Take one in, restore it if there is a state of it, and return its entry."""
        key = companion.key
        if self._all.setdefault(key, companion) is not companion:
            raise ValueError(f"the run has another curriculum under {key!r}: give this one another key=")
        if key in self._saved:
            companion.load_state_dict(self._saved.pop(key))
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
        """Return what the state of the run has of them; nothing if there is none."""
        states = self._saved | {key: companion.state_dict() for key, companion in self._all.items()}
        return {_STATES: states} if states else {}

    def restore(self, state: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
        """Restore each from the state of a run, and return what all of them have to tell."""
        self._saved = dict(state.get(_STATES) or {})
        info: dict[str, Any] = {}
        for companion in self._all.values():
            info |= self.add(companion, channel)
        return info
