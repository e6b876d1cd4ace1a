"""Packages that show their users a dictionary, or send one."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from benches.cases.peers.peer import Operations, fifo, mapping


def ultradict(stack: ExitStack) -> Operations:
    from UltraDict import UltraDict

    return _streamed(UltraDict, stack)


def ultradict2(stack: ExitStack) -> Operations:
    from UltraDict2 import UltraDict

    return _streamed(UltraDict, stack)


def _streamed(kind: Any, stack: ExitStack) -> Operations:
    name = f"traincast-bench-{time.monotonic_ns()}"
    size = 1_000_000
    writer = kind(name=name, create=True, buffer_size=size, full_dump_size=size, auto_unlink=True)
    reader = kind(name=name, create=False, auto_unlink=False)
    stack.callback(writer.close, unlink=True)
    stack.callback(reader.close)
    return mapping([writer], [reader])


def shared_memory_dict(stack: ExitStack) -> Operations:
    from shared_memory_dict import SharedMemoryDict

    name = f"traincast-bench-{time.monotonic_ns()}"
    writer = SharedMemoryDict(name=name, size=4096)
    reader = SharedMemoryDict(name=name, size=4096)
    stack.callback(writer._memory_block.unlink)
    stack.callback(writer.cleanup)
    stack.callback(reader.cleanup)
    return mapping([writer], [reader])


def faster_fifo(stack: ExitStack) -> Operations:
    import faster_fifo

    queue = faster_fifo.Queue(1_000_000)
    stack.callback(queue.close)
    return fifo(queue, queue, "put", "get", lambda: not queue.empty())
