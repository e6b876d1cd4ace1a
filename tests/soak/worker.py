"""The worker: envs and readers, some for life, some made and dropped all the time."""

from __future__ import annotations

import collections
import random
import threading
import time
from collections.abc import Collection
from typing import Any

from gymnasium.envs.classic_control.cartpole import CartPoleEnv

import traincast
from tests.soak.role import AGAIN, MAIN, Role, run
from tests.soak.structures import STEPS
from traincast import _core

RATE = 200  # turns per second
ENVS = 8
KEPT = 32  # dictionaries, with their arrays, that outlive the readers that read them


class Env(CartPoleEnv):
    """Takes what it is told."""

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.told = training_info


def wrapped() -> Any:
    return traincast.TrainingInfoWrapper(Env(), MAIN)


class Worker(Role):
    period = 1 / RATE

    def __init__(self, leaks: Collection[str] = ()) -> None:
        super().__init__(leaks)
        self.chance = random.Random(1)
        self.reader = traincast.TrainingInfoReader(MAIN, attach_timeout=60)
        self.steps = 0
        self.envs = [wrapped() for _ in range(ENVS)]
        self.again: dict[str, Any] = {}
        self.dictionaries: collections.deque[Any] = collections.deque(maxlen=KEPT)
        self.turn = 0
        self.stop = False
        self.sleeper = threading.Thread(target=self._sleep)
        self.sleeper.start()

    def _sleep(self) -> None:
        with traincast.TrainingInfoReader(MAIN) as reader:
            while not self.stop:
                if reader.wait(0.1):
                    reader.read()
                    self.counts["woken"] += 1
                    time.sleep(0.003)

    def work(self) -> None:
        self.turn += 1
        info = self.reader.read()
        assert info[STEPS] >= self.steps
        self.steps = info[STEPS]
        self.envs[self.turn % ENVS].reset()
        self._make_and_drop()
        if self.turn % 20 == 0:
            self._renew_env()
            self._visit_others()
        if self.turn % 50 == 0:
            self._look_for_nobody()
        self.counts["turns"] += 1

    def _make_and_drop(self) -> None:
        """One that is closed, and one that is left to the garbage collector while its dictionary lives on."""
        with traincast.TrainingInfoReader(MAIN) as reader:
            reader.read()
        dropped = traincast.TrainingInfoReader(MAIN)
        self.dictionaries.append(dropped.read())
        if self.turn % 8 == 0:
            self.dictionaries.append(dropped)
        self.counts["readers made"] += 2

    def _renew_env(self) -> None:
        at = self.chance.randrange(ENVS)
        self.envs[at].close()
        self.envs[at] = wrapped()
        self.envs[at].reset()
        self.counts["envs made"] += 1

    def _visit_others(self) -> None:
        """Channels come and go in the meantime: one that was listed may be gone."""
        for channel in _core.list_channels():
            try:
                reader = traincast.TrainingInfoReader(channel["name"], attach_timeout=0.001)
                reader.read()
                self.counts["visits"] += 1
            except traincast.ChannelNotFoundError:
                continue
            if channel["name"] in AGAIN:
                self.again.setdefault(channel["name"], reader)
            if "reader" in self.leaks and channel["name"] != MAIN and self.turn % RATE == 0:
                self.kept.append(reader)
        for reader in self.again.values():
            reader.read()

    def _look_for_nobody(self) -> None:
        try:
            traincast.TrainingInfoReader(f"nobody-{self.turn}", attach_timeout=0.002)
        except traincast.ChannelNotFoundError:
            self.counts["looked in vain"] += 1

    def rest(self) -> None:
        self.dictionaries.clear()
        self.steps = self.reader.read()[STEPS]
        for env in self.envs:
            env.reset()
        for reader in self.again.values():
            reader.read()

    def end(self) -> None:
        self.stop = True
        self.sleeper.join()
        for env in self.envs:
            env.close()


if __name__ == "__main__":
    run(Worker)
