"""`Scoreboard`: what the learner collects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traincast._core import ScoreCounters
from traincast.errors import InvalidNameError
from traincast.wrappers.channel import HasChannel, channel_of

__all__ = ["TALLY", "Scoreboard"]

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
"""One task: how many episodes and successes, sums of return, squared return and length, the last score."""

_SUMS = TALLY.names[:-1] if TALLY.names else ()


class Scoreboard:
    """Collects what the envs of a run have counted, per task.

        >>> board = traincast.scores.Scoreboard(run, tasks=1000)  # doctest: +SKIP
        >>> added = board.collect()  # doctest: +SKIP
        >>> rates = added["successes"] / added["episodes"].clip(1)  # doctest: +SKIP

    Both methods give structured arrays of shape `(tasks,)` and dtype `TALLY`, with the fields `episodes`,
    `successes`, `return_sum`, `squared_return_sum`, `length_sum` and `last_score`.

    The scoreboard lasts as long as this object, or the newest one if there are several in the process. When
    the learner is killed, envs go on counting, and the next learner of that name finds it.

    Args:
        run: the `Run`, or its name.
        tasks: how many tasks there are: 1 to 2**20. Episodes name theirs by its index.
        policy_id: which policy of the run.
        state: a `state_dict` to go on from: what was recorded since, also while no learner lived, is in the
            next `collect`, exactly once.
        directory: where the channel is; None: where the run has it, or the default.

    Raises:
        ChannelBusyError: another process keeps the run's scoreboard, with another number of tasks.
        StorageFullError: there is no room for it.
        ValueError: such a number of tasks cannot be, or the state is of another one.
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
        base = None if state is None else _checked(state, tasks)
        self._channel = channel
        self._counters = ScoreCounters(channel.name, channel.policy_id, tasks, directory=channel.directory)
        self._base = np.zeros(tasks, TALLY) if base is None else base
        self._seen = np.zeros(tasks, TALLY)
        if state is None:
            self._seen = self._counted()  # what an earlier run of this name left is none of ours
        elif state["incarnation"] == self._counters.incarnation:
            self._seen = _array(state["counted"], tasks)

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return self._counters.tasks

    def collect(self) -> NDArray[np.void]:
        """Return what was recorded since the last call, per task; `last_score` is the newest there is.

        Costs microseconds for one task, and less than a millisecond for a thousand.
        """
        now = self._counted()
        added = _less(now, self._seen)
        self._base = _more(self._base, added)
        self._seen = now
        return added

    def totals(self) -> NDArray[np.void]:
        """Return all that was collected, with what the `state` had."""
        return self._base.copy()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint should hold: the totals, and what of them this scoreboard has counted."""
        return {
            "name": self._channel.name,
            "policy_id": self._channel.policy_id,
            "tasks": self.tasks,
            "incarnation": self._counters.incarnation,
            "totals": self._base.copy(),
            "counted": self._seen.copy(),
        }

    def close(self) -> None:
        """End the scoreboard: envs stop counting. Closing twice is allowed."""
        self._counters.close()

    def _counted(self) -> NDArray[np.void]:
        return np.frombuffer(self._counters.collect(), TALLY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Scoreboard of {self._channel}, {self.tasks} tasks>"


Scoreboard.__module__ = "traincast.scores"


def _less(now: NDArray[np.void], before: NDArray[np.void]) -> NDArray[np.void]:
    added = now.copy()
    for name in _SUMS:
        added[name] -= before[name]
    return added


def _more(total: NDArray[np.void], added: NDArray[np.void]) -> NDArray[np.void]:
    total = total.copy()
    for name in _SUMS:
        total[name] += added[name]
    new = added["episodes"] > 0
    total["last_score"][new] = added["last_score"][new]
    return total


def _array(saved: Any, tasks: int) -> NDArray[np.void]:
    array = np.asarray(saved, TALLY)
    if array.shape != (tasks,):
        raise ValueError(f"the state is of {array.size} tasks, and this scoreboard has {tasks}")
    return array.copy()


def _checked(state: Mapping[str, Any], tasks: int) -> NDArray[np.void]:
    missing = [key for key in ("incarnation", "totals", "counted") if key not in state]
    if missing:
        raise ValueError(
            f"state must be what Scoreboard.state_dict() returned; it lacks {', '.join(missing)}"
        )
    return _array(state["totals"], tasks)
