"""Measures traincast.h, in time and in instructions: `python -m benches.native`.

The figures of docs/native.md are what this prints.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
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
ENVS, STEPS = 256, 40
C_ENV = ROOT / "examples" / "c_env"
ADDED = re.compile(r"^.*// traincast\n", re.MULTILINE)


def compiled(source: Path, target: Path, *arguments: str) -> Path:
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O3", f"-I{traincast.get_include()}", *arguments]
    subprocess.run([*command, source, "-o", target], check=True)
    return target


def header(folder: Path) -> list[list[str]]:
    """Rows of the table: times, and instructions, of the two operations."""
    program = compiled(Path(__file__).with_name("cost.c"), folder / "cost")
    with own_directory() as directory, traincast.TrainingInfoWriter("cost", verify_every=math.inf) as writer:
        for step in range(8):
            writer.publish(payload(step))
        file = directory / "cost@0"

        def run(*command: str | Path) -> str:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return done.stdout + done.stderr

        python = key_ns()
        rounds = [
            [float(number) for number in line.split()]
            for line in run(program, "time", file, "cost", str(ROUNDS)).splitlines()
        ]
        rows = []
        for name, index, operation in (
            ("poll with nothing new, one double", 1, "unchanged"),
            ("poll with ten new numbers, all ten", 2, "fresh"),
        ):
            taken = [row[index] for row in rounds]
            counted = instructions(run, program, operation, file)
            q1, median, q3 = statistics.quantiles(taken, n=4)
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


def instructions(run: Any, program: Path, operation: str, file: Path) -> str:
    """Of one call, under callgrind: two runs differ in their number of calls alone."""
    if shutil.which("valgrind") is None:
        return "no valgrind"
    totals = []
    for calls in (COUNTED, 2 * COUNTED):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program)]
        said = run(*command, operation, file, "cost", str(calls))
        totals.append(int(re.search(r"Collected : (\d+)", said)[1]))  # type: ignore[index]
    return f"{(totals[1] - totals[0]) / COUNTED:.1f}"


def boards(folder: Path) -> list[str]:
    """The throughput of the example with the lines that read the training, relative to that without them."""
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
        envs = {name: _boards(made, run.name) for name, made in makers.items()}
        taken: dict[str, list[float]] = {name: [] for name in envs}
        for turn in range(ROUNDS):
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


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="traincast-native-") as folder:
        print(plain(["operation", "ns", "quartiles", "instructions"], header(Path(folder))))
        ratio, quartiles, step = boards(Path(folder))
        print(f"examples/c_env: throughput with / without {ratio} ({quartiles}), at {step} ns a step")


if __name__ == "__main__":
    sys.exit(main())
