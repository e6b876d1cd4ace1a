"""TorchRL: the hook beside the calls that a `ParallelEnv` and a collector of processes send to workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.collectors import Collector, MultiSyncCollector, RandomPolicy
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, ParallelEnv, TransformedEnv
from torchrl.trainers import Trainer

from benches.cases.payloads import payloads
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, reset_with_news
from traincast.integrations.torchrl import TrainingInfoHook

FRAMEWORK = "TorchRL"
ENVS = (8, 32)
ROUNDS = 300
WHOLE = payloads(64)  # with the steps in them

HOOK, ATTRIBUTE, MAP_FN = "TrainingInfoHook", "attribute of ParallelEnv", "map_fn of MultiSyncCollector"


class Still(EnvBase):
    """An env whose reset costs next to nothing beside TorchRL's own part."""

    training_info: dict[str, Any] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded((1,)))
        self.action_spec = Categorical(2)
        self.reward_spec = Unbounded((1,))

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        return TensorDict({"observation": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        done = torch.ones(1, dtype=torch.bool)
        return TensorDict({"observation": torch.zeros(1), "reward": torch.zeros(1), "done": done})

    def _set_seed(self, seed: int | None) -> None:
        pass


def costs() -> list[Cost]:
    found = []
    resets = {HOOK: _reset(), ATTRIBUTE: 0.0, MAP_FN: 0.0}  # the others tell envs between two resets
    for count in ENVS:
        with ExitStack() as stack:
            for way, nanoseconds in in_turns(_ways(count, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, count, nanoseconds, resets[way]))
    return found


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new."""
    new, more = cycle(WHOLE), cycle(INFOS)
    hook = TrainingInfoHook(lambda trainer: next(more), first_info=INFOS[0])
    stack.callback(hook.run.close)
    ours = ParallelEnv(count, hook.wrap_env_fn(Still), mp_start_method="fork")
    theirs = ParallelEnv(count, Still, mp_start_method="fork")
    collector = Collector(ours, RandomPolicy(ours.action_spec), frames_per_batch=count, total_frames=-1)
    stack.callback(collector.shutdown)
    theirs.reset()
    stack.callback(theirs.close)
    module = torch.nn.Linear(1, 1)
    trainer = Trainer(
        collector=collector, total_frames=1, frame_skip=1, optim_steps_per_batch=1, loss_module=module
    )
    hook.register(trainer)

    def publish() -> None:
        trainer.collected_frames += count
        hook()

    ways: dict[str, Callable[[], object]] = {
        HOOK: publish,
        ATTRIBUTE: lambda: theirs.set_training_info(next(new)),
    }
    if count == min(ENVS):  # each of its processes has a collector, and takes seconds to start
        processes = MultiSyncCollector(
            [Still] * count, RandomPolicy(theirs.action_spec[0]), frames_per_batch=count, total_frames=-1
        )
        stack.callback(processes.shutdown)
        ways[MAP_FN] = lambda: processes.map_fn("env.set_training_info", [(next(new),)] * count)
    return ways


def _reset() -> float:
    hook = TrainingInfoHook(first_info=INFOS[0])
    taken = reset_with_news(hook.run, hook.wrap_env(Still()), TransformedEnv(Still()))
    hook.run.close()
    return taken
