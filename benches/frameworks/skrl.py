"""skrl: a broadcasting agent beside `call` and `set_attr` of Gymnasium's `AsyncVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from skrl.agents.torch.ppo import PPO, PPO_CFG

import traincast
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, reset_with_news
from traincast.integrations.skrl import broadcast

FRAMEWORK = "skrl"
ENVS = (8, 32)
ROUNDS = 300


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
    """An agent in training that never gets to an update."""
    cfg = PPO_CFG(rollouts=10**9, experiment={"write_interval": 0, "checkpoint_interval": 0})
    agent = PPO(models={}, cfg=cfg, device="cpu")
    agent.init()
    agent.enable_training_mode(True)
    return agent


def _ways(envs: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new, and a timestep of an agent that tells nothing."""
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
    with traincast.Run("skrl", training_info=INFOS[0]) as run:
        ours = reset_with_news(run, run.wrap_env(Still()), gymnasium.Wrapper(Still()))
    return {"broadcast": ours, "call": 0.0, "set_attr": 0.0}  # they are told between two resets
