"""The channel that a wrapper reads, given by a run, a name or the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from operator import index
from typing import Protocol, runtime_checkable

from traincast._core import TrainingInfoReader

__all__ = ["Channel", "HasChannel", "channel_of", "place_of"]


@dataclass(frozen=True)
class Channel:
    """A reference to a channel, by name: it is pickled to the processes that read the channel."""

    name: str | None
    """None: the environment variable `TRAINCAST_NAME` of the process that reads."""
    policy_id: int = 0
    directory: str | None = None
    """None: `$TRAINCAST_DIR` of the process that reads, or the default."""

    @property
    def actual_name(self) -> str | None:
        """The name that applies in this process; None if there is none."""
        return (os.environ.get("TRAINCAST_NAME") or None) if self.name is None else self.name

    @property
    def why_nameless(self) -> str:
        """The sentence for a channel without a name: what is wrong, and what to do."""
        return "the wrapper has no name. Pass a run or its name=, or set TRAINCAST_NAME where the env lives."

    @property
    def here(self) -> Channel:
        """The channel with the name that applies in this process."""
        return replace(self, name=self.actual_name) if self.name is None else self

    def open(self) -> TrainingInfoReader:
        """Attach a reader to the channel, which must have a name.

        Raises: ChannelNotFoundError if there is no such channel, and as `TrainingInfoReader`.
        """
        assert self.actual_name is not None
        return TrainingInfoReader(self.actual_name, self.policy_id, directory=self.directory)

    def __str__(self) -> str:
        name = self.actual_name
        return f"channel {name!r} (policy {self.policy_id})" if name else "a channel without a name"


@runtime_checkable
class HasChannel(Protocol):
    """An object that has a channel, such as a `Run`."""

    @property
    def channel(self) -> Channel:
        """The channel that it publishes to."""


def place_of(directory: str | os.PathLike[str] | None) -> str | None:
    """Return the whole path of a directory that was asked for: the working directory may change.

    One that does not begin a path (`""`, `"~/channels"`) stays, for the core to refuse it.
    """
    if directory is None:
        return None
    path = os.fsdecode(directory)
    return os.path.abspath(path) if path and path[0] not in "~$" else path


def channel_of(
    run: HasChannel | str | None, policy_id: int | None, directory: str | os.PathLike[str] | None
) -> Channel:
    """Return the channel of a run, or of a run's name; `policy_id` and `directory` override the run's.

    Raises: TypeError if `run` is neither.
    """
    place = place_of(directory)
    policy = None if policy_id is None else index(policy_id)
    if run is None or isinstance(run, str):
        return Channel(run, policy or 0, place)
    if isinstance(run, type) or not isinstance(run, HasChannel):
        raise TypeError(f"expected a traincast.Run or the name of one, not {run!r}")
    of_run = run.channel
    return Channel(
        of_run.name,
        of_run.policy_id if policy is None else policy,
        of_run.directory if place is None else place,
    )
