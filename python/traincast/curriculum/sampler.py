"""`TaskSampler`: envs play the tasks more often from which there is most to learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from traincast.curriculum._learner import LearnerCurriculum
from traincast.run import Run

__all__ = ["TaskSampler", "replay_probabilities"]

Array = NDArray[np.float64]


def replay_probabilities(
    scores: Array,
    seen: NDArray[np.bool_],
    played_at: NDArray[np.int64],
    count: int,
    *,
    temperature: float,
    staleness: float,
) -> Array:
    """Return the distribution that `TaskSampler` describes; all arrays have the shape `(tasks,)`.

    Equations (1), (3) and (4) of Jiang et al., "Prioritized Level Replay" (2021, arXiv:2010.03934).

    Args:
        scores: S, the last score of each task.
        seen: whether a task has a score.
        played_at: C, the number of episodes so far when each task was played last.
        count: c, the number of episodes so far.
        temperature: beta.
        staleness: rho.
    """
    tasks = len(scores)
    known = np.flatnonzero(seen)
    probabilities = np.zeros(tasks)
    if len(known) < tasks:  # 1 - P_D, the share of new tasks
        probabilities[~seen] = 1 / tasks  # (1 - seen/tasks) / unseen
    if len(known):
        order = np.argsort(-scores[known], kind="stable")
        rank = np.empty(len(known))
        rank[order] = np.arange(1, len(known) + 1)
        by_score = rank ** (-1 / temperature)
        age = (count - played_at[known]).astype(np.float64)
        by_age = age if age.any() else np.ones(len(known))
        mixed = (1 - staleness) * by_score / by_score.sum() + staleness * by_age / by_age.sum()
        probabilities[known] = len(known) / tasks * mixed
    result: Array = probabilities / probabilities.sum()
    return result


class TaskSampler(LearnerCurriculum):
    """Publishes the probabilities with which all envs draw their tasks: prioritized level replay.

        >>> sampler = TaskSampler(run, tasks=200)  # doctest: +SKIP
        >>> env = run.wrap_env(TaskCurriculum(env, "level", score="value_loss"))  # doctest: +SKIP
        >>> sampler.update()  # as often as you like  # doctest: +SKIP

    It lives in the learner's process. The `TaskCurriculum` around each env draws a task at each reset, and
    counts the episode under that task. The rule is from Jiang, Grefenstette and Rocktäschel, "Prioritized
    Level Replay" (2021, arXiv:2010.03934), section 3; the numbers are those of the paper's equations. Let S_i
    be the score of task i, c the number of episodes so far, and C_i that number when task i was played last.
    Tasks that have been seen are drawn from

        (1)  P_replay(i) = (1 - rho) P_S(i) + rho P_C(i)
        (3)  P_S(i) = h(S_i)^(1/beta) / sum_j h(S_j)^(1/beta),  h(S_i) = 1 / rank(S_i)
        (4)  P_C(i) = (c - C_i) / sum_j (c - C_j)

    Tasks that have not been seen are all equally likely. Together they have a probability that equals their
    share among all tasks: as in the paper, it falls as more tasks are seen (1 - P_D in Algorithm 2). Of tasks
    with equal scores the one with the smaller number ranks first. C_i is taken when the learner collects the
    episode; Algorithm 2 takes it when the episode begins.

    Scores estimate how much there is to learn; the paper's choice, equation (2), is the mean magnitude of the
    advantages, an "L1 value loss". There are three ways to provide them:

    - `"recorded"`: the env records one, by `TaskCurriculum(score=...)`. Without that it is the episode's
      return, which is not such an estimate;
    - a function of what all envs have counted. With a success rate p, `p * (1 - p)` is largest for
      tasks that are neither mastered nor hopeless;
    - None: the learner computes them, and calls `give_scores(tasks, scores)`. Each episode's task is in its
      `info["curriculum"]["task"]`.

    Args:
        run: the `Run`; None: that of the integration that gets it as `training_info`, or of `Run.attach`.
        tasks: how many tasks there are; they are 0 ... tasks - 1.
        temperature: beta, above 0: the smaller, the more the first ranks are preferred.
        staleness: rho, 0 to 1: the share of the distribution for tasks that have not been played for long.
        score: where scores come from: `"recorded"`, None, or a function of the episodes that have ended since
            the last update, a structured array of shape `(tasks,)` and dtype `traincast.scores.TALLY`. It
            returns an array of that shape; only tasks with new episodes take their score from it.
        key: the key of the training information under which envs find the array, as `key.probabilities`.
        state: a `state_dict` to resume from. A run that was made with a saved state restores it by itself.

    Raises: ValueError if an argument is out of its range; RuntimeError if it belongs to another run; and as
        `traincast.scores.Scoreboard`.
    """

    _statistic = "score"

    def __init__(
        self,
        run: Run | None = None,
        *,
        tasks: int,
        temperature: float = 0.1,
        staleness: float = 0.1,
        score: Literal["recorded"] | Callable[[NDArray[np.void]], ArrayLike] | None = "recorded",
        key: str = "curriculum",
        state: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(tasks, key, "tasks")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        if not 0 <= staleness <= 1:
            raise ValueError(f"staleness must be between 0 and 1, not {staleness}")
        if not (score is None or score == "recorded" or callable(score)):
            raise TypeError(
                f'score must be "recorded", a function of the new episodes, or None, not {score!r}'
            )
        self._temperature = float(temperature)
        self._staleness = float(staleness)
        self._score = score
        self._scores = np.zeros(self._tasks)
        self._seen = np.zeros(self._tasks, np.bool_)
        self._played_at = np.zeros(self._tasks, np.int64)
        self._count = 0
        self._given = False
        self._probabilities = self._computed()
        self._set_up(run, state)

    @property
    def probabilities(self) -> Array:
        """The distribution that envs draw from: float64 of shape `(tasks,)`, read-only; its sum is 1."""
        return self._probabilities

    @property
    def scores(self) -> Array:
        """The score of each task: float64 of shape `(tasks,)`; nan where there is none yet."""
        return np.where(self._seen, self._scores, np.nan)

    @property
    def episodes(self) -> int:
        """How many episodes all envs have played."""
        return self._count

    def give_scores(self, tasks: ArrayLike, scores: ArrayLike) -> None:
        """Take scores that the learner has computed; the next update acts on them.

        Args:
            tasks: numbers of tasks, integers of any shape. If a task occurs twice, its last score counts.
            scores: their scores, finite numbers of the same shape.

        Raises: ValueError if the shapes differ, a task does not exist, or a score is not finite; TypeError if
            tasks are not integers.
        """
        which, values = np.atleast_1d(np.asarray(tasks)), np.atleast_1d(np.asarray(scores, np.float64))
        if which.shape != values.shape:
            raise ValueError(f"tasks have the shape {which.shape}, but scores {values.shape}")
        if not np.issubdtype(which.dtype, np.integer) and which.size:
            raise TypeError(f"tasks must be integers, not {which.dtype}")
        if which.size and not (which.min() >= 0 and which.max() < self._tasks):
            raise ValueError(f"tasks are 0...{self._tasks - 1}, not {which.min()}...{which.max()}")
        self._take(which.astype(np.intp), values)
        self._given = self._given or which.size > 0

    def _take(self, which: NDArray[np.intp], values: Array) -> None:
        if not np.isfinite(values).all():
            bad = which[~np.isfinite(values)]
            raise ValueError(f"scores must be finite, but those of tasks {bad[:5].tolist()} are not")
        self._scores[which] = values
        self._seen[which] = True

    def _collect(self) -> bool:
        changed = super()._collect()
        if self._given:
            self._given, changed = False, True
            self._probabilities = self._computed()
        return changed

    def _learn(self, added: NDArray[np.void]) -> bool:
        new = np.flatnonzero(added["episodes"])
        self._count += int(added["episodes"].sum())  # also where a user's function fails
        self._played_at[new] = self._count  # in which order they ended is not known
        if self._score is not None:
            found = self._score(added) if callable(self._score) else added["last_score"]
            scores = np.asarray(found, np.float64)
            if scores.shape != (self._tasks,):
                raise ValueError(f"score must return an array of shape ({self._tasks},), not {scores.shape}")
            self._take(new, scores[new])
        self._probabilities = self._computed()
        return True

    def _computed(self) -> Array:
        probabilities = replay_probabilities(
            self._scores,
            self._seen,
            self._played_at,
            self._count,
            temperature=self._temperature,
            staleness=self._staleness,
        )
        probabilities.flags.writeable = False
        return probabilities

    def _told(self) -> dict[str, Any]:
        return {"probabilities": self._probabilities}

    def _rule_state(self) -> dict[str, Any]:
        return {
            "scores": self._scores.tolist(),
            "seen": self._seen.tolist(),
            "played_at": self._played_at.tolist(),
            "episodes": self._count,
        }

    def _load_rule(self, state: Mapping[str, Any]) -> None:
        scores = np.array(state["scores"], np.float64)
        seen = np.array(state["seen"], np.bool_)
        played_at = np.array(state["played_at"], np.int64)
        count = int(state["episodes"])
        if {scores.shape, seen.shape, played_at.shape} != {(self._tasks,)} or not np.isfinite(scores).all():
            raise ValueError(f"{self._tasks} tasks have {self._tasks} finite scores")
        self._count = count
        self._scores, self._seen, self._played_at = scores, seen, played_at
        self._given = False
        self._probabilities = self._computed()

    def __repr__(self) -> str:
        return f"<TaskSampler of {self._tasks} tasks, {int(self._seen.sum())} of them seen>"


TaskSampler.__module__ = "traincast.curriculum"
