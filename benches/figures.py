"""Prints the figures that traincast promises, against their floors, measured side by side."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import one_process
from channels import own_directory
from harness import Case, measure, ratio
from memory import anonymous_memory
from payloads import payload

import traincast

HEAVY = ("numpy", "torch", "gymnasium")
READERS = 4096


def like(info: dict[str, Any]) -> dict[str, Any]:
    """A dictionary as big as `info`, with containers of its own; readers of one process share leaves too."""
    return info | {"reward_shaping": info["reward_shaping"].copy()}


def memory() -> dict[str, float]:
    """Bytes of a channel of small snapshots, and what many readers in a process take."""
    with own_directory() as directory, traincast.TrainingInfoWriter("memory") as writer:
        writer.publish(payload(1))
        warm = traincast.TrainingInfoReader("memory")
        warm.read()
        size = sum(file.stat().st_blocks * 512 for file in directory.iterdir())
        gc.collect()
        slots: list[Any] = [None] * READERS
        start = anonymous_memory()
        plain = [like(warm.read()) for _ in range(READERS)]
        dictionaries = anonymous_memory() - start
        start = anonymous_memory()
        for index in range(READERS):
            slots[index] = traincast.TrainingInfoReader("memory")
        attached = anonymous_memory() - start
        for reader in slots:
            reader.read()
        reading = anonymous_memory() - start
        maps = Path("/proc/self/maps").read_text()
        mappings = sum(str(directory) in line and " r--s " in line for line in maps.splitlines())
        del plain
    return {
        "channel": size,
        "mappings": mappings,
        "attached": attached / READERS,
        "besides the dictionary": (reading - dictionaries) / READERS,
    }


def in_fresh_process(option: str) -> Any:
    done = subprocess.run([sys.executable, __file__, option], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def loaded_by_import() -> list[str]:
    code = "import traincast, sys; print(*[m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def row(what: str, value: str, bound: str, *, met: bool) -> None:
    print(f"{what:<52} {value:<34} {bound:<18} {'ok' if met else 'MISSED'}")


def timed(case: Case, base: Case, limit: float) -> None:
    quotient = ratio(case, base)
    value = f"{quotient.median:.2f}x ({quotient.q1:.2f}…{quotient.q3:.2f}; "
    value += f"{case.median:.1f} / {base.median:.1f} ns)"
    row(f"{case.name} / {base.name}", value, f"at most {limit}x", met=quotient.median <= limit)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=301)
    arguments.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.memory:
        print(json.dumps(memory()))
        return
    with own_directory():
        cases = [
            *one_process.unchanged(),
            *one_process.changed(),
            *one_process.changed(5.0, " (steps only)"),
            *one_process.publishing(),
        ]
        measure(cases, options.rounds)
    named = {case.name: case for case in cases}
    timed(named["unchanged read"], named["empty PyO3 method"], 2.0)
    timed(named["changed read"], named["msgspec decode"], 1.5)
    timed(named["changed read (steps only)"], named["msgspec decode (steps only)"], 1.5)
    timed(named["publish"], named["msgspec encode"], 2.0)
    timed(named["update(approx_total_training_steps=n)"], named["publish"], 1.0)
    heavy = loaded_by_import()
    row(
        "loaded by `import traincast`",
        ", ".join(heavy) or "none of " + ", ".join(HEAVY),
        "none",
        met=not heavy,
    )
    sizes = in_fresh_process("--memory")
    size = sizes["channel"] / 1024
    row("a channel of small snapshots", f"{size:.0f} KiB", "at most 320 KiB", met=size <= 320)
    row(f"mappings for {READERS} readers", f"{sizes['mappings']}", "1", met=sizes["mappings"] == 1)
    each_reader = sizes["besides the dictionary"]
    row(
        "a reader besides its dictionary",
        f"{each_reader:.0f} bytes ({sizes['attached']:.0f} before its first read)",
        "at most 1024",
        met=each_reader <= 1024,
    )
    print("\nns per call:")
    for case in cases:
        print(f"  {case.name:<48} {case.median:8.1f}")


if __name__ == "__main__":
    main()
