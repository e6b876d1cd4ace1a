"""Peers from Python's standard library."""

from __future__ import annotations

import ctypes
import multiprocessing
import pickle
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from benches.cases.peers.peer import COPIES, Operations, attribute, changing, fifo, mapping, numbers


def raw_value(stack: ExitStack) -> Operations:
    items = [multiprocessing.RawValue(ctypes.c_int64) for _ in range(COPIES)]
    return attribute(items, "value", numbers())


def value(stack: ExitStack) -> Operations:
    items = [multiprocessing.Value(ctypes.c_int64) for _ in range(COPIES)]
    return attribute(items, "value", numbers())


def array(stack: ExitStack) -> Operations:
    items = [multiprocessing.Array(ctypes.c_double, 10) for _ in range(COPIES)]

    def values() -> Iterator[list[float]]:
        for step in numbers():
            yield [float(step + index) for index in range(10)]

    rows = values()

    def write_all() -> None:
        for item in items:
            item[:] = next(rows)

    ready = [next(rows) for _ in range(8)]
    return Operations(items, "item[:] = row", "item[:]", write_all, {"row": ready[0]})


def queue(stack: ExitStack) -> Operations:
    queue: Any = multiprocessing.Queue()
    stack.callback(queue.join_thread)
    stack.callback(queue.close)
    return fifo(queue, queue, "put", "get", lambda: not queue.empty())


def pipe(stack: ExitStack) -> Operations:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    stack.callback(sender.close)
    stack.callback(receiver.close)
    return fifo(sender, receiver, "send", "recv", receiver.poll)


def shared_memory(stack: ExitStack) -> Operations:
    infos = changing()
    items: list[Any] = [SharedMemory(create=True, size=4096) for _ in range(COPIES)]
    for item in items:
        stack.callback(item.unlink)
        stack.callback(item.close)
    header = struct.Struct("<Q")

    def put(item: Any, info: dict[str, Any]) -> None:
        data = pickle.dumps(info, pickle.HIGHEST_PROTOCOL)
        item.buf[8 : 8 + len(data)] = data
        header.pack_into(item.buf, 0, len(data))

    def get(item: Any) -> Any:
        (size,) = header.unpack_from(item.buf, 0)
        return pickle.loads(item.buf[8 : 8 + size])

    def write_all() -> None:
        for item in items:
            put(item, next(infos))

    write_all()
    names = {"put": put, "get": get, "take": infos.__next__}
    return Operations(items, "put(item, take())", "get(item)", write_all, names)


def manager(stack: ExitStack) -> Operations:
    server = stack.enter_context(multiprocessing.Manager())
    return mapping([server.dict()], [None])
