"""Tianshou 2: the `training_fn` beside `set_env_attr`, with `SubprocVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count as numbers_from
from itertools import cycle

import gymnasium
from tianshou.env import SubprocVectorEnv

from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, reset_with_news
from traincast.integrations.tianshou import TrainingInfoFn

FRAMEWORK = "Tianshou"
ENVS = (8, 32)
ROUNDS = 300


def costs() -> list[Cost]:
    found = []
    reset = _resets()
    for envs in ENVS:
        with ExitStack() as stack:
            for way, nanoseconds in in_turns(_ways(envs, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, envs, nanoseconds, reset[way]))
    return found


def _ways(envs: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new."""
    new = cycle(INFOS)
    steps = numbers_from(1)
    info = TrainingInfoFn(lambda epoch, env_step: next(new), first_info=INFOS[0])
    stack.callback(info.run.close)
    ours = SubprocVectorEnv([info.wrap_env_fn(Still)] * envs, context="fork")
    theirs = SubprocVectorEnv([Still] * envs, context="fork")
    for venv in (ours, theirs):
        stack.callback(venv.close)
        venv.reset()
    info(1, 0)
    return {
        "TrainingInfoFn": lambda: info(1, next(steps)),
        "set_env_attr": lambda: theirs.set_env_attr("training_info", next(new)),
    }


def _resets() -> dict[str, float]:
    info = TrainingInfoFn(first_info=INFOS[0])
    ours = reset_with_news(info.run, info.wrap_env(Still()), gymnasium.Wrapper(Still()))
    info.run.close()
    return {"TrainingInfoFn": ours, "set_env_attr": 0.0}  # the attribute is set between two resets
