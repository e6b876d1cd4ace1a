"""Stable-Baselines3: a callback that publishes, and wraps the envs that read.

info = TrainingInfoCallback()
venv = make_vec_env(MyEnv, 8, wrapper_class=info.wrap_env, vec_env_cls=SubprocVecEnv)
model.learn(1_000_000, callback=info)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from traincast._infos import numbers_in
from traincast._optional import require
from traincast._warnings import warn_once
from traincast.integrations._publishing import Publishing, TrainingInfo, has_readers

require("stable_baselines3", "stable-baselines3", __name__)

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402 - after `require`

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from traincast.run import Run

__all__ = ["TrainingInfoCallback"]

_TABLE_WIDTH = 33  # characters of a name in SB3's console tables; two names that are equal up to there raise


class TrainingInfoCallback(Publishing, BaseCallback):
    """Publishes the training steps after each step of the envs, and whatever else `training_info` returns.

    `learn()` resets the envs before it calls any callback. So make the callback before the envs: it publishes
    at once. To resume a training, pass `start=model.num_timesteps`.

    The count goes on at a second `learn()`, even if that sets `model.num_timesteps` back to 0.

    At the end of each episode and rollout the SB3 logger gets the numbers that were published last, as
    `traincast/...`, and those that curricula show in `info["curriculum"]`, as `curriculum/...`: means over
    the episodes that ended since the logger was last dumped.

    Args:
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones. A function: it
            is called with this callback at the start of each `learn()` and after each step of the envs, and
            returns the entries that have changed, or None. The callback has `model`, `num_timesteps`,
            `training_env`, `locals` and `logger`.
        start: the training steps so far: `model.num_timesteps` of a model that is trained further.
        first_info: the function's entries until its first call, which envs see at their first reset.
        run: a run that the caller has made; None: one of its own, with a unique name.
        verbose: as for every callback.
        options: arguments of `traincast.Run`.

    Attributes:
        run: the `traincast.Run`: its name, `state_dict()` for a checkpoint, `publish` and `close`.

    Raises: TypeError if `training_info` is neither; and as `traincast.Run`.

    Env functions may refer to the callback: a copy in another process is a reference to its run, which wraps
    envs there and has no model.

    Example:
        >>> def more(callback):
        ...     return {"exploration": callback.model.exploration_rate}  # of a DQN
        >>> info = TrainingInfoCallback(more, first_info={"exploration": 1.0})  # doctest: +SKIP
    """

    def __init__(
        self,
        training_info: TrainingInfo | None = None,
        *,
        start: int = 0,
        first_info: Mapping[str, Any] | None = None,
        run: Run | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(training_info, start=start, first_info=first_info, run=run, **options)
        self.verbose = verbose
        self._trained: BaseAlgorithm | None = None
        self._looked_for_readers = False

    def _on_training_start(self) -> None:
        reached, counted = self.run.steps, self.model.num_timesteps
        if self.run.publishes and reached < counted and not self.n_calls:
            self._warn_of_the_start(reached, counted)
        if self._trained is not None and self._trained is not self.model and reached and not counted:
            self._warn_of_another_model(reached)
        self._trained = self.model
        self._looked_for_readers = False
        self._begin(counted)
        self._publish(counted, self)

    def _on_step(self) -> bool:
        self._publish(self.num_timesteps, self)
        dones = self.locals.get("dones", ())
        if any(dones):
            for done, info in zip(dones, self.locals.get("infos", ()), strict=False):
                if done:
                    self._record_curriculum(info.get("curriculum"))
            self._record_published()
            self._look_for_readers()
        return True

    def _on_rollout_end(self) -> None:
        self._record_published()

    # The SB3 logger.

    def _record_published(self) -> None:
        if self.run.publishes:
            for name, number in self._numbers().items():
                self.logger.record(f"traincast/{name}", number, exclude=_excluded(name))

    def _record_curriculum(self, shown: Any) -> None:
        if isinstance(shown, Mapping):
            for name, number in numbers_in(shown).items():
                if math.isfinite(number):  # the average of no episodes is nan
                    self.logger.record_mean(f"curriculum/{name}", number, exclude=_excluded(name))

    # What a user may have forgotten.

    def _look_for_readers(self) -> None:
        """Warn if episodes end but no env reads the run."""
        if self._looked_for_readers or not self.run.publishes:
            return
        self._looked_for_readers = True
        if not has_readers(self.run):
            warn_once(
                ("nobody reads", self.run.channel),
                f"no env reads run {self.run.name!r}. Wrap each env: make_vec_env(..., "
                "wrapper_class=info.wrap_env). Envs that were wrapped for another run stay with that run: "
                "make them again, with the callback that learn() gets.",
            )

    def _warn_of_the_start(self, reached: int, counted: int) -> None:
        warn_once(
            ("start", self.run.channel),
            f"learn() has reset the envs at {reached} training steps, but the model goes on from {counted}: "
            "pass TrainingInfoCallback(start=model.num_timesteps)",
        )

    def _warn_of_another_model(self, reached: int) -> None:
        warn_once(
            ("another model", self.run.channel),
            f"another model begins at 0, but the training steps of the run go on from {reached}. For a new "
            "training make a new TrainingInfoCallback, and envs that it wraps; to train a model further, use "
            "learn(..., reset_num_timesteps=False)",
        )

    # Env functions that refer to the callback pickle it to worker processes.

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the model, and whatever else belongs to the training."""
        return {"run": self.run, "verbose": self.verbose}


def _excluded(name: str) -> tuple[str, ...] | None:
    """Return the outputs of the logger that cannot show a number of that name."""
    return ("stdout", "log") if len(name) > _TABLE_WIDTH else None
