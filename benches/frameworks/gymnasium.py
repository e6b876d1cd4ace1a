"""Gymnasium, and with it CleanRL's scripts: `publish` beside `call` and `set_attr` of an `AsyncVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from typing import Any

import gymnasium

import traincast
from benches.cases.payloads import STEPS, payloads
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns

FRAMEWORK = "Gymnasium, CleanRL"
ENVS = (8, 32)
ROUNDS = 300
BATCH = 64  # publishes in one sample: a single one is too short for the clock
INFOS = payloads(BATCH)
OURS, CALL, SET_ATTR = "traincast.Run.publish", "AsyncVectorEnv.call", "AsyncVectorEnv.set_attr"


class Setting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What users write for `set_attr`: the env takes what is new before its next reset."""

    training_info: dict[str, Any] | None = None

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        new, self.training_info = self.training_info, None
        if new is not None:
            self.unwrapped.set_training_info(new)  # type: ignore[attr-defined]
        return self.env.reset(**arguments)


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
    infos = [{key: value for key, value in info.items() if key != STEPS} for info in INFOS]

    def publish() -> None:
        steps = run.steps
        for info in infos:
            run.publish(steps := steps + 1, **info)

    return publish


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Each tells all envs something new; ours a batch of times."""
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
    """What a reset that finds something new takes longer than one of the bare env."""
    new = cycle(INFOS)
    with traincast.Run("costs") as run:
        ours, theirs, bare = run.wrap_env(Still()), Setting(Still()), gymnasium.Wrapper(Still())

        def publish() -> None:
            run.publish(run.steps + 1, epoch=run.steps)

        def ours_told() -> None:
            publish()
            ours.reset()

        def theirs_told() -> None:
            theirs.training_info = next(new)
            theirs.reset()

        publisher(run)()  # the whole dictionary is in every snapshot
        taken = in_turns(
            {"bare": bare.reset, "publish": publish, "ours": ours_told, "theirs": theirs_told},
            rounds=ROUNDS,
            calls=20,
        )
    return {
        OURS: taken["ours"] - taken["publish"] - taken["bare"],
        CALL: 0.0,  # the envs are told between two resets
        SET_ATTR: taken["theirs"] - taken["bare"],
    }
