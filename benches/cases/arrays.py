"""A snapshot with one big array, against memcpy of the same bytes."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

import traincast
from benches.cases.payloads import STEPS
from benches.harness.memory import anonymous_memory
from benches.harness.rounds import Case, each

SIZE = 400_000
READERS = 64
RING = 4  # slots of a channel: publishing goes round them, so its memory is colder than that of one copy


def _info(step: int, size: int) -> dict[str, Any]:
    return {STEPS: step, "scores": np.arange(step, step + size // 4, dtype=np.float32)}


def cases(size: int = SIZE) -> list[Case]:
    """Measure publish and changed read of an array of `size` bytes, and copies of it within this process."""
    infos = [_info(step, size) for step in range(2)]
    writer = traincast.TrainingInfoWriter(
        f"array-{size}", capacity=max(65536, size + 8192), max_capacity=max(1 << 26, size * 2)
    )
    writer.publish(infos[0])
    reader = traincast.TrainingInfoReader(writer.name)
    reader.read()
    turn = 0

    def publish() -> None:
        nonlocal turn
        turn += 1
        writer.publish(infos[turn % 2])

    sources = [info["scores"].ctypes.data for info in infos]
    one = np.zeros(size, np.uint8)
    ring = np.zeros((RING, size), np.uint8)
    targets = [(sources[index % 2], row.ctypes.data) for index, row in enumerate(ring)]
    move = ctypes.memmove
    move.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    copies = {"move": move, "size": size, "keep": (infos, one, ring)}
    return [
        each(f"publish {size}", "publish(item)", infos, publish=writer.publish, writer=writer),
        each(f"changed read {size}", "item.read()", [reader], publish, writer=writer),
        each(f"memcpy {size}", "move(to, item, size)", sources, to=one.ctypes.data, **copies),
        each(f"memcpy round a ring of {RING} {size}", "move(item[1], item[0], size)", targets, **copies),
    ]


def shared_copies() -> dict[str, float]:
    """Measure the memory for the arrays of many readers in one process. Needs a fresh process."""
    writer = traincast.TrainingInfoWriter("shared")
    writer.publish(_info(0, 400))
    readers = [traincast.TrainingInfoReader("shared") for _ in range(READERS)]
    held = [reader.read() for reader in readers]
    source = _info(1, SIZE)
    writer.publish(source)
    before = anonymous_memory()
    held = [reader.read() for reader in readers]
    taken = anonymous_memory() - before
    assert all(np.array_equal(info["scores"], source["scores"]) for info in held)
    return {"readers": READERS, "bytes": SIZE, "copies": taken / SIZE}
