"""The memory of a channel and its readers, and the packages that importing traincast loads.

    python -m benches.cases.memory

Prints JSON. Memory is measured in a process that has done nothing else.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import traincast
from benches.cases.payloads import payload
from benches.harness.channels import own_directory
from benches.harness.memory import anonymous_memory

HEAVY = ("numpy", "torch", "gymnasium")
READERS = 4096


def like(info: dict[str, Any]) -> dict[str, Any]:
    """A dictionary as big as `info`, with its own containers; readers of one process share the leaves."""
    return info | {"reward_shaping": info["reward_shaping"].copy()}


def memory() -> dict[str, float]:
    """Return the bytes of a channel of small snapshots, and those of many readers in one process."""
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


def loaded_by_import() -> list[str]:
    code = "import traincast, sys; print(*[m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


if __name__ == "__main__":
    print(json.dumps({**memory(), "loaded by import": loaded_by_import()}))
