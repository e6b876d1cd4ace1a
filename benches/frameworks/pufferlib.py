"""PufferLib: `publish` beside its `notify` with a number in shared memory, and making the envs anew.

`notify` raises a flag in each worker and carries nothing; only native envs have a method for it.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from multiprocessing import RawValue
from typing import Any

import gymnasium
import numpy as np
import pufferlib
import pufferlib.vector

import traincast
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.gymnasium import BATCH, OURS, publisher
from benches.frameworks.news import reset_with_news

FRAMEWORK = "PufferLib"
ENVS = 8
ROUNDS = 20
NOTIFY, REBUILD = "notify, and one shared number", "make the envs anew"


class Still(pufferlib.PufferEnv):  # type: ignore[misc]  # it is untyped
    """A native env whose reset costs next to nothing. It reads a run; or a number, when it is notified."""

    def __init__(
        self,
        run: traincast.Run | None = None,
        shared: Any = None,
        steps: int = 0,
        buf: Any = None,
        seed: int = 0,
    ) -> None:
        self.single_observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.num_agents = 1
        super().__init__(buf)
        self.shared, self.steps = shared, steps
        self.training_info: dict[str, Any] | None = None
        self.read_if_changed = None if run is None else run.channel.open().read_if_changed

    def notify(self) -> None:
        self.steps = self.shared.value

    def reset(self, seed: int | None = None) -> tuple[Any, list[Any]]:
        if self.read_if_changed is not None and (new := self.read_if_changed()) is not None:
            self.training_info = new
        return self.observations, []

    def step(self, actions: Any) -> Any:
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self) -> None: ...


def costs() -> list[Cost]:
    numbers, shared = count(1), RawValue("q")
    with ExitStack() as stack:
        run = stack.enter_context(traincast.Run("costs"))
        stack.callback(_vectorise(run=run).close)
        notified = _vectorise(shared=shared)
        stack.callback(notified.close)
        rebuilt = [_vectorise()]

        def notify() -> None:
            shared.value = next(numbers)
            notified.notify()

        def rebuild() -> None:
            rebuilt.pop().close()
            rebuilt.append(_vectorise(steps=next(numbers)))

        blocked = in_turns({OURS: publisher(run), NOTIFY: notify, REBUILD: rebuild}, rounds=ROUNDS)
        rebuilt.pop().close()
        return [
            Cost(FRAMEWORK, OURS, ENVS, blocked[OURS] / BATCH, reset_with_news(run, Still(run), Still())),
            Cost(FRAMEWORK, NOTIFY, ENVS, blocked[NOTIFY], 0.0),
            Cost(FRAMEWORK, REBUILD, ENVS, blocked[REBUILD], 0.0),
        ]


def _vectorise(**kwargs: Any) -> Any:
    envs = pufferlib.vector.make(
        Still,
        env_kwargs=kwargs,
        backend=pufferlib.vector.Multiprocessing,
        num_envs=ENVS,
        num_workers=ENVS,
        overwork=True,
    )
    envs.reset()
    return envs
