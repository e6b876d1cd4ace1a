"""Telling all envs of a vector env: how long the learner is blocked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import perf_counter_ns
from typing import Any

import gymnasium

import traincast
from benches.cases.payloads import payload, payloads
from benches.cases.resets import Still

ENVS = (1, 4, 16, 64)


def _ours(name: str) -> gymnasium.Env[Any, Any]:
    return traincast.TrainingInfoWrapper(Still(), name, on_missing="raise", on_undelivered="ignore")


def _stable_baselines(count: int, stack: ExitStack) -> Callable[[dict[str, Any]], object]:
    from stable_baselines3.common.vec_env import SubprocVecEnv

    envs = SubprocVecEnv([Still] * count, start_method="fork")
    stack.callback(envs.close)
    return partial(envs.env_method, "set_training_info")


def _gymnasium(count: int, stack: ExitStack) -> Callable[[dict[str, Any]], object]:
    envs = gymnasium.vector.AsyncVectorEnv([Still] * count, context="fork")
    stack.callback(envs.close)
    return partial(envs.call, "set_training_info")


def _traincast(count: int, stack: ExitStack) -> Callable[[dict[str, Any]], object]:
    writer = stack.enter_context(traincast.TrainingInfoWriter("vector"))
    writer.publish(payload(0))
    envs = gymnasium.vector.AsyncVectorEnv([partial(_ours, "vector")] * count, context="fork")
    stack.callback(envs.close)
    envs.reset()
    return writer.publish


SIDES: dict[str, Callable[[int, ExitStack], Callable[[dict[str, Any]], object]]] = {
    "SB3 env_method": _stable_baselines,
    "Gymnasium call": _gymnasium,
    "traincast": _traincast,
}


def run(rounds: int) -> list[dict[str, Any]]:
    """Nanoseconds that the learner is blocked, for each number of env processes.

    The sides take turns. One call of ours is too short for a clock that is read around it: a sample is the
    mean over 64 different dictionaries.
    """
    infos = payloads(64)
    found = []
    for count in ENVS:
        row: dict[str, Any] = {"envs": count, "failed": {}}
        with ExitStack() as stack:
            tell: dict[str, Callable[[dict[str, Any]], object]] = {}
            for name, make in SIDES.items():
                try:
                    tell[name] = make(count, stack)
                except ImportError as error:
                    row["failed"][name] = str(error)
            for name, call in tell.items():
                row[name] = []
                call(infos[0])
            for turn in range(rounds):
                for name, call in tell.items():
                    batch = infos if name == "traincast" else infos[turn % 64 : turn % 64 + 1]
                    start = perf_counter_ns()
                    for info in batch:
                        call(info)
                    row[name].append((perf_counter_ns() - start) / len(batch))
        found.append(row)
    return found
