"""A worker process: plays episodes with the policy that its envs received, and sends them to the learner."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traincast.demo.envs import make_env
from traincast.demo.settings import Run, Settings
from traincast.demo.values import ACTIONS, ActionValues, tiles_of

__all__ = ["Episode", "work"]

_EVALUATE_EVERY = 5


@dataclass(frozen=True)
class Episode:
    """One episode of one run, as a worker sends it."""

    run: int
    """The index of the run in `Settings.runs`."""
    evaluation: bool
    """Greedy, from the env's own start; the learner does not learn from it."""
    tiles: NDArray[np.int16]
    """The tiles of each state, shape (steps + 1, tilings)."""
    actions: NDArray[np.int8]
    """The action of each step, shape (steps,)."""
    reached: bool
    """Whether it ended at the goal."""
    head_start: float
    """The push at the start, 0...1."""
    info_age: float
    """How old the training information was when the env reset, in seconds."""


def work(worker: int, settings: Settings, connection: Connection) -> None:
    """Play one env of each run in turn, until the training information says that all have done their steps.

    A full pipe makes `send` wait for the learner, so that workers never run far ahead of their policy.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the learner ends the workers
    os.nice(5)  # on a machine with few cores the learner comes first, so that policies are fresh
    slots = [_Slot(index, run, worker, settings) for index, run in enumerate(settings.runs)]
    try:
        while slots:
            for slot in list(slots):
                episode = slot.play()
                if episode is None:
                    slots.remove(slot)
                else:
                    connection.send(episode)
    except BrokenPipeError:
        pass  # the learner has ended
    finally:
        for slot in slots:
            slot.close()


class _Slot:
    """One env, and the random numbers of its agent."""

    def __init__(self, index: int, run: Run, worker: int, settings: Settings) -> None:
        self._index = index
        self._steps = settings.steps
        self._env: Any = make_env(run, settings)
        seeds = np.random.SeedSequence([settings.seed, index, worker]).generate_state(2).tolist()
        self._env_seed: int | None = seeds[0]
        self._rng = random.Random(seeds[1])
        self._episodes = worker  # so that workers evaluate at different times

    def play(self) -> Episode | None:
        """Play an episode; None when the run has done its steps."""
        evaluation = self._episodes % _EVALUATE_EVERY == 0
        self._episodes += 1
        observation, reset_info = self._env.reset(seed=self._env_seed, options={"head_start": not evaluation})
        self._env_seed = None  # only the first reset seeds
        # All that the agent knows from here on came with the training information.
        info = self._env.training_info
        age = time.monotonic() - info["published_at"]
        if info["approx_total_training_steps"] >= self._steps:
            self.close()
            return None
        values = ActionValues(info["weights"])
        exploration = 0.0 if evaluation else info["exploration"]

        here = tiles_of(*observation.tolist())
        tiles, actions = [here], []
        terminated = truncated = False
        while not (terminated or truncated):
            explore = exploration > 0 and self._rng.random() < exploration
            action = self._rng.randrange(ACTIONS) if explore else values.greedy(here, self._rng)
            observation, _, terminated, truncated, _ = self._env.step(action)
            here = tiles_of(*observation.tolist())
            tiles.append(here)
            actions.append(action)
        return Episode(
            self._index,
            evaluation,
            np.array(tiles, np.int16),
            np.array(actions, np.int8),
            terminated,
            reset_info["head_start"],
            age,
        )

    def close(self) -> None:
        self._env.close()
