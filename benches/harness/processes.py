"""Child processes: forked ones that read a channel and note what they find, and fresh ones."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

from benches.harness import ROOT


class Notes:
    """Integers that all processes see: one row for each child."""

    def __init__(self, rows: int, columns: int) -> None:
        self._map = mmap.mmap(-1, max(rows * columns, 1) * 8)
        self._words = memoryview(self._map).cast("q")
        self._columns = columns

    def row(self, index: int) -> memoryview:
        start = index * self._columns
        return self._words[start : start + self._columns]


class Children:
    """Child processes that end with the context; `work(index)` runs in each."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def start(self, work: Callable[[int], object], count: int = 1) -> None:
        for index in range(len(self.pids), len(self.pids) + count):
            pid = os.fork()
            if pid == 0:
                try:
                    work(index)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            self.pids.append(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.pids.clear()


def python(*arguments: str, executable: str = sys.executable) -> str:
    """Return what a fresh Python prints, started where it finds the benchmarks."""
    done = subprocess.run(
        [executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
