"""Gymnasium, and with it CleanRL's scripts: `publish` beside `call` and `set_attr` of an `AsyncVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle

import gymnasium

import traincast
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, Setting, reset_of_setting, reset_with_news

FRAMEWORK = "Gymnasium, CleanRL"
ENVS = (8, 32)
ROUNDS = 300
BATCH = len(INFOS)  # publishes in one sample: a single one is too short for the clock
OURS, CALL, SET_ATTR = "traincast.Run.publish", "AsyncVectorEnv.call", "AsyncVectorEnv.set_attr"


def costs() -> list[Cost]:
    resets, found = _resets(), []
    for envs in ENVS:
        with ExitStack() as stack:
            blocked = in_turns(_ways(envs, stack), rounds=ROUNDS)
            blocked[OURS] /= BATCH
            found += [Cost(FRAMEWORK, way, envs, blocked[way], resets[way]) for way in blocked]
    return found


def publisher(run: traincast.Run) -> Callable[[], None]:
    """Publishes a batch of infos, with new steps each."""

    def publish() -> None:
        steps = run.steps
        for info in INFOS:
            run.publish(steps := steps + 1, **info)

    return publish


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new; ours does so a batch of times."""
    new = cycle(INFOS)
    run = stack.enter_context(traincast.Run("costs"))
    ours = gymnasium.vector.AsyncVectorEnv([run.wrap_env_fn(Still)] * count, context="fork")
    theirs = gymnasium.vector.AsyncVectorEnv([partial(Setting, Still())] * count, context="fork")
    for envs in (ours, theirs):
        stack.callback(envs.close)
        envs.reset()
    return {
        OURS: publisher(run),
        CALL: lambda: theirs.call("set_training_info", next(new)),
        SET_ATTR: lambda: theirs.set_attr("training_info", next(new)),
    }


def _resets() -> dict[str, float]:
    with traincast.Run("costs", training_info=INFOS[0]) as run:
        ours = reset_with_news(run, run.wrap_env(Still()), gymnasium.Wrapper(Still()))
    return {OURS: ours, CALL: 0.0, SET_ATTR: reset_of_setting()}  # `call` tells them between two resets
