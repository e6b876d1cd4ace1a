"""What the learner's curricula share: a run, the results of all its envs, copies and checkpoints."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from operator import index
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from traincast._companions import Companion
from traincast._evaluation import SCOREBOARD
from traincast._warnings import warn_once
from traincast.run import Run
from traincast.scores.board import Scoreboard, read_state
from traincast.wrappers.channel import Channel

__all__ = ["LearnerCurriculum", "of_another_run"]

# The user is told after this many updates without an episode, once this many seconds have passed or the run
# has ended.
_UPDATES = 100
_PATIENCE = 60.0
_EPISODES = 100  # or if this many episodes were never collected, when the run has ended


class LearnerCurriculum(Companion[Run]):
    """Keeps an entry in the training information that follows the results of all envs.

    It belongs to a run: to the one that it is made with, or to that of the integration that gets it as
    `training_info`. Until then it waits. A copy in the same process is the curriculum itself; a pickled copy
    begins where the original was, and waits for a run of its own.
    """

    _statistic: str
    """What the curriculum uses of an episode. Envs warn of a missing success only for `"success_rate"`."""

    def __init__(self, tasks: SupportsIndex, key: str, what: str) -> None:
        if not hasattr(tasks, "__index__") or not 1 <= (whole := index(tasks)) <= 2**20:
            raise ValueError(f"{what} must be a whole number from 1 to 2**20, not {tasks!r}")
        if not isinstance(key, str) or not key:
            raise TypeError(f"key must be a string, not {key!r}")
        self._tasks = whole
        self._key = key
        self._run: Run | None = None
        self._board: Scoreboard | None = None
        self._board_state: Mapping[str, Any] | None = None
        self._updates = 0
        self._since = 0.0
        self._heard = False

    def _set_up(self, run: Run | None, state: Mapping[str, Any] | None) -> None:
        """Restore the state and join the run: the last call of a subclass's constructor."""
        if state is not None:
            self.load_state_dict(state)
        if run is not None:
            if not isinstance(run, Run):
                raise TypeError(
                    f"{type(self).__name__} takes the traincast.Run that it publishes to, not {run!r}; an "
                    "integration that makes its own run takes the curriculum: training_info=curriculum"
                )
            run.attach(self)

    @property
    def key(self) -> str:
        """The key of the training information under which envs find the curriculum's entry."""
        return self._key

    @property
    def run(self) -> Run | None:
        """The run that it publishes to; None until there is one."""
        return self._run

    def update(self) -> bool:
        """Act on the episodes that have ended since the last call; if that changed it, publish, return True.

        Call it as often as you like: it takes microseconds, and never waits. On a rank that does not publish
        it does nothing.

        Raises: RuntimeError if there is no run yet; and as `Run.publish`.
        """
        changed = self._collect()
        if changed:
            self._publish()
        return changed

    def __call__(self, *hand: Any) -> dict[str, Any]:
        """Act on the episodes that have ended, and return the entry to publish: a `training_info` function.

        Integrations call it before each publish; their arguments are not used.
        """
        self._collect()
        return {} if self._board is None or self._run is None else {self._key: self.entry(self._run.channel)}

    # For subclasses.

    @abstractmethod
    def _learn(self, added: NDArray[np.void]) -> bool:
        """Act on the episodes that have ended, of shape `(tasks,)` and dtype `TALLY`; tell if it changed."""

    @abstractmethod
    def _told(self) -> dict[str, Any]:
        """Return the part of the entry that is specific to the subclass."""

    @abstractmethod
    def _rule_state(self) -> dict[str, Any]:
        """Return the state of the rule, in plain JSON types."""

    @abstractmethod
    def _load_rule(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the rule."""

    def _publish(self) -> None:
        if self._run is not None and self._board is not None and not self._run.closed:
            self._run.publish(self._run.steps, **{self._key: self.entry(self._run.channel)})

    def _collect(self) -> bool:
        if self._run is None:
            raise RuntimeError(
                f"{self!r} belongs to no run yet: {type(self).__name__}(run, ...), or give it to an "
                "integration of traincast, as training_info="
            )
        if self._board is None or self._run.closed:
            return False
        added = self._board.collect()
        episodes = int(added["episodes"].sum())
        self._watch(episodes)
        return episodes > 0 and self._learn(added)

    # As a companion of its run.

    def entry(self, channel: Channel) -> dict[str, Any]:
        """Return what envs see: what the curriculum has decided, and where to count their episodes."""
        place = (channel.name, channel.policy_id, channel.directory)
        return {**self._told(), "tasks": self._tasks, "statistic": self._statistic, SCOREBOARD: place}

    def begin(self, run: Run) -> None:
        """Join `run`; `Run.attach` calls this.

        Raises: RuntimeError if it belongs to another run, which has not ended.
        """
        if self._run is run:
            return
        if self._run is not None and not self._run.closed:
            raise RuntimeError(
                f"{self!r} belongs to {self._run!r} already: each run has a curriculum of its own"
            )
        if run.publishes:
            self._board = Scoreboard(run, self._tasks, state=self._saved_board())
        self._run = run

    def end(self) -> None:
        """Stop counting, as the run has ended."""
        if self._board is not None:
            self._board_state = self._saved_board()
            episodes = 0 if self._updates else int(self._board.collect()["episodes"].sum())
            self._board.close()
            self._board = None
            if episodes >= _EPISODES:
                self._warn_of_no_update(episodes)
            if not self._heard and self._updates >= _UPDATES:
                self._warn_of_silence()

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, in plain JSON types. `Run.state_dict` contains it, too."""
        return {"tasks": self._tasks, "scores": self._saved_board(), "rule": self._rule_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state_dict` returned; the next update has the episodes that ended since then.

        Raises: ValueError if it is not such a state, or one for another number of tasks.
        """
        needed = ("tasks", "scores", "rule")
        missing = [key for key in needed if not isinstance(state, Mapping) or key not in state]
        if missing:
            raise ValueError(
                f"state must be what {type(self).__name__}.state_dict() returned; it lacks "
                f"{', '.join(missing)}"
            )
        if state["tasks"] != self._tasks:
            raise ValueError(f"the state is for {state['tasks']} tasks, but {self!r} has {self._tasks}")
        if state["scores"] is not None:
            read_state(state["scores"], self._tasks)  # before anything changes
        try:
            self._load_rule(state["rule"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the state is not one of a {type(self).__name__}: {error!r}") from error
        self._board_state = state["scores"]
        if self._board is not None and self._board_state is not None:
            self._board.load_state_dict(self._board_state)

    def _saved_board(self) -> Any:
        state = self._board_state if self._board is None else self._board.state_dict()
        return None if state is None else _as_plain(state)

    # What a user may have forgotten.

    def _watch(self, episodes: int) -> None:
        if self._heard:
            return
        self._heard = episodes > 0
        now = time.monotonic()
        self._since = self._since or now
        self._updates += 1
        if not self._heard and self._updates >= _UPDATES and now - self._since >= _PATIENCE:
            self._warn_of_silence()

    def _warn_of_no_update(self, episodes: int) -> None:
        assert self._run is not None
        warn_once(
            ("no update", self._run.channel),
            f"{self!r} was never updated, so the {episodes} episodes that envs have counted changed nothing. "
            "Call update() as the training goes on, or give it to an integration: training_info=curriculum.",
        )

    def _warn_of_silence(self) -> None:
        assert self._run is not None
        self._heard = True
        warn_once(
            ("no episodes", self._run.channel),
            f"{self!r} has heard of no episode in {self._updates} updates, so it stays as it is. Put "
            "traincast.curriculum.TaskCurriculum(env, ...) around each env, inside of the wrapper that feeds "
            "it, or record the episodes of this run with traincast.scores",
        )

    # Copies.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # frameworks copy their configurations, and train with the copy

    def __getstate__(self) -> dict[str, Any]:
        there = {"_run": None, "_board": None, "_board_state": self._saved_board()}
        return self.__dict__ | there | {"_updates": 0, "_since": 0.0, "_heard": False}


def of_another_run(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a curriculum for a training that goes on elsewhere, or goes back.

    What the envs of the run have counted after it belongs to the training that is left then.
    """
    scores = state["scores"]
    return {**state, "scores": scores and {**scores, "incarnation": 0}}  # of no scoreboard


def _as_plain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _rows(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}


def _rows(tallies: NDArray[np.void]) -> list[list[Any]]:
    return [list(row) for row in tallies.tolist()]
