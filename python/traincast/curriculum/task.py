"""`TaskCurriculum`: an env plays the task that the learner publishes, and counts its episodes under it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any, Literal, NoReturn, SupportsFloat

from traincast._evaluation import SCOREBOARD
from traincast._optional import missing
from traincast._warnings import warn_once
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import set_training_info

try:
    import gymnasium
    import numpy as np

    from traincast._specs import A, O
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.curriculum.TaskCurriculum") from None

from traincast.curriculum._json import read_argument
from traincast.curriculum._unfed import UnfedWatch
from traincast.curriculum._wrapper import CurriculumWrapper
from traincast.scores.episodes import Episodes, Score, Success, usual_success
from traincast.wrappers.endings import EndWatch
from traincast.wrappers.kinds import inside_of_vector_envs
from traincast.wrappers.missing import RESETS, SECONDS

__all__ = ["TaskCurriculum"]

_ON_MISSING = ("warn", "ignore")
_SALT = 0x7461736B  # without it the env, which gets the same seed, could draw the same numbers


class TaskCurriculum(CurriculumWrapper[O, A], TrainingInfoInterface):
    """Plays the level of a `PooledCurriculum`, or a task drawn from the array of a `TaskSampler`.

    Before each reset it sets attributes of the env for the task, wherever they are defined inside it; a name
    with dots is a path, and a method is called, as with `ProgressCurriculum`. When the episode ends, it is
    counted on the learner's scoreboard, under the task that was played. The training information says which
    scoreboard that is, so the wrapper needs no run, and works in any process that a framework puts it in.

    It wraps single envs. In a vector env that is built from functions, Gymnasium's or Stable-Baselines3's, in
    this process or in others, it goes around each env inside: `SyncVectorEnv([lambda: TaskCurriculum(...)])`.
    Vector envs that are one object, and PettingZoo's envs, take the training information by a
    `set_training_info` of their own, and `RecordVectorScores`, `RecordParallelScores` or `RecordAECScores`
    count their episodes.

    It is a `TrainingInfoInterface`: put `TrainingInfoWrapper`, or the integration of a framework, around it.
    Put it outside of `TimeLimit`, so that it sees the end of every episode, and inside of wrappers that reset
    the env by themselves. An episode that an early reset abandons does not count, nor does one of an
    evaluation (`run.wrap_eval_env`, `frozen=`), nor one that began before there was training information.

    At each reset, and in the last step of an episode, `info["curriculum"]["task"]` is the task as a float.

    Args:
        env: a single Gymnasium env, of Gymnasium 0.29 or 1.x, with scalar rewards.
        attributes: for each attribute a sequence with its value for task 0, 1, 2, ..., or a callable that
            takes the task. A name alone: the attribute is set to the task's number.
        option: the key under which `reset(options=)` of the env gets the task's number; None: it does not.
        success: whether an episode succeeded: the name of a key of its last info, or else of an attribute; or
            a function of the env and that info. None: `info["success"]`, or `"is_success"`, or
            `"goal_achieved"`.
        score: how much there is to learn from the task, for a `TaskSampler`, as a finite number: a name or a
            function, as for `success`. None: the episode's return.
        key: the key of the training information that holds the task.
        info_key: another key of `info` for the task; None: do not show it.
        on_missing: `"warn"` (a `TraincastWarning`, once per process) if no training information arrives, or
            none about tasks, after 100 resets or 5 seconds. `"ignore"` if the env is then meant to stay as it
            is.

    Raises: TypeError for an env of another kind; ValueError at a reset, if the learner has more tasks than a
        sequence has values, or the entry is not one of a `PooledCurriculum` or `TaskSampler`.

    Example:
        >>> env = TaskCurriculum(env, {"size": [4, 6, 8, 12]}, success="solved")  # doctest: +SKIP
        >>> env = run.wrap_env(env)  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[O, A],
        attributes: str | Mapping[str, Sequence[Any] | Callable[[int], Any]] | None = None,
        *,
        option: str | None = None,
        success: Success | None = None,
        score: Score | None = None,
        key: str = "curriculum",
        info_key: str | None = "curriculum",
        on_missing: Literal["warn", "ignore"] = "warn",
    ) -> None:
        if on_missing not in _ON_MISSING:
            raise ValueError(f"on_missing must be one of {_ON_MISSING}, not {on_missing!r}")
        if attributes is None and option is None:
            raise TypeError("the env would not know its task: give attributes=, or option=")
        attributes, success, score = (read_argument(value) for value in (attributes, success, score))
        super().__init__(
            env,
            attributes=attributes,
            option=option,
            success=success,
            score=score,
            key=key,
            on_missing=on_missing,
            info_key=info_key,
        )
        TrainingInfoInterface.__init__(self)
        self.task: int | None = None
        """The task of this episode; None while there is none."""
        named = {attributes: int} if isinstance(attributes, str) else dict(attributes or {})
        self._values: dict[str, Sequence[Any] | Callable[[int], Any]] = named
        self._option, self._success, self._score, self._key = option, success, score, key
        self._rng = np.random.default_rng()
        self._drawn_from: tuple[Any, Any] = (None, None)  # an array of probabilities, and its cumulative sums
        self._place: Any = None
        self._episodes: Episodes | None = None
        self._return, self._length = 0.0, 0
        self._unended: EndWatch | None = EndWatch()
        self._warns = on_missing == "warn"
        self._unfed = UnfedWatch() if self._warns else None
        self._without, self._since = 0, 0.0

    progress = None
    """None: it has no schedules that follow a progress."""

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        """Receive the newest training information; the next reset acts on it."""
        self.training_info = training_info
        self._unfed = None
        set_training_info(self.env, training_info)

    @property
    def curriculum_state(self) -> dict[str, Any]:
        """The state of the random numbers, as plain JSON types; may be set, to draw the same tasks again.

        Vector envs reach it: `get_attr("curriculum_state")`, `set_attr("curriculum_state", states)`.
        """
        return {"rng": self._rng.bit_generator.state}

    @curriculum_state.setter
    def curriculum_state(self, state: Mapping[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[O, dict[str, Any]]:
        """Choose the task, set the attributes for it, then reset the env. `seed` also seeds the choice."""
        if self._unfed is not None:
            self._unfed.at_reset(self)
        if seed is not None:
            self._rng = np.random.default_rng((seed, _SALT))
        if self._unended is not None and self._length:
            self._unended.abandoned(self)
        entry = self.training_info.get(self._key)
        self._return, self._length = 0.0, 0
        self.task, self._episodes = None, None
        if entry is not None:
            task = self._chosen(entry)
            for name, values in self._values.items():
                self._setter.set(self.env, name, values(task) if callable(values) else values[task])
            if self._option is not None:
                options = {**(options or {}), self._option: task}
            self.task = task
            self._episodes = self._scoreboard_of(entry)
        elif self.training_info and self._warns:
            self._miss()
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._with_task(info)

    def step(self, action: A) -> tuple[O, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env; at the end of an episode, count it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        try:
            self._return += float(reward)
        except (TypeError, ValueError) as error:  # EnvPool's and Isaac Lab's vector envs are gymnasium.Envs
            raise TypeError(
                f"{type(self).__name__} wraps a single env, whose reward is one number, not {reward!r}. "
                f"{inside_of_vector_envs(type(self).__name__)}"
            ) from error
        self._length += 1
        if terminated or truncated:
            self._unended = None
            episodes, self._episodes = self._episodes, None  # so that it is counted once
            if episodes is not None:
                episodes.record(self.env, info, self._return, self._length)
            info = self._with_task(info)
        return observation, reward, terminated, truncated, info

    def _with_task(self, info: dict[str, Any]) -> Any:
        return info if self.task is None else self._shown_in(info, {"task": self.task})

    # What the learner publishes.

    def _chosen(self, entry: Mapping[str, Any]) -> int:
        self._check(entry)
        if "level" in entry:
            level = entry["level"]
            if not (hasattr(level, "__index__") and 0 <= index(level) < entry.get("tasks", math.inf)):
                self._refuse(entry)
            return index(level)
        probabilities, sums = self._drawn_from
        if probabilities is not entry["probabilities"]:
            probabilities = entry["probabilities"]
            sums = np.cumsum(probabilities, dtype=np.float64)
            if not (sums.size and 0 < sums[-1] < math.inf):
                self._refuse(entry)
            self._drawn_from = probabilities, sums
        drawn = int(np.searchsorted(sums, self._rng.random() * sums[-1], side="right"))
        return min(drawn, int(np.searchsorted(sums, sums[-1])))  # rounding must not lead past the last task

    def _check(self, entry: Any) -> None:
        if not isinstance(entry, Mapping) or not ("level" in entry or "probabilities" in entry):
            self._refuse(entry)
        tasks = int(entry.get("tasks", 0))
        for name, values in self._values.items():
            if not callable(values) and len(values) < tasks:
                raise ValueError(
                    f"the learner has {tasks} tasks, but {type(self).__name__} has {len(values)} values of "
                    f"{name!r}"
                )

    def _refuse(self, entry: Any) -> NoReturn:
        raise ValueError(
            f"the training information has {entry!r} under {self._key!r}, which is not from a "
            "PooledCurriculum or TaskSampler: pass another key= to both"
        )

    def _scoreboard_of(self, entry: Mapping[str, Any]) -> Episodes | None:
        place = entry.get(SCOREBOARD)
        if place is None:
            return None  # an evaluation
        if place != self._place or self._kept is None:
            name, policy_id, directory = place
            success = self._success
            if success is None and entry.get("statistic") != "success_rate":
                success = _succeeded  # not needed, so there is no warning if the env does not report it
            self._kept = Episodes(
                name,
                task=self._current_task,
                success=success,
                score=self._score,
                policy_id=policy_id,
                directory=directory,
            )
            self._place = place
        return self._kept

    _kept: Episodes | None = None

    def _current_task(self, env: Any, info: Mapping[str, Any]) -> int:
        assert self.task is not None
        return self.task

    def _miss(self) -> None:
        self._without += 1
        now = time.monotonic()
        self._since = self._since or now
        if self._without >= RESETS or now - self._since >= SECONDS:
            warn_once(
                ("no task", self._key),
                f"{self} has had no task in {self._without} resets, so it leaves the env as it is: the "
                f"training information has no {self._key!r}, only {sorted(map(str, self.training_info))}. "
                "Make a PooledCurriculum or a TaskSampler in the learner, for its run, and keep it; an "
                'integration takes one as training_info=. If there should be none, pass on_missing="ignore"',
            )


TaskCurriculum.__module__ = "traincast.curriculum"  # where users, pickles and env specs find it


def _succeeded(env: Any, info: Mapping[str, Any]) -> bool:
    return bool(usual_success(info))
