"""Sample Factory 2.1: its envs get training information from shared memory instead of its queue.

Two lines of a training script change::

    from traincast.integrations.sample_factory import run_rl, wrap_env_func

    register_env("my_env", wrap_env_func(make_my_env))   # was: register_env("my_env", make_my_env)
    run_rl(cfg)                                          # was: sample_factory.train.run_rl(cfg)

Envs keep implementing Sample Factory's own `TrainingInfoInterface` and `RewardShapingInterface`. Programs
that build the runner themselves register a `TrainingInfoObserver` on it. Sample Factory is imported when one
of the names here is first used.

These are the differences from Sample Factory's own propagation, which sends through a queue every 5 s:

1. With batched sampling every env receives the information, not only the first one.
2. With batched sampling envs may have only one of the two interfaces.
3. An env receives the information before it resets, not after.
4. The first reset has the information, too, and so has an evaluation.
5. A resumed run never claims 0 steps: nothing is sent before the learner has reported.
6. Envs receive news at each of the learner's reports; no interval has to be set, and none is ignored.
7. The interface is found behind wrappers that keep their env elsewhere than in `.env`, and in envs with an
   unusual `==`.
8. Each env has a dictionary of its own, and receives only what is new.
9. With several policies an env hears about the one that acts in it now; with several agents, about each.
10. The second argument of `set_reward_shaping` may be called `agent_idx` or `agent_indices`.
11. Nothing is lost because it is larger than the queue.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from traincast._optional import require

if TYPE_CHECKING:
    from traincast.integrations.sample_factory.env import wrap_env_func
    from traincast.integrations.sample_factory.observer import TrainingInfoObserver
    from traincast.integrations.sample_factory.run import run_rl
    from traincast.integrations.sample_factory.saved import load_training_info

__all__ = ["TrainingInfoObserver", "load_training_info", "run_rl", "wrap_env_func"]

_HOMES = {
    "TrainingInfoObserver": "observer",
    "load_training_info": "saved",
    "run_rl": "run",
    "wrap_env_func": "env",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("sample_factory", "sample-factory", f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
