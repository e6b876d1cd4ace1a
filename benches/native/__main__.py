"""Measures traincast.h, in time and in instructions: `python -m benches.native`.

The figures of docs/native.md are what this prints.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

import traincast
from benches.cases.payloads import payload
from benches.harness import ROOT
from benches.harness.channels import own_directory
from benches.harness.tables import plain

ROUNDS = 301
COUNTED = 1000
ENVS, STEPS, INSTANCES = 256, 40, 40
C_ENV = ROOT / "examples" / "c_env"
ADDED = re.compile(r"^.*// traincast\n", re.MULTILINE)


def compiled(source: Path, target: Path, *arguments: str) -> Path:
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O3", f"-I{traincast.get_include()}", *arguments]
    subprocess.run([*command, source, "-o", target], check=True)
    return target


OPERATIONS = {
    "unchanged": "poll with nothing new, one double",
    "fresh": "poll with ten new numbers, all ten",
}
# The most instructions of each on x86-64: a fifth more than with gcc 12, to allow for other compilers.
LIMITS = {"unchanged": 28, "fresh": 470}


@contextmanager
def channel(folder: Path) -> Iterator[Callable[..., str]]:
    """Return a function that runs the compiled program on a channel with eight snapshots, under a command."""
    program = compiled(Path(__file__).with_name("cost.c"), folder / "cost")
    with own_directory() as directory, traincast.TrainingInfoWriter("cost", verify_every=math.inf) as writer:
        for step in range(8):
            writer.publish(payload(step))

        def run(operation: str, count: int, *under: str) -> str:
            command = [*under, str(program), operation, str(directory / "cost@0"), "cost", str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return done.stdout + done.stderr

        yield run


def instructions(run: Callable[..., str]) -> dict[str, float]:
    """Count instructions of one call of each operation: two runs differ only in the number of calls."""
    counts = {}
    for operation in OPERATIONS:
        totals = []
        for calls in (COUNTED, 2 * COUNTED):
            said = run(operation, calls, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
            collected = re.search(r"Collected : (\d+)", said)
            assert collected is not None, said
            totals.append(int(collected[1]))
        counts[operation] = (totals[1] - totals[0]) / COUNTED
    return counts


def header(run: Callable[..., str]) -> list[list[str]]:
    """Rows of the table: times, and instructions, of the two operations."""
    python = key_ns()
    rounds = [[float(number) for number in line.split()] for line in run("time", ROUNDS).splitlines()]
    counts = instructions(run) if shutil.which("valgrind") else {}
    rows = []
    for index, (operation, name) in enumerate(OPERATIONS.items(), start=1):
        taken = [row[index] for row in rounds]
        q1, median, q3 = statistics.quantiles(taken, n=4)
        counted = f"{counts[operation]:.1f}" if counts else "no valgrind"
        rows.append([name, f"{median:.2f}", f"{q1:.2f} to {q3:.2f}", counted])
    rows.append(["the loop alone", f"{statistics.median(row[0] for row in rounds):.2f}", "", ""])
    rows.append(["Python: a key with nothing new", f"{python:.1f}", "", ""])
    return rows


def key_ns() -> float:
    """A call of a Python key, with its loop."""
    key: Any = traincast.TrainingInfoReader("cost").key("reward_shaping.goal")
    key()
    samples = []
    for _ in range(ROUNDS):
        start = perf_counter_ns()
        for _ in range(1000):
            key()
        samples.append((perf_counter_ns() - start) / 1000)
    return statistics.median(samples)


def boards(folder: Path) -> list[str]:
    """Return the throughput of the example with the lines that read a channel, relative to without them."""
    makers = {}
    for name in ("with", "without"):
        made = folder / name
        shutil.copytree(C_ENV, made, ignore=shutil.ignore_patterns("build"))
        if name == "without":
            for source in (made / "squares.h", made / "binding.c"):
                source.write_text(ADDED.sub("", source.read_text()))
        compiled(
            made / "binding.c", made / "squares.so", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"
        )
        makers[name] = made
    with own_directory(), traincast.Run("squares") as run:
        run.publish(0, reward_shaping={"progress": 1.0})
        taken: dict[str, list[float]] = {name: [] for name in makers}
        held = []
        for turn in range(INSTANCES * ROUNDS // 10):
            if turn % (ROUNDS // 10) == 0:  # their place in memory matters more than what they do
                envs = {
                    name: _boards(made, run.name)
                    for name, made in sorted(makers.items(), reverse=len(held) % 2 == 0)
                }
                held.append(envs)
            for name in sorted(envs, reverse=bool(turn % 2)):
                start = perf_counter_ns()
                for _ in range(STEPS):
                    envs[name].step()
                taken[name].append((perf_counter_ns() - start) / STEPS / ENVS)
    ratios = [without / with_it for without, with_it in zip(taken["without"], taken["with"], strict=True)]
    q1, median, q3 = statistics.quantiles(ratios, n=4)
    step = statistics.median(taken["with"])
    return [f"{median:.4f}", f"{q1:.4f} to {q3:.4f}", f"{step:.2f}"]


def _boards(made: Path, run: str) -> Any:
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    loader = ExtensionFileLoader("squares", str(made / "squares.so"))
    spec = spec_from_loader("squares", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    actions = np.random.default_rng(0).integers(0, 4, ENVS).astype(np.uint8)
    arrays = np.zeros((ENVS, 121), np.uint8), actions, np.zeros(ENVS, np.float32), np.zeros(ENVS, np.uint8)
    envs = module.Boards(*arrays, run)
    envs.reset()
    for _ in range(STEPS):
        envs.step()
    return envs


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gate", action="store_true", help="count the instructions, and fail if there are too many"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="traincast-native-") as folder, channel(Path(folder)) as run:
        if options.gate:
            counts = instructions(run)
            rows = [[OPERATIONS[name], f"{count:.1f}", str(LIMITS[name])] for name, count in counts.items()]
            print(plain(["traincast.h: one call of", "instructions", "at most"], rows))
            binding = platform.machine() == "x86_64"
            return int(binding and any(count > LIMITS[name] for name, count in counts.items()))
        print(plain(["operation", "ns", "quartiles", "instructions"], header(run)))
    with tempfile.TemporaryDirectory(prefix="traincast-native-") as folder:
        ratio, quartiles, step = boards(Path(folder))
    print(f"examples/c_env: throughput with / without {ratio} ({quartiles}), at {step} ns a step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
