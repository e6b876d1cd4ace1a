"""The learner: publishes a thousand times a second, and has channels beside that come and go."""

from __future__ import annotations

import collections
from collections.abc import Collection
from typing import Any

import traincast
from tests.soak import structures
from tests.soak.role import AGAIN, MAIN, Role, run
from tests.soak.structures import STEPS

RATE = 1000  # publishes per second
SIDE_EVERY = 40  # publishes
OPEN = 4  # channels beside the main one, at once


class Learner(Role):
    period = 1 / RATE

    def __init__(self, leaks: Collection[str] = ()) -> None:
        super().__init__(leaks)
        self.writer = traincast.TrainingInfoWriter(MAIN)
        self.writer.publish(structures.largest(0))
        self.steps = 0
        self.beside: collections.deque[Any] = collections.deque()

    def work(self) -> None:
        self.steps += 1
        steps, turn = self.steps, self.steps % 8
        if turn == 0:
            self.writer.publish(structures.plain(steps))
        elif turn in (1, 2):
            self.writer.publish(structures.known(steps))
        elif turn in (3, 4):
            self.writer.publish(structures.new(steps))
        elif turn == 5:
            self.writer.update(**{STEPS: steps, f"added {steps}": [steps, str(steps)]})
        else:
            self.writer.update(**{STEPS: steps})
        if steps % 10 == 0 and "memory" in self.leaks:
            self.kept.append(bytes(1000))
        if steps % SIDE_EVERY == 0:
            self._open_beside(steps // SIDE_EVERY)
        self.counts["publishes"] += 1

    def _open_beside(self, turn: int) -> None:
        """A channel under a new name, or under one that was there before; it grows, and is closed later."""
        if len(self.beside) == OPEN:
            self._close_beside()
        name = AGAIN[turn // 2 % len(AGAIN)] if turn % 2 else f"side-{turn}"
        if any(writer.name == name for writer in self.beside):
            return
        writer = traincast.TrainingInfoWriter(name, capacity=4096)
        for size in (0, 10_000, 200_000):
            writer.publish({STEPS: turn, f"text {turn}": "x" * size})
        self.beside.append(writer)
        self.counts["channels opened"] += 1

    def _close_beside(self) -> None:
        writer = self.beside.popleft()
        writer.publish(structures.plain(self.steps))  # what its readers then keep is always the same
        writer.close()

    def rest(self) -> None:
        while self.beside:
            self._close_beside()
        # Once round the ring, so that it is always the same snapshot that everybody has in hand at rest.
        for _ in range(4):
            self.writer.publish(structures.plain(self.steps))

    def end(self) -> None:
        self.rest()
        self.writer.close()


if __name__ == "__main__":
    run(Learner)
