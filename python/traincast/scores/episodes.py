"""What the recording wrappers share: the task of an episode, its success, and where it is counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, SupportsIndex

from traincast._infos import number_of
from traincast._warnings import warn_once
from traincast.scores.writer import ScoreWriter
from traincast.unwrapping import layers
from traincast.wrappers.channel import HasChannel

__all__ = ["ABSENT", "Episodes", "Score", "Success", "Task", "attribute_of", "usual_success"]

Task = SupportsIndex | str | Callable[[Any, Mapping[str, Any]], Any]
"""A number; a key of the last info, or else an attribute of the env; or a function of env and last info."""

Success = str | Callable[[Any, Mapping[str, Any]], Any]
"""A key of the last info, or else an attribute of the env; or a function of env and last info."""

Score = str | Callable[[Any, Mapping[str, Any]], Any]
"""The same for a number."""

ABSENT = object()
"""In place of an attribute that does not exist."""

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
        is_number = hasattr(task, "__index__") and not isinstance(task, bool)
        if not (is_number or isinstance(task, str) or callable(task)):
            raise TypeError(
                "task must be a number, the name of an attribute or of a key of info, or a function, not "
                f"{task!r}"
            )
        if not (success is None or isinstance(success, str) or callable(success)):
            raise TypeError(f"success must be a name or a function of env and info, not {success!r}")
        if not (score is None or isinstance(score, str) or callable(score)):
            raise TypeError(f"score must be a name or a function of env and info, not {score!r}")
        self._task = _number_of_task(task) if is_number else task
        self._success = success
        self._score = score
        self._writer = ScoreWriter(run, policy_id, directory=directory)
        self._lost = 0
        self._since = 0.0

    def record(self, env: Any, info: Mapping[str, Any], episode_return: float, length: int) -> None:
        """Record an episode that has just ended in `env`, with the info of its last step."""
        task = self._task
        if not isinstance(task, int):
            task = _number_of_task(_found(task, env, info, "task"))
        score = None if self._score is None else float(_found(self._score, env, info, "score"))
        if not self._writer.record(
            task,
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
    value = attribute_of(env, what)
    if value is ABSENT:
        raise AttributeError(
            f"{argument}={what!r}: neither the last info nor the env has it; info has "
            f"{sorted(map(str, info))}"
        )
    return value


def attribute_of(env: Any, name: str) -> Any:
    """Return an attribute of the env, however deep; `ABSENT` if there is none."""
    for layer in layers(env):
        with suppress(AttributeError):
            return layer.__getattribute__(name)
    return ABSENT


def _number_of_task(task: Any) -> int:
    """Return the number of a task: any integer, or a whole float, as curricula show in infos."""
    number = number_of(task)
    if number is None or not number.is_integer():
        raise TypeError(
            f"a task is known by its number, a whole one from 0 up, not by {task!r}; with names: "
            "task=lambda env, info: names.index(...)"
        )
    if number < 0:
        raise ValueError(f"tasks are numbered from 0 up, and {task!r} is none of them")
    return int(number)
