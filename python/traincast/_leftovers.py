"""Removes what dead runs left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from traincast._core import leftovers, list_channels, remove_leftover
from traincast._names import is_unique
from traincast.errors import TraincastError

__all__ = ["remove_what_dead_runs_left"]


def remove_what_dead_runs_left(directory: str | None) -> None:
    """Remove channels with unique names that nobody serves or reads."""
    # No failure here may keep the new run from starting.
    with suppress(TraincastError, OSError):
        left = leftovers(directory=directory)
        of = {file["path"]: Path(file["path"]).name.lstrip(".").partition("@")[0] for file in left}
        dead = set(filter(is_unique, of.values()))
        if not dead:
            return
        for channel in list_channels(directory=directory):
            if any(reader["alive"] for reader in channel["readers"]):
                dead.discard(channel["name"])  # the envs of a living process may wait for a new learner
        for path, name in of.items():
            if name in dead:
                remove_leftover(path, directory=directory)
