"""`Scoreboard`: the learner's side, which collects what envs have counted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traincast._core import ScoreCounters
from traincast._warnings import warn_once
from traincast.errors import InvalidNameError
from traincast.wrappers.channel import HasChannel, channel_of

__all__ = ["TALLY", "Scoreboard", "read_state"]

TALLY = np.dtype(
    [
        ("episodes", "<i8"),
        ("successes", "<i8"),
        ("return_sum", "<f8"),
        ("squared_return_sum", "<f8"),
        ("length_sum", "<i8"),
        ("last_score", "<f8"),
    ]
)
"""The counters of a task: episodes, successes, the sums of return, squared return and length, last score."""


class Scoreboard:
    """Collects what the envs of a run have counted, per task.

        >>> board = traincast.scores.Scoreboard(run, tasks=1000)  # doctest: +SKIP
        >>> added = board.collect()  # doctest: +SKIP
        >>> rates = added["successes"] / added["episodes"].clip(1)  # doctest: +SKIP

    `collect` and `totals` return structured arrays of shape `(tasks,)` and dtype `TALLY`, with the fields
    `episodes`, `successes`, `return_sum`, `squared_return_sum`, `length_sum` and `last_score`.

    The scoreboard lasts as long as this object, or the newest one if there are several in the process. When
    the learner is killed, envs go on counting, and the next learner of that name finds their counts.

    Args:
        run: the `Run`, or its name.
        tasks: how many tasks there are, 1 to 2**20; they are 0 ... tasks - 1.
        policy_id: the policy of the run; None: the run's.
        state: a `state_dict` to resume from: what was recorded since, even while no learner lived, is in the
            next `collect`, exactly once.
        directory: where the channel is; None: the run's directory, or the default.

    Raises:
        ChannelBusyError: another process keeps the run's scoreboard, with another number of tasks.
        StorageFullError: there is no room for it.
        ValueError: the number of tasks is out of range, or the state is for another number.
    """

    def __init__(
        self,
        run: HasChannel | str,
        tasks: int,
        *,
        policy_id: int | None = None,
        state: Mapping[str, Any] | None = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        channel = channel_of(run, policy_id, directory)
        if channel.name is None:
            raise InvalidNameError("a scoreboard needs a run, or the name of one")
        if state is not None:
            read_state(state, tasks)  # before a scoreboard is created
        self._channel = channel
        self._counters = ScoreCounters(channel.name, channel.policy_id, tasks, directory=channel.directory)
        if state is None:
            self._counters.collect()  # skips what an earlier run of this name has left
            self._counters.resume()
        else:
            self.load_state_dict(state)

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return self._counters.tasks

    def collect(self) -> NDArray[np.void]:
        """Return what was recorded since the last call, per task; `last_score` is always the newest.

        It takes microseconds for one task, and less than a millisecond for a thousand. A `TraincastWarning`
        says once if envs no longer count here, because another object has replaced or ended the scoreboard.
        """
        added = _tallies(self._counters.collect())
        if self._counters.ended:
            warn_once(
                ("scoreboard has ended", self._channel),
                f"{self!r} has ended, and envs no longer count there: another Scoreboard of the channel was "
                "closed, or made with another number of tasks. Keep one for each run; curricula have theirs",
            )
        return added

    def totals(self) -> NDArray[np.void]:
        """Return all that was collected, including the totals of `state`."""
        return _tallies(self._counters.collected())

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: the totals, and the counters up to which they were collected."""
        return {
            "name": self._channel.name,
            "policy_id": self._channel.policy_id,
            "tasks": self.tasks,
            "incarnation": self._counters.incarnation,
            "totals": _tallies(self._counters.collected()),
            "counted": _tallies(self._counters.counted()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` returned: the next `collect` has what was recorded since.

        The state of an earlier scoreboard, whose file is gone, changes only the totals.

        Raises: ValueError if it is not such a state, or one for another number of tasks.
        """
        totals, counted = read_state(state, self.tasks)
        if state["incarnation"] == self._counters.incarnation:
            self._counters.resume(totals.tobytes(), counted.tobytes())
        else:
            self._counters.resume(totals.tobytes())

    def close(self) -> None:
        """End the scoreboard: envs stop counting. Closing twice is allowed."""
        self._counters.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Scoreboard of {self._channel}, {self.tasks} tasks>"


Scoreboard.__module__ = "traincast.scores"


def _tallies(saved: bytes) -> NDArray[np.void]:
    return np.frombuffer(saved, TALLY).copy()  # an array that can be written to


def _array(saved: Any, tasks: int) -> NDArray[np.void]:
    try:
        if not isinstance(saved, np.ndarray):
            saved = [tuple(row) for row in saved]  # JSON makes lists of them
        array = np.asarray(saved, TALLY)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the state's tallies cannot be read: {error}") from error
    if array.shape != (tasks,):
        raise ValueError(f"the state is for {array.size} tasks, but this scoreboard has {tasks}")
    return array.copy()


def read_state(state: Mapping[str, Any], tasks: int) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return the totals of a state, and what was counted; ValueError if it is none, or of other tasks."""
    needed = ("incarnation", "totals", "counted")
    missing = [key for key in needed if not isinstance(state, Mapping) or key not in state]
    if missing:
        raise ValueError(
            f"state must be what Scoreboard.state_dict() returned; it lacks {', '.join(missing)}"
        )
    return _array(state["totals"], tasks), _array(state["counted"], tasks)
