"""Polls all channels, and keeps their rates and the history of their training steps."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import traincast
from traincast import _core
from traincast.cli._channels import Channel, look
from traincast.errors import TraincastError

__all__ = ["Key", "Monitor", "Track"]

Key = tuple[str, int]
"""Name and policy of a channel."""

_RATE_OVER = 5.0  # seconds over which a rate is averaged
_HISTORY = 120  # looks that the history goes back
_STEPS = "approx_total_training_steps"


@dataclass
class Track:
    """A channel, and what earlier looks at it have found."""

    channel: Channel
    steps: float | None = None
    """The newest `approx_total_training_steps`; `None` if that is not a finite number."""
    history: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """The steps at each look, the newest last."""
    _versions: deque[tuple[float, int]] = field(default_factory=deque)
    _read: tuple[int | None, int | None] | None = None

    @property
    def rate(self) -> float | None:
        """Snapshots per second over the last 5 seconds; `None` before the second look."""
        if len(self._versions) < 2:
            return None
        (since, first), (until, last) = self._versions[0], self._versions[-1]
        return (last - first) / (until - since) if until > since else 0.0

    def add(self, channel: Channel, now: float) -> None:
        """Add what a look at the time `now`, in seconds, has found."""
        version = channel["version"] or 0
        if channel["term"] != self.channel["term"] or (self._versions and version < self._versions[-1][1]):
            self._versions.clear()  # a new channel of that name, whose versions begin at 1
            self.history.clear()
        self.channel = channel
        self._versions.append((now, version))
        while now - self._versions[0][0] > _RATE_OVER:
            self._versions.popleft()
        newest = (channel["term"], channel["version"])
        if newest != self._read:
            self._read = newest
            self.steps = _steps(read(channel))
        if self.steps is not None:
            self.history.append(self.steps)


class Monitor:
    """All channels of this machine.

    It reads a snapshot when there is a new one, and leaves the channel at once: it keeps no lock, and `ls`
    does not list it as a reader.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.directories: list[str] = []
        self.error: Exception | None = None
        """What is wrong with the channel directory at the moment."""
        self.tracks: dict[Key, Track] = {}

    def look(self, commands: bool = False) -> None:
        """Look at everything once.

        Args:
            commands: whether to look up the readers' command lines.
        """
        self.error = None
        try:
            self.directories = _core.directories()
            channels = look(commands)
        except (TraincastError, OSError) as error:
            self.error = error
            channels = []
        now = self._clock()
        before, self.tracks = self.tracks, {}
        for channel in channels:
            key = (channel["name"], channel["policy_id"])
            track = before.get(key) or Track(channel)
            track.add(channel, now)
            self.tracks[key] = track


def read(channel: Channel) -> dict[Any, Any] | None:
    """Return a channel's newest dictionary; `None` if the channel is broken, or was removed meanwhile."""
    if channel["status"] == "broken":
        return None
    try:
        with traincast.TrainingInfoReader(channel["name"], channel["policy_id"]) as reader:
            return reader.read()
    except (TraincastError, OSError):
        return None


def _steps(info: dict[Any, Any] | None) -> float | None:
    try:
        steps = float((info or {}).get(_STEPS, math.nan))
    except (TypeError, ValueError, OverflowError):
        return None
    return steps if math.isfinite(steps) else None
