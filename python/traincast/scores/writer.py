"""`ScoreWriter`: counts episodes without a wrapper."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Self

from traincast import _core
from traincast.errors import InvalidNameError
from traincast.wrappers.channel import Channel, HasChannel, channel_of

__all__ = ["ScoreWriter"]


class ScoreWriter(_core.ScoreWriter):
    """Counts episodes on the scoreboard of a run; `RecordScores` does it for an env.

        >>> scores = traincast.scores.ScoreWriter(run)  # doctest: +SKIP
        >>> scores.record(level, success=True, episode_return=7.5, length=40)  # doctest: +SKIP

    All writers of a process share one block of the scoreboard, which the process takes at its first episode;
    a forked child takes its own. A writer pickles as a reference. A call takes some ten nanoseconds and never
    waits.

    Args:
        run: the `Run`, or its name; None: the name in `TRAINCAST_NAME`.
        policy_id: the policy of the run; None: the run's.
        directory: where the channel is; None: the run's directory, or the default.

    Raises:
        InvalidNameError: there is no name, or it is not allowed.
    """

    _channel: Channel

    def __new__(
        cls,
        run: HasChannel | str | None = None,
        policy_id: int | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Find out the channel's name; the scoreboard is looked for at the first episode."""
        channel = channel_of(run, policy_id, directory)
        if channel.actual_name is None:
            raise InvalidNameError("ScoreWriter has no run: pass a run or its name, or set TRAINCAST_NAME")
        self = super().__new__(cls, channel.actual_name, channel.policy_id, directory=channel.directory)
        self._channel = channel
        return self

    @property
    def channel(self) -> Channel:
        """Name, policy and directory."""
        return self._channel

    def __reduce__(self) -> tuple[Callable[[Channel], ScoreWriter], tuple[Channel]]:
        return _again, (self._channel,)

    def __repr__(self) -> str:
        return f"<ScoreWriter of {self._channel}>"


def _again(channel: Channel) -> ScoreWriter:
    return ScoreWriter(channel.name, channel.policy_id, directory=channel.directory)


ScoreWriter.__module__ = "traincast.scores"
