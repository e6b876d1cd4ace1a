"""The parent: has children that read and write for a moment; many of them are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import traincast
from tests.soak.role import MAIN, Role, die_with_parent, end_child, run
from tests.soak.structures import STEPS
from traincast import _core

RATE = 10  # turns per second
SPAWN_EVERY = 20  # turns


class Parent(Role):
    period = 1 / RATE

    def __init__(self, leaks: Collection[str] = ()) -> None:
        super().__init__(leaks)
        self.chance = random.Random(2)
        self.reader = traincast.TrainingInfoReader(MAIN, attach_timeout=60)
        self.turn = 0
        self.spawned: subprocess.Popen[bytes] | None = None
        self.kill_at = 0

    def work(self) -> None:
        self.turn += 1
        if self.turn % 2:
            self._reading_child()
        else:
            self._writing_child()
        if self.turn % SPAWN_EVERY == 0:
            self._spawn()
        if self.turn == self.kill_at and self.spawned is not None:
            self.spawned.kill()
        if self.turn % RATE == 0:
            if "descriptor" in self.leaks:
                self.kept.append(os.dup(1))
            if "file" in self.leaks:
                Path(_core.directory(), f"left-{self.turn}").touch()

    def _reading_child(self) -> None:
        """Reads through the reader that it has inherited, and through its own."""

        def read() -> None:
            own = traincast.TrainingInfoReader(MAIN)
            for _ in range(4):
                own.read()
                self.reader.read()
                own.wait(0.002)
            if killed:
                while True:
                    own.wait(0.001)
                    self.reader.wait(0.001)

        killed = self.turn % 4 == 1
        pid = forked(read)
        if killed:
            time.sleep(self.chance.uniform(0.0, 0.02))
        end_child(pid, killed)
        self.reader.read()
        self.counts["readers killed" if killed else "readers forked"] += 1

    def _writing_child(self) -> None:
        """It is killed; then its channel is continued, replaced, or cleaned away."""
        what = self.chance.randrange(3)
        name = f"orphan-{self.turn}" if self.chance.random() < 0.5 else "orphan"

        def write() -> None:
            writer = traincast.TrainingInfoWriter(name, capacity=4096)
            steps = 0
            while True:
                steps += 1
                writer.publish({STEPS: steps, f"key {steps}": "x" * (steps * 100 % 100_000)})

        pid = forked(write)
        time.sleep(self.chance.uniform(0.0, 0.02))
        end_child(pid)
        if what == 0:
            self._clean()
        else:
            with traincast.TrainingInfoWriter(
                name, leftover="continue" if what == 1 else "replace"
            ) as writer:
                writer.publish({STEPS: 0})
        self.counts["writers killed"] += 1

    def _clean(self) -> None:
        for entry in _core.leftovers():
            self.counts["files cleaned"] += _core.remove_leftover(entry["path"])

    def _spawn(self) -> None:
        """An interpreter of its own; every other one is killed while it starts or reads."""
        self._end_spawned()
        self.spawned = subprocess.Popen([sys.executable, "-m", "tests.soak.visitor"])
        if self.turn % (2 * SPAWN_EVERY) == 0:
            self.kill_at = self.turn + self.chance.randrange(1, 6)
        self.counts["readers spawned"] += 1

    def _end_spawned(self) -> None:
        if self.spawned is not None:
            status = self.spawned.wait()
            assert status in (0, -signal.SIGKILL), status
            self.spawned = None

    def rest(self) -> None:
        self._end_spawned()
        self._clean()
        self.reader.read()

    def end(self) -> None:
        self.rest()


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            die_with_parent()
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    return pid


if __name__ == "__main__":
    run(Parent)
