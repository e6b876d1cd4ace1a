"""Trainings with collectors of several processes, one after the other.

Such a program hangs at its end, with us or without: it ends itself.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torchrl.collectors import MultiAsyncCollector, MultiSyncCollector
from torchrl.envs import ParallelEnv
from torchrl.objectives import DQNLoss
from torchrl.trainers import Trainer
from torchrl_trainers import DeafEnv, NativeEnv, policy

from traincast.integrations.torchrl import TrainingInfoHook


def train(collect: Any, hook: TrainingInfoHook) -> None:
    actor = policy()
    loss = DQNLoss(actor, action_space="categorical", delay_value=False)
    trainer = Trainer(
        collector=collect([hook.wrap_env_fn(NativeEnv)] * 2, actor, frames_per_batch=60, total_frames=600),
        total_frames=600,
        frame_skip=1,
        optim_steps_per_batch=1,
        loss_module=loss,
        optimizer=torch.optim.SGD(loss.parameters(), 1e-3),
        progress_bar=False,
    )
    hook.register(trainer)
    trainer.train()
    print(f"trained {trainer.collected_frames} frames, {hook.run.steps} in all", flush=True)


if __name__ == "__main__":
    hook = TrainingInfoHook()
    torch.multiprocessing.set_start_method("fork", force=True)  # spawned workers take seconds to start
    train(MultiSyncCollector, hook)
    train(MultiAsyncCollector, hook)
    deaf = ParallelEnv(2, hook.wrap_env_fn(DeafEnv))
    deaf.reset()
    deaf.close()
    hook.run.close()
    os._exit(0)
