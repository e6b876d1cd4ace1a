"""A worker process: plays its envs in turn with the newest values, and sends episodes to the learner."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benches.study.arms.arm import Source
from benches.study.learners import chosen
from benches.study.shared import RESETS, STALE_RESETS, STALE_STEPS, STEPS, Shared
from benches.study.tasks.task import Task

__all__ = ["IN_FLIGHT", "Batch", "Episode", "Pace", "play"]

TURN = 16  # steps of each env between two messages
IN_FLIGHT = 2  # messages that the learner has not used yet, at which the worker waits
GREEDY_EVERY = 4  # one of this many episodes of an env is greedy, and counts for the gate

Episode = tuple[list[int], list[int], bool, bool]
"""States, actions, success, terminated."""

Reset = tuple[int, int, int]
"""The clock, the level that the env plays, and the level that the learner held."""


@dataclass
class Batch:
    """A message of a worker."""

    episodes: list[Episode]
    resets: list[Reset]
    """Only if the training is traced."""


@dataclass(frozen=True)
class Pace:
    """Env steps per second of a worker; None: as fast as it goes."""

    steps_per_second: float | None

    def keep(self, steps: int, began: float) -> None:
        """Sleep until this many steps are due."""
        if self.steps_per_second is not None:
            early = began + steps / self.steps_per_second - time.monotonic()
            if early > 0:
                time.sleep(early)


class _Player:
    """One env and its agent."""

    def __init__(self, env: int, task: Task, values: object, rng: random.Random) -> None:
        self._env, self._task, self._values, self._rng = env, task, values, rng
        self._episodes = env
        self.playing = False
        self.level = 0
        self.greedy = False
        self.success = False

    def begin(self, level: int) -> None:
        self.level = level
        self.greedy = self._episodes % GREEDY_EVERY == 0
        self._episodes += 1
        self._state = self._task.reset(level, self._rng)
        self._states, self._actions = [self._state], list[int]()
        self.playing = True

    def step(self) -> Episode | None:
        """Take a step; returns the episode when it has ended."""
        task, rng = self._task, self._rng
        if not self.greedy and rng.random() < task.exploration:
            action = rng.randrange(task.actions)
        else:
            action = chosen(self._values, self._state, task.actions, rng)
        self._state, ended, terminated, success = task.step(action)
        self._states.append(self._state)
        self._actions.append(action)
        if not ended:
            return None
        self.playing, self.success = False, success
        return self._states, self._actions, success, terminated


def play(
    worker: int,
    tasks: Sequence[Task],
    source: Source,
    shared: Shared,
    connection: Connection,
    *,
    seed: int,
    pace: Pace,
    one_level: bool,
    traced: bool = False,
) -> None:
    """Play until the learner ends the process."""
    row = shared.row(worker)
    rng = random.Random(f"{seed} {worker}")
    players = [_Player(env, task, shared.values, rng) for env, task in enumerate(tasks)]
    outstanding = 0
    connection.send("ready")
    connection.recv_bytes()
    began = time.monotonic()
    while True:
        batch = Batch([], [])
        for _ in range(TURN):
            for env, player in enumerate(players):
                if not player.playing:
                    now = shared.now()
                    held = shared.level  # read first, so that the source's level is at least as new
                    player.begin(source.level(env, now))
                    row[RESETS] += 1
                    if one_level and player.level < held:
                        row[STALE_RESETS] += 1
                    if traced:
                        batch.resets.append((now, player.level, held))
                episode = player.step()
                row[STEPS] += 1
                if one_level and player.level < shared.level:
                    row[STALE_STEPS] += 1
                if episode is not None:
                    batch.episodes.append(episode)
                    if player.greedy:
                        source.record(env, player.level, player.success, shared.now())
                    else:
                        source.practised(env, player.level)
        source.between(shared.now())
        connection.send(batch)
        outstanding += 1
        while outstanding >= IN_FLIGHT or connection.poll():
            connection.recv_bytes()
            outstanding -= 1
        pace.keep(row[STEPS], began)
