"""skrl: a broadcasting agent beside `call` and `set_attr` of Gymnasium's `AsyncVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from skrl.agents.torch.ppo import PPO, PPO_CFG

import traincast
from benches.cases.payloads import STEPS, payloads
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from traincast.integrations.skrl import broadcast

FRAMEWORK = "skrl"
ENVS = (8, 32)
ROUNDS = 300
INFOS = [{key: value for key, value in info.items() if key != STEPS} for info in payloads(64)]


def costs() -> list[Cost]:
    found = []
    reset = _resets()
    for envs in ENVS:
        with ExitStack() as stack:
            taken = in_turns(_ways(envs, stack), rounds=ROUNDS)
            taken["broadcast"] -= taken.pop("not broadcasting")
            for way, nanoseconds in taken.items():
                found.append(Cost(FRAMEWORK, way, envs, nanoseconds, reset[way]))
    return found


def _agent() -> PPO:
    """An agent in training, which never comes to an update."""
    cfg = PPO_CFG(rollouts=10**9, experiment={"write_interval": 0, "checkpoint_interval": 0})
    agent = PPO(models={}, cfg=cfg, device="cpu")
    agent.init()
    agent.enable_training_mode(True)
    return agent


def _ways(envs: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Each tells all envs something new; an agent that tells nothing has a timestep, too."""
    new = cycle(INFOS)
    run = stack.enter_context(traincast.Run("skrl"))
    ours = AsyncVectorEnv([run.wrap_env_fn(Still)] * envs, context="fork")
    theirs = AsyncVectorEnv([Still] * envs, context="fork")
    for venv in (ours, theirs):
        stack.callback(venv.close)
        venv.reset()
    agent, plain = _agent(), _agent()
    broadcast(agent, run, lambda timestep, timesteps: next(new), first_info=INFOS[0])
    return {
        "broadcast": lambda: agent.post_interaction(timestep=0, timesteps=1),
        "not broadcasting": lambda: plain.post_interaction(timestep=0, timesteps=1),
        "call": lambda: theirs.call("set_training_info", next(new)),
        "set_attr": lambda: theirs.set_attr("training_info", next(new)),
    }


def _resets() -> dict[str, float]:
    """What a reset that finds something new takes longer than one of the bare env."""
    new: Any = cycle(INFOS)
    with traincast.Run("skrl", training_info=INFOS[0]) as run:
        ours, bare = run.wrap_env(Still()), gymnasium.Wrapper(Still())

        def publish() -> None:
            run.publish(run.steps + 1, **next(new))

        def told() -> None:
            publish()
            ours.reset()

        taken = in_turns({"bare": bare.reset, "publish": publish, "ours": told}, rounds=ROUNDS, calls=20)
    return {
        "broadcast": taken["ours"] - taken["publish"] - taken["bare"],
        "call": 0.0,  # the envs are told between two resets
        "set_attr": 0.0,
    }
