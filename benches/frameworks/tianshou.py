"""Tianshou 2: the `training_fn` beside `set_env_attr`, with `SubprocVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count as numbers_from
from itertools import cycle

import gymnasium
from tianshou.env import SubprocVectorEnv

from benches.cases.payloads import STEPS, payloads
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from traincast.integrations.tianshou import TrainingInfoFn

FRAMEWORK = "Tianshou"
ENVS = (8, 32)
ROUNDS = 300
INFOS = [{key: value for key, value in info.items() if key != STEPS} for info in payloads(64)]


def costs() -> list[Cost]:
    found = []
    reset = _resets()
    for envs in ENVS:
        with ExitStack() as stack:
            for way, nanoseconds in in_turns(_ways(envs, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, envs, nanoseconds, reset[way]))
    return found


def _ways(envs: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Each tells all envs something new."""
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
    """What a reset that finds something new takes longer than one of the bare env."""
    new = cycle(INFOS)
    info = TrainingInfoFn(first_info=INFOS[0])
    ours, bare = info.wrap_env(Still()), gymnasium.Wrapper(Still())

    def publish() -> None:
        info.run.publish(info.run.steps + 1, **next(new))

    def told() -> None:
        publish()
        ours.reset()

    taken = in_turns({"bare": bare.reset, "publish": publish, "ours": told}, rounds=ROUNDS, calls=20)
    info.run.close()
    return {
        "TrainingInfoFn": taken["ours"] - taken["publish"] - taken["bare"],
        "set_env_attr": 0.0,  # the attribute is set between two resets
    }
