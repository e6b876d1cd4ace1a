"""What the recording wrappers share: the task of an episode, its success, and where it is counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from traincast._warnings import warn_once
from traincast.scores.writer import ScoreWriter
from traincast.wrappers.channel import HasChannel

__all__ = ["Episodes", "Score", "Success", "Task", "usual_success"]

Task = int | str | Callable[[Any, Mapping[str, Any]], Any]
"""A number; a key of the last info, or else an attribute of the env; or a function of env and last info."""

Success = str | Callable[[Any, Mapping[str, Any]], Any]
"""A key of the last info, or else an attribute of the env; or a function of env and last info."""

Score = str | Callable[[Any, Mapping[str, Any]], Any]
"""The same for a number."""

_USUAL = ("success", "is_success", "goal_achieved")  # keys that many envs use
# The user is told after this many seconds, or this many episodes, without a scoreboard.
_PATIENCE = 5.0
_EPISODES = 100


class Episodes:
    """Records finished episodes, and warns if there is no scoreboard for them."""

    def __init__(
        self,
        run: HasChannel | str | None,
        *,
        task: Task,
        success: Success | None,
        score: Score | None = None,
        policy_id: int | None,
        directory: str | os.PathLike[str] | None,
    ) -> None:
        if not (isinstance(task, int | str) or callable(task)) or isinstance(task, bool):
            raise TypeError(
                "task must be a number, the name of an attribute or of a key of info, or a function, not "
                f"{task!r}"
            )
        if not (success is None or isinstance(success, str) or callable(success)):
            raise TypeError(f"success must be a name or a function of env and info, not {success!r}")
        if not (score is None or isinstance(score, str) or callable(score)):
            raise TypeError(f"score must be a name or a function of env and info, not {score!r}")
        self._task = task
        self._success = success
        self._score = score
        self._writer = ScoreWriter(run, policy_id, directory=directory)
        self._lost = 0
        self._since = 0.0

    def record(self, env: Any, info: Mapping[str, Any], episode_return: float, length: int) -> None:
        """Record an episode that has just ended in `env`, with the info of its last step."""
        task = _found(self._task, env, info, "task") if not isinstance(self._task, int) else self._task
        score = None if self._score is None else float(_found(self._score, env, info, "score"))
        if not self._writer.record(
            int(task),
            success=self._succeeded(env, info),
            episode_return=episode_return,
            length=length,
            score=score,
        ):
            self._missed()

    def _succeeded(self, env: Any, info: Mapping[str, Any]) -> bool:
        if self._success is not None:
            return bool(_found(self._success, env, info, "success"))
        usual = usual_success(info)
        if usual is not None:
            return usual
        warn_once(
            ("no success", self._writer.channel.here),
            f"episodes of {self._writer.channel} have none of {', '.join(_USUAL)} in their last info: none "
            'counts as a success. Pass success="key", or a function of env and info; if only returns matter, '
            "success=lambda env, info: False",
        )
        return False

    def _missed(self) -> None:
        now = time.monotonic()
        self._since = self._since or now
        self._lost += 1
        if self._lost >= _EPISODES or now - self._since >= _PATIENCE:
            warn_once(
                ("no scoreboard", self._writer.channel.here),
                f"{self._lost} episodes were not counted: {self._writer.channel} has no scoreboard. The "
                "learner makes one: board = traincast.scores.Scoreboard(run, tasks=...), and keeps it.",
            )


def usual_success(info: Mapping[str, Any]) -> bool | None:
    """Return whether an episode succeeded, by the keys that many envs use; None if it has none of them."""
    return next((bool(info[key]) for key in _USUAL if key in info), None)


def _found(what: Task | Success, env: Any, info: Mapping[str, Any], argument: str) -> Any:
    if callable(what):
        return what(env, info)
    assert isinstance(what, str)
    if what in info:
        return info[what]
    inner = env
    while True:
        try:
            return inner.__getattribute__(what)
        except AttributeError:
            inner = getattr(inner, "env", None)
        if inner is None:
            raise AttributeError(
                f"{argument}={what!r}: neither the last info nor the env has it; info has "
                f"{sorted(map(str, info))}"
            )
