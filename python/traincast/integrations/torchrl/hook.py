"""`TrainingInfoHook`: publishes the training information of a TorchRL trainer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import Trainer, TrainerHookBase

from traincast._core import list_channels
from traincast._warnings import warn_once
from traincast.integrations._publishing import Publishing, TrainingInfo
from traincast.integrations.torchrl import envs, saved
from traincast.integrations.torchrl.curriculum import numbers_of_batch
from traincast.integrations.torchrl.transform import TrainingInfoTransform
from traincast.run import EnvFn, Run

__all__ = ["TrainingInfoHook"]

_NAME = "training_info"


class TrainingInfoHook(Publishing, TrainerHookBase):
    """Publishes the frames that a trainer has collected, and more, to the envs of its collector.

    Make it before the envs: a collector resets its envs when it is made, before any hook of the trainer runs.
    So the hook publishes at once, and then after the optimization steps of each batch. The trainer's logger
    gets the numbers that were published, as `"traincast/<name>"`, at the trainer's `log_interval`, and those
    that a `CurriculumInfoReader` has put into the batch.

    A registered hook is saved with the trainer. To go on from a checkpoint, also pass the checkpoint as
    `resume_from`, because `trainer.load_from_file` comes after the first resets.

    Several trainers may use one hook, one after the other: the count goes on. In worker processes a hook is a
    reference to its run.

    Args:
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones, which a
            checkpoint does not change. A function: it is called with the trainer before each publish, and
            returns the entries that have changed, or None.
        start: the frames so far, if there is no checkpoint of the hook.
        first_info: the function's entries until its first call.
        run: a `Run` that the caller has made; None: one of its own, with a unique name.
        resume_from: a file or folder that the trainer was saved to; None: a new training.
        name: the name under which the hook is registered and saved.
        options: further arguments of `traincast.Run`.

    Raises: as `traincast.Run`; TypeError if `training_info` is neither; FileNotFoundError if there is no
        checkpoint `resume_from`, KeyError if no hook of this name was saved in it.

    Example:
        >>> hook = TrainingInfoHook()  # doctest: +SKIP
        >>> env = ParallelEnv(8, hook.wrap_env_fn(make_env))  # doctest: +SKIP
        >>> trainer = Trainer(collector=Collector(env, ...), ...)  # doctest: +SKIP
        >>> hook.register(trainer)  # doctest: +SKIP
    """

    def __init__(
        self,
        training_info: TrainingInfo | None = None,
        *,
        start: int = 0,
        first_info: Mapping[str, Any] | None = None,
        run: Run | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        name: str = _NAME,
        **options: Any,
    ) -> None:
        self._constants = dict(training_info) if isinstance(training_info, Mapping) else {}
        if resume_from is not None:
            state = saved.from_file(resume_from, name)
            # The state of the checkpoint is newer than what a new training begins with.
            reached = state["training_info"]
            first_info = {key: value for key, value in (first_info or {}).items() if key not in reached}
            if run is None:
                options["state"] = state
            else:
                run.load_state_dict(state)
        super().__init__(training_info, start=start, first_info=first_info, run=run, **options)
        self.name = name
        self._trainer: Trainer | None = None
        self._resumed = resume_from is not None

    # The trainer's side.

    def register(self, trainer: Trainer, name: str | None = None) -> None:
        """Register the hook in the trainer: it publishes from then on, and is saved with the trainer."""
        trainer.register_module(name or self.name, self)
        trainer.register_op("setup", self._begin_training)
        trainer.register_op("post_steps", self)
        trainer.register_op("post_steps_log", self.log)
        self._trainer = trainer

    def __call__(self) -> None:
        """Publish the frames that the trainer has collected."""
        trainer = self._registered()
        self._publish(trainer.collected_frames, trainer)

    def log(self, batch: TensorDictBase | None = None) -> dict[str, float] | None:
        """Return what the trainer logs: the numbers that were published last, and those of curricula."""
        if not self.run.publishes or self.run.closed:  # on other ranks than 0, nothing
            return None
        published = {f"traincast/{name}": number for name, number in self._numbers().items()}
        return published | numbers_of_batch(batch)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint should hold, as tensors."""
        return dict(saved.as_saved(self.run))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Publish the training information of a checkpoint, and go on from it.

        Envs that were reset before have seen older training information: `resume_from` prevents that.
        """
        state = saved.from_saved(state_dict)
        state["training_info"] = {**state["training_info"], **self._constants}
        before = self.run.steps
        self._resume(state)
        if not self._resumed and before < self.run.steps and _is_read(self.run):
            warn_once(
                ("loaded late", self.run.name),
                f"envs were reset at {before} training steps before the checkpoint with {self.run.steps} was "
                "loaded, because collectors reset their envs when they are made. Pass the checkpoint to the "
                "hook as well: TrainingInfoHook(resume_from=...)",
            )

    def _begin_training(self) -> None:
        """Note where the trainer's count begins: it may go on after a checkpoint, or begin anew."""
        steps = self._begin(self._registered().collected_frames)
        if steps != self.run.steps:
            self.run.publish(steps)

    def _registered(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("the hook has no trainer: call hook.register(trainer)")
        return self._trainer

    # The side of the envs: partials of the run, so that the trainer is not pickled to worker processes.

    @property
    def wrap_env(self) -> Callable[..., Any]:
        """`wrap_env(env, **options)` wraps a Gymnasium env, for a `GymWrapper`, or transforms a TorchRL env.

        `options` are those of `traincast.TrainingInfoWrapper`, or of `TrainingInfoTransform`.
        """
        return partial(envs.wrap_env, self.run)

    @property
    def wrap_env_fn(self) -> Callable[..., EnvFn[Any]]:
        """`wrap_env_fn(make_env, **options)` returns a function that makes such an env.

        It pickles whenever `make_env` does.
        """
        return partial(envs.wrap_env_fn, self.run)

    @property
    def wrap_eval_env(self) -> Callable[..., Any]:
        """`wrap_eval_env(env, training_info=None, **options)` wraps an env with fixed training information.

        The env sees `training_info`. Without it, the env keeps what is newest at its first reset, and warns
        if that is still the start of the training.
        """
        return partial(envs.wrap_eval_env, self.run)

    @property
    def transform(self) -> Callable[..., TrainingInfoTransform]:
        """`transform(**options)` returns a `TrainingInfoTransform` that reads this run."""
        return partial(envs.transform_of, self.run)

    @property
    def eval_transform(self) -> Callable[..., TrainingInfoTransform]:
        """`eval_transform(training_info=None, **options)` returns one for evaluation, as `wrap_eval_env`."""
        return partial(envs.eval_transform_of, self.run)

    def __getstate__(self) -> dict[str, Any]:
        return {"run": self.run, "_trainer": None, "_more": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _is_read(run: Run) -> bool:
    """Tell if envs have been reset already."""
    channels = list_channels(directory=run.channel.directory)
    return any(
        channel["name"] == run.name and channel["policy_id"] == run.policy_id and channel["readers"]
        for channel in channels
    )
