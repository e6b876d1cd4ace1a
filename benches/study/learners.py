"""Tabular Q-learning over values that workers read while the learner writes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from benches.study.tasks.task import Task

__all__ = ["Learner", "chosen", "solves"]


class Learner:
    """Learns from whole episodes, from their last step to their first.

    It is one-step Q-learning (Watkins 1989) in the order of Lin's backward replay (1992), so that one episode
    carries a reward back to its start. The only reward is 1 for a success.
    """

    def __init__(self, values: Any, task: Task) -> None:
        self._values = values
        self._actions = task.actions
        self._step_size = task.step_size
        self._discount = task.discount

    def learn(self, states: Sequence[int], actions: Sequence[int], success: bool, terminated: bool) -> None:
        """Learn from one episode, which has one state more than actions."""
        values, width, step_size, discount = self._values, self._actions, self._step_size, self._discount
        if terminated:
            target = float(success)
        else:
            last = states[-1] * width
            target = discount * max(values[last : last + width])
        for step in range(len(actions) - 1, -1, -1):
            row = states[step] * width
            place = row + actions[step]
            values[place] += step_size * (target - values[place])
            target = discount * max(values[row : row + width])


def chosen(values: Any, state: int, actions: int, rng: random.Random) -> int:
    """Return the best action in a state; a random one of them if there are several."""
    row = values[state * actions : (state + 1) * actions].tolist()
    best = max(row)
    if row.count(best) == 1:
        place: int = row.index(best)
        return place
    return rng.choice([action for action, value in enumerate(row) if value == best])


def solves(values: Any, task: Task) -> bool:
    """Tell if the greedy policy solves the real task, from 80 % of its starts."""
    rng = random.Random(0)  # for ties
    starts = task.starts()
    succeeded = 0
    for start in starts:
        state, ended = task.begin_at(start), False
        while not ended:
            state, ended, _, success = task.step(chosen(values, state, task.actions, rng))
            succeeded += success
    return succeeded >= 0.8 * len(starts)
