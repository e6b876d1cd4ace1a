"""Runs the parts of the soak as processes, and measures them at rest, again and again."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.soak import measuring

ROOT = Path(__file__).parents[2]
ROLES = ("learner", "parent", "worker")  # in the order in which they come to rest: the writer first
WATCHDOG_SECONDS = 120.0
WARM_UP = 0.25  # of the time, at most WARM_UP_SECONDS: caches fill, files reach their sizes
WARM_UP_SECONDS = 60.0
SAMPLES = 300  # at most: a run of any length makes a file of a few ten KiB


class Part:
    """One of the processes. Dies with the context, and with this process."""

    def __init__(self, role: str, directory: Path, leaks: Collection[str]) -> None:
        self.role = role
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.soak.{role}", *leaks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # Threads of a BLAS would only be noise.
            env=os.environ | {"TRAINCAST_DIR": str(directory), "OPENBLAS_NUM_THREADS": "1"},
        )
        self.pid = self._process.pid
        assert self._answer() == "ready\n"

    def rest(self) -> dict[str, int]:
        self._order("rest")
        counts: dict[str, int] = json.loads(self._answer())
        return counts

    def work(self) -> None:
        self._order("work")

    def processor_seconds(self) -> float:
        """Its own, and those of the children that it has seen die."""
        return float(sum(psutil.Process(self.pid).cpu_times()[:4]))

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(WATCHDOG_SECONDS)
        assert status == 0, f"{self.role} ended with {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _order(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], WATCHDOG_SECONDS)[0]:
            raise TimeoutError(f"no answer from {self.role} within {WATCHDOG_SECONDS:.0f} s")
        line = self._process.stdout.readline()
        assert line, f"{self.role} has died: status {self._process.wait()}"
        return line


def run(directory: Path, seconds: float, leaks: Collection[str] = ()) -> dict[str, Any]:
    """Parameters, counts, and the series of what was measured: `series[who][what]`, one number a sample."""
    every = max(1.0, seconds / SAMPLES)
    warm_up = min(WARM_UP * seconds, WARM_UP_SECONDS)
    times: list[float] = []
    series: dict[str, dict[str, list[int]]] = {}
    with ExitStack() as stack:
        parts = [stack.enter_context(Part(role, directory, leaks)) for role in ROLES]
        start = time.monotonic()
        counts: dict[str, int] = {}
        published: list[int] = []
        while (now := time.monotonic() - start) < seconds:
            time.sleep(every - now % every)
            for part in parts:
                counts.update(part.rest())
            times.append(round(time.monotonic() - start, 2))
            published.append(counts["publishes"])
            for part in parts:
                _append(series, part.role, measuring.of_process(part.pid, directory))
            _append(series, "directory", measuring.of_directory(directory))
            for part in parts:
                part.work()
        spent = {part.role: round(part.processor_seconds(), 1) for part in parts}
        for part in reversed(parts):
            part.end()
    return {
        "parameters": {"seconds": seconds, "every": every, "warm up": warm_up, "leaks": list(leaks)},
        "publishes per second": round((published[-1] - published[0]) / (times[-1] - times[0]), 1),
        "counts": counts,
        "processor seconds": spent,
        "files left": sorted(path.name for path in directory.iterdir()),
        "times": times,
        "series": series,
    }


def _append(series: dict[str, dict[str, list[int]]], who: str, measured: dict[str, int]) -> None:
    for what, value in measured.items():
        series.setdefault(who, {}).setdefault(what, []).append(value)
