"""skrl: an agent publishes training information, and the envs see the newest at each reset.

    run = traincast.Run("ppo")
    envs = skrl_wrap_env(AsyncVectorEnv([run.wrap_env_fn(make_env) for _ in range(8)]))
    broadcast(agent, run)  # after the agent is made, before `agent.load` and the trainer

skrl has no callbacks. Its trainers call public methods of the agent in each timestep, and `broadcast` extends
some of them on this one object: `post_interaction` also publishes, and `write_tracking_data` and
`record_transition` also track numbers. The count is one of the agent's `checkpoint_modules`, so that skrl
saves and loads it with the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from traincast._beginning import STEPS_KEY, whole_steps
from traincast._infos import number_of
from traincast._optional import require
from traincast._warnings import warn_once
from traincast.errors import ForkedWriterError
from traincast.integrations._publishing import Publishing, ReaderWatch, TrainingInfo
from traincast.run import Run

require("skrl", "skrl", __name__)

__all__ = ["TrainingInfoBroadcast", "broadcast"]

MODULE = "training_info"
"""The name of the count in skrl's checkpoints."""


def broadcast(
    agent: Any,
    run: Run,
    training_info: TrainingInfo | None = None,
    *,
    first_info: Mapping[str, Any] | None = None,
    num_envs: int = 1,
) -> TrainingInfoBroadcast:
    """Make an agent of skrl publish training information to `run` in each timestep of its training.

    Call it before `agent.load`, which restores the count, and before the trainer resets the envs. An
    evaluation (`trainer.eval`) publishes nothing. With several agents, call it for each; they may share a
    run, or have one each.

    Args:
        agent: an `Agent` or `MultiAgent` of skrl, of any of its backends.
        run: the run that the envs read; the count begins at its steps.
        training_info: entries beside `approx_total_training_steps`. A mapping: constant ones. A function of
            `(timestep, timesteps)`, as for `rewards_shaper`: it is called before each publish, and returns
            the entries that have changed, or None. `timestep` is the count that is published, which includes
            the steps before a resume; `timesteps` is the trainer's.
        first_info: the function's entries until its first call.
        num_envs: the number of steps that a timestep counts for. 1: the steps are skrl's timesteps, as in its
            logs, checkpoints and schedules, however many envs there are. `env.num_envs`: they are the steps
            of all envs together.

    Returns the module that skrl saves, which has `run`, `state_dict` and `load_state_dict`.

    Raises: TypeError if `agent` is not an agent, or `run` not a `Run`; ValueError if `num_envs` is below 1.

    Example:
        >>> broadcast(agent, run, lambda timestep, timesteps: {"noise": 0.1})  # doctest: +SKIP
    """
    if not all(hasattr(agent, name) for name in ("checkpoint_modules", *_HOOKS)):
        raise TypeError(f"broadcast takes an agent of skrl and then a traincast.Run, not {agent!r}")
    if not isinstance(run, Run):
        raise TypeError(f"broadcast takes the traincast.Run that it publishes to, not {run!r}")
    if num_envs < 1:
        raise ValueError(f"num_envs must be 1 or more, not {num_envs}")
    module = TrainingInfoBroadcast(training_info, first_info=first_info, run=run)
    module._join(agent, num_envs)
    return module


class TrainingInfoBroadcast(Publishing):
    """The count of an agent, and where it is published: what `broadcast` returns."""

    def _join(self, agent: Any, num_envs: int) -> None:
        self._agent = agent
        self._each = num_envs
        self._total = self.run.steps
        self._readers = ReaderWatch(self.run, "AsyncVectorEnv([run.wrap_env_fn(make_env)] * 8)")
        for method, hook in _HOOKS.items():
            if isinstance(vars(agent).get(method), _Method):  # of an earlier call, which this one replaces
                delattr(agent, method)
            setattr(agent, method, _Method(getattr(agent, method), getattr(self, hook)))
        modules = agent.checkpoint_modules
        if hasattr(agent, "possible_agents"):  # a MultiAgent has modules for each of its agents
            modules = modules[agent.possible_agents[0]]
        modules[MODULE] = self

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint of the agent, which is that of the run."""
        return self.run.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the state of a checkpoint, and count on from there."""
        self.run.load_state_dict(state)
        self._total = whole_steps((state["training_info"] or {}).get(STEPS_KEY, 0))

    def _count(self, *, timesteps: int, **_: Any) -> None:
        """Publish a finished timestep, so that a checkpoint that skrl writes next includes it."""
        if not self._agent.training:
            return
        self._total += self._each
        more = {} if self._more is None else self._more(self._total, timesteps) or {}
        try:
            self.run.publish(self._total, **more)
            self._readers.published()
        except ForkedWriterError:
            warn_once(
                ("agent in another process", self.run.channel),
                f"the agent is in another process than its run {self.run.name!r}, and cannot publish: envs "
                f"stay at {self.run.steps} training steps. A ParallelTrainer puts several agents into "
                "processes of their own: use a SequentialTrainer.",
            )

    def _track_published(self, **_: Any) -> None:
        """Track the published numbers, just before skrl writes what was tracked."""
        for name, number in self._numbers().items():
            self._agent.track_data(f"Traincast / {name}", number)

    def _track_curricula(self, *, infos: Any, **_: Any) -> None:
        """Track the numbers that the envs' curricula show; skrl writes the means."""
        agent = self._agent
        shown = infos.get("curriculum") if isinstance(infos, dict) else None
        if agent.training and agent.write_interval > 0 and isinstance(shown, dict):
            for name, number in _means(shown):
                agent.track_data(f"Curriculum / {name}", number)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the function, which may not be picklable and would not be used in a copy."""
        return self.__dict__ | {"_more": None}


_HOOKS = {
    "post_interaction": "_count",
    "write_tracking_data": "_track_published",
    "record_transition": "_track_curricula",
}
"""The methods of an agent that are extended, and the method that each one calls first."""


class _Method:
    """A method of one agent, extended by a call before it; copies of the agent keep it."""

    def __init__(self, method: Callable[..., None], first: Callable[..., None]) -> None:
        self._method = method
        self._first = first

    def __call__(self, **kwargs: Any) -> None:
        self._first(**kwargs)
        self._method(**kwargs)


def _means(shown: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of an env, or their means over those envs of a vector env that show them.

    nan is left out: it is the average of no episodes.
    """
    for name, values in shown.items():
        mask = shown.get(f"_{name}")
        if mask is None:
            number = number_of(values)
            numbers = np.array([] if number is None else [number])
        else:
            numbers = values[mask]
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            yield name, float(np.mean(numbers))
