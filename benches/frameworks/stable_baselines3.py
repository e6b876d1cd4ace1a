"""Stable-Baselines3: the callback beside `env_method` and `set_attr`, with `SubprocVecEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from typing import Any

import gymnasium
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import SubprocVecEnv

from benches.cases.payloads import STEPS, payloads
from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from traincast.integrations.stable_baselines3 import TrainingInfoCallback

FRAMEWORK = "Stable-Baselines3"
ENVS = (8, 32)
ROUNDS = 300
INFOS = [{key: value for key, value in info.items() if key != STEPS} for info in payloads(64)]


class Setting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What users write for `set_attr`: the env takes what is new before its next reset."""

    training_info: dict[str, Any] | None = None

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        new, self.training_info = self.training_info, None
        if new is not None:
            self.unwrapped.set_training_info(new)  # type: ignore[attr-defined]
        return self.env.reset(**arguments)


def costs() -> list[Cost]:
    found = []
    reset = _resets()
    for count in ENVS:
        with ExitStack() as stack:
            for way, nanoseconds in in_turns(_ways(count, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, count, nanoseconds, reset[way]))
    return found


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Each tells all envs something new."""
    new = cycle(INFOS)
    info = TrainingInfoCallback(lambda _: next(new), first_info=INFOS[0])
    stack.callback(info.run.close)
    venvs = {
        "traincast": SubprocVecEnv([info.wrap_env_fn(Still)] * count, start_method="fork"),
        "theirs": SubprocVecEnv([partial(Setting, Still())] * count, start_method="fork"),
    }
    for venv in venvs.values():
        stack.callback(venv.close)
        venv.reset()
    model = A2C("MlpPolicy", venvs["traincast"], device="cpu")
    info.init_callback(model)
    info.on_training_start({}, {})

    def step() -> None:
        model.num_timesteps += count
        info.on_step()

    return {
        "TrainingInfoCallback": step,
        "env_method": lambda: venvs["theirs"].env_method("set_training_info", next(new)),
        "set_attr": lambda: venvs["theirs"].set_attr("training_info", next(new)),
    }


def _resets() -> dict[str, float]:
    """What a reset that finds something new takes longer than one of the bare env."""
    new = cycle(INFOS)
    info = TrainingInfoCallback(first_info=INFOS[0])
    ours, theirs, bare = info.wrap_env(Still()), Setting(Still()), gymnasium.Wrapper(Still())

    def publish() -> None:
        info.run.publish(info.run.steps + 1, **next(new))

    def ours_told() -> None:
        publish()
        ours.reset()

    def theirs_told() -> None:
        theirs.training_info = next(new)
        theirs.reset()

    taken = in_turns(
        {"bare": bare.reset, "publish": publish, "ours": ours_told, "theirs": theirs_told},
        rounds=ROUNDS,
        calls=20,
    )
    info.run.close()
    return {
        "TrainingInfoCallback": taken["ours"] - taken["publish"] - taken["bare"],
        "env_method": 0.0,  # the envs are told between two resets
        "set_attr": taken["theirs"] - taken["bare"],
    }
