"""A small trainer, and envs that note what they are told. Worker processes import them by name."""

from __future__ import annotations

from typing import Any

import torch
from recording_envs import RecordingEnv
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, GymWrapper, Transform
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss
from torchrl.trainers import Trainer

STEPS = "approx_total_training_steps"


def gym_env(length: int = 3) -> RecordingEnv:
    return RecordingEnv(length)


class NativeEnv(EnvBase):
    """Counts to `length`; its observation is the training steps that it was told last, -1 before."""

    def __init__(self, length: int = 3, batch_size: tuple[int, ...] = ()) -> None:
        super().__init__(batch_size=torch.Size(batch_size))
        shape = (*batch_size, 1)
        self.length = length
        self.told: list[dict[str, Any]] = []
        self.count = torch.zeros(shape, dtype=torch.int64)
        self.known = torch.full(shape, -1.0)
        self.observation_spec = Composite(observation=Unbounded(shape), shape=batch_size)
        self.action_spec = Categorical(2, shape=torch.Size(batch_size))
        self.reward_spec = Unbounded(shape)

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.told.append(training_info)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        which = torch.ones_like(self.count, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict:
            which = tensordict["_reset"].view_as(self.count)
        self.count = torch.where(which, 0, self.count)
        steps = float(self.told[-1][STEPS]) if self.told else -1.0
        self.known = torch.where(which, steps, self.known)
        return TensorDict({"observation": self.known.clone()}, self.batch_size)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.count = self.count + 1
        done = self.count >= self.length
        return TensorDict(
            {
                "observation": self.known.clone(),
                "reward": torch.ones_like(self.known),
                "done": done,
                "terminated": done.clone(),
            },
            self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        pass


class DeafEnv(NativeEnv):
    """Takes no training information."""

    set_training_info = None  # type: ignore[assignment]


class ListeningTransform(Transform):
    """A transform that wants to be told, too."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.told.append(training_info)

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return tensordict_reset


def policy() -> QValueActor:
    module = TensorDictModule(torch.nn.Linear(1, 2), in_keys=["observation"], out_keys=["action_value"])
    return QValueActor(module, in_keys=["observation"], action_space="categorical")


def small_trainer(env: EnvBase, total_frames: int = 40, **options: Any) -> Trainer:
    """A trainer of a real loss, with a collector that lives in this process: 10 frames a batch."""
    actor = policy()
    loss = DQNLoss(actor, action_space="categorical", delay_value=False)
    loss.make_value_estimator()  # else the state of the loss grows when it is first used
    return Trainer(
        collector=Collector(env, actor, frames_per_batch=10, total_frames=total_frames),
        total_frames=total_frames,
        frame_skip=1,
        optim_steps_per_batch=1,
        loss_module=loss,
        optimizer=torch.optim.SGD(loss.parameters(), 1e-3),
        progress_bar=False,
        **{"log_interval": 0} | options,
    )


def wrapped_gym_env(hook: Any, length: int = 3) -> GymWrapper:
    return GymWrapper(hook.wrap_env(gym_env(length)), categorical_action_encoding=True)
