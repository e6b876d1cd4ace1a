"""Q-learning with tile coding: Sutton and Barto, "Reinforcement Learning" (2018), sections 6.5 and 9.5.4."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIONS", "DISCOUNT", "HIGH", "LOW", "TILES", "ActionValues", "tiles_of"]

ACTIONS = 3
"""MountainCar's: push left, coast, push right."""

_TILINGS = 8
_BINS = 12
LOW = (-1.2, -0.07)
HIGH = (0.6, 0.07)
_SIDE = _BINS + 1  # a shifted tiling needs one more
DISCOUNT = 0.98
# (1, 3) is the smallest displacement vector that shifts two dimensions unequally, as the book recommends.
_OFFSETS = tuple((k / _TILINGS, 3 * k % _TILINGS / _TILINGS, k * _SIDE * _SIDE) for k in range(_TILINGS))

TILES = _TILINGS * _SIDE * _SIDE
"""How many tiles there are; a state lies in one of each tiling, eight in all."""


def tiles_of(position: float, velocity: float) -> list[int]:
    """Return the tiles that contain a state, one index for each tiling."""
    x = (position - LOW[0]) * (_BINS / (HIGH[0] - LOW[0]))
    y = (velocity - LOW[1]) * (_BINS / (HIGH[1] - LOW[1]))
    return [first + int(x + dx) * _SIDE + int(y + dy) for dx, dy, first in _OFFSETS]


class ActionValues:
    """The value of each action, as a sum of weights over the tiles of a state.

    Plain lists: for a handful of additions they are several times faster than arrays.
    """

    def __init__(self, weights: NDArray[np.float32] | None = None) -> None:
        """Start with zeros, or with weights of shape (actions, tiles)."""
        if weights is None:
            weights = np.zeros((ACTIONS, TILES), np.float32)
        self._weights: list[list[float]] = weights.tolist()

    def weights(self) -> NDArray[np.float32]:
        """Return the weights, of shape (actions, tiles): what is broadcast."""
        return np.array(self._weights, np.float32)

    def values(self, tiles: Sequence[int]) -> list[float]:
        """Return the value of each action."""
        return [sum([weights[tile] for tile in tiles]) for weights in self._weights]

    def greedy(self, tiles: Sequence[int], rng: random.Random) -> int:
        """Return the best action; if several are equally good, a random one of them."""
        values = self.values(tiles)
        best = max(values)
        ties = values.count(best)
        if ties == 1:
            return values.index(best)
        return rng.choice([action for action, value in enumerate(values) if value == best])

    def learn(
        self, tiles: Sequence[Sequence[int]], actions: Sequence[int], reached: bool, step_size: float
    ) -> None:
        """Learn from one episode, last step first, so that one pass carries a success back to the start.

        Args:
            tiles: the tiles of each state; there is one state more than there are actions.
            actions: the action in each state but the last.
            reached: whether the last step reached the goal, for a reward of 1; all other rewards are 0.
            step_size: 0...1.
        """
        rate = step_size / _TILINGS
        target = 1.0 if reached else DISCOUNT * max(self.values(tiles[-1]))
        for here, action in zip(reversed(tiles[:-1]), reversed(actions), strict=True):
            weights = self._weights[action]
            change = rate * (target - sum([weights[tile] for tile in here]))
            for tile in here:
                weights[tile] += change
            target = DISCOUNT * max(self.values(here))
