"""Stable-Baselines3: the callback beside `env_method` and `set_attr`, with `SubprocVecEnv`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle

import gymnasium
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import SubprocVecEnv

from benches.cases.resets import Still
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.news import INFOS, Setting, reset_of_setting, reset_with_news
from traincast.integrations.stable_baselines3 import TrainingInfoCallback

FRAMEWORK = "Stable-Baselines3"
ENVS = (8, 32)
ROUNDS = 300


def costs() -> list[Cost]:
    found = []
    reset = _resets()
    for count in ENVS:
        with ExitStack() as stack:
            for way, nanoseconds in in_turns(_ways(count, stack), rounds=ROUNDS).items():
                found.append(Cost(FRAMEWORK, way, count, nanoseconds, reset[way]))
    return found


def _ways(count: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    """Ways to tell all envs something new."""
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
    info = TrainingInfoCallback(first_info=INFOS[0])
    ours = reset_with_news(info.run, info.wrap_env(Still()), gymnasium.Wrapper(Still()))
    info.run.close()
    # `env_method` tells them between two resets.
    return {"TrainingInfoCallback": ours, "env_method": 0.0, "set_attr": reset_of_setting()}
