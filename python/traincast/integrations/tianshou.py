"""Tianshou 2: the envs of its collectors see the newest training information at each reset.

    info = TrainingInfoFn(start=0)
    envs = SubprocVectorEnv([info.wrap_env_fn(make_env) for _ in range(8)])
    params = OnPolicyTrainerParams(..., training_collector=Collector(..., envs), training_fn=info)

The trainer calls `training_fn` at the beginning of each training step, before it collects. But it resets the
envs before that, so the run publishes as soon as it is made. With `CurriculumCollectStats` the collectors
report the numbers that the curricula of their envs show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from traincast._infos import numbers_in
from traincast._optional import require
from traincast._warnings import warn_once
from traincast.integrations._publishing import Publishing, ReaderWatch, TrainingInfo, _Steps, has_readers
from traincast.run import Run

require("tianshou", "tianshou", __name__)

from tianshou.data import CollectStats  # noqa: E402 - after `require`
from tianshou.utils import BaseLogger  # noqa: E402

__all__ = ["CurriculumCollectStats", "TrainingInfoFn"]


class TrainingInfoFn(Publishing):
    """A `training_fn` that publishes the training information; the envs that it wraps read it.

    A later `Trainer.run` goes on from the steps of the one before. To go on from a checkpoint, say where it
    was: `start=logger.restore_data()[1]` beside `resume_from_log=True`, or the number in your checkpoint.

    If you pass it as `test_fn` as well, it publishes the complete count at the end of each epoch; then a
    second `run` also counts the last training step of the first.

    Args:
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones. A function of
            `(epoch, env_step)`, like Tianshou's own: it is called before each publish, and returns the
            entries that have changed, or None. `env_step` includes the steps before this `run`.
        start: the env steps so far.
        first_info: the function's entries until its first call.
        run: a `Run` that you have made; None: one of its own, with a unique name.
        logger: the logger of the trainer; it gets the numbers, as `traincast/...`, once in its
            `training_interval`.
        options: arguments of `Run`, such as `state=`.

    Raises: TypeError if `training_info` is neither; and as `Run`.

    Example:
        >>> info = TrainingInfoFn(lambda epoch, env_step: {"bots": epoch // 10})  # doctest: +SKIP
    """

    def __init__(
        self,
        training_info: TrainingInfo | None = None,
        *,
        start: int = 0,
        first_info: Mapping[str, Any] | None = None,
        run: Run | None = None,
        logger: BaseLogger | None = None,
        **options: Any,
    ) -> None:
        super().__init__(training_info, start=start, first_info=first_info, run=run, **options)
        if not isinstance(logger, BaseLogger | None):
            raise TypeError(
                f"logger must be a logger of Tianshou, such as TensorboardLogger(writer), not {logger!r}"
            )
        self._logger = logger
        self._logged: int | None = None
        self._called = False
        self._readers = ReaderWatch(self.run, "SubprocVectorEnv([info.wrap_env_fn(make_env)] * 8)")

    def __call__(self, epoch: int, env_step: int) -> None:
        """Publish the steps that the trainer has counted; the trainer calls this."""
        if not self._called:
            self._called = True
            self._check_start(env_step)
        steps = self._steps.at(env_step)
        self._publish(env_step, epoch, steps)
        self._readers.published()
        if self._logger is not None and self.run.publishes:
            self._log(self._logger, steps)

    def _check_start(self, env_step: int) -> None:
        began = self.run.steps
        if env_step > began and self.run.publishes and has_readers(self.run):
            warn_once(
                ("resumed without start", self.run.channel),
                f"the training goes on from {env_step} steps, but run {self.run.name!r} began at {began}, "
                "and the first resets of its envs saw that. Tell it where to begin: "
                "TrainingInfoFn(start=logger.restore_data()[1])",
            )

    def _log(self, logger: BaseLogger, steps: int) -> None:
        if self._logged is None or steps - self._logged >= logger.training_interval:
            self._logged = steps
            logger.write("traincast/env_step", steps, self._numbers())

    def __getstate__(self) -> dict[str, Any]:
        """Keep only the run, with which a copy wraps envs: function and logger may not be picklable."""
        return {"run": self.run}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.run = state["run"]
        self._more = self._logger = self._logged = None
        self._steps = _Steps(self.run.steps if self.run.publishes else 0)
        self._called = True
        self._readers = ReaderWatch(self.run, "")


@dataclass(kw_only=True)
class CurriculumCollectStats(CollectStats):
    """Statistics of a collector, with the numbers that the curricula of its envs showed at ends of episodes.

    Tianshou's loggers log them: `training/curriculum/level` and so on, and `test/curriculum/...` for the test
    collector.

    Example:
        >>> Collector(policy, envs, collect_stats_class=CurriculumCollectStats)  # doctest: +SKIP
    """

    info_key: ClassVar[str] = "curriculum"
    """The key of the envs' infos that has the numbers: the `info_key` of the curricula."""

    curriculum: dict[str, float] = field(default_factory=dict)
    """Means over the episodes that ended in this collection."""

    def update_at_episode_done(self, episode_batch: Any, *args: Any, **kwargs: Any) -> None:
        """Add an episode to the means."""
        super().update_at_episode_done(episode_batch, *args, **kwargs)
        shown = episode_batch.info[-1].get(self.info_key)
        for name, number in {} if shown is None else numbers_in(shown).items():
            if math.isfinite(number):  # the average of no episodes is nan
                mean = self.curriculum.get(name, number)
                self.curriculum[name] = mean + (number - mean) / self.n_collected_episodes
