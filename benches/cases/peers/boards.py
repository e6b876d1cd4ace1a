"""Packages whose writer leaves its newest value in shared memory."""

from __future__ import annotations

import ctypes
import itertools
import os
import struct
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from benches.cases.peers.peer import COPIES, Operations, changing, numbers


def iceoryx2(stack: ExitStack) -> Operations:
    import iceoryx2

    class Payload(ctypes.Structure):
        _fields_ = (("steps", ctypes.c_int64), ("epoch", ctypes.c_int64), ("shaping", ctypes.c_double * 8))

        @staticmethod
        def type_name() -> str:
            return "TraincastBenchPayload"

    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    config, prefix = iceoryx2.config.default(), f"traincast-bench-{os.getpid()}-"
    config.global_cfg.prefix = iceoryx2.FileName.new(prefix)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
    config.global_cfg.root_path = iceoryx2.Path.new(folder)

    def remove() -> None:
        for path in Path("/dev/shm").glob(f"{prefix}*"):
            path.unlink()

    stack.callback(remove)
    node = iceoryx2.NodeBuilder.new().config(config).create(iceoryx2.ServiceType.Ipc)
    items: list[Any] = []
    for index in range(COPIES):
        key = ctypes.c_uint64(0)
        name = iceoryx2.ServiceName.new(f"traincast-bench-{time.monotonic_ns()}-{index}")
        creator = node.service_builder(name).blackboard_creator(ctypes.c_uint64)
        service = creator.add(key, Payload(1, 2)).create()
        writer, reader = service.writer_builder().create(), service.reader_builder().create()
        entry = reader.entry(key, Payload)
        items.append([writer.entry(key, Payload), entry, entry.get(), service, writer, reader])
    stack.callback(items.clear)  # most peers remove their files with the last reference
    values = numbers()

    def write_all() -> None:
        for item in items:
            item[0].update_with_copy(Payload(next(values), 2))

    return Operations(
        items,
        "item[0].update_with_copy(value)",
        "item[1].get().decode_as(Payload).steps",
        write_all,
        {"value": Payload(3, 4), "Payload": Payload, "node": node},
        unchanged="item[1].is_up_to_date(item[2])",
    )


def kickmsg(stack: ExitStack) -> Operations:
    import kickmsg

    namespace = f"traincast-bench-{os.getpid()}"
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
    infos = changing()
    items: list[Any] = []
    for index in range(COPIES):
        name = f"board-{index}"
        board = kickmsg.Blackboard.open_or_create(namespace, name, kickmsg.BlackboardConfig())
        stack.callback(kickmsg.Blackboard.unlink, namespace, name)
        seen = kickmsg.Blackboard.try_open(namespace, name)
        items.append((board.declare("info"), seen.observe("info"), seen, board))
    stack.callback(items.clear)

    def write_all() -> None:
        for item in items:
            item[0].write(encode(next(infos)))

    write_all()
    return Operations(
        items,
        "item[0].write(encode(take()))",
        "decode(item[1].read().data)",
        write_all,
        {"take": infos.__next__, "encode": encode, "decode": decode},
        unchanged="item[2].change_seq",
    )


def zerochannel(stack: ExitStack) -> Operations:
    import numpy as np
    import zerochannel

    items: list[Any] = []
    for index in range(COPIES):
        name = f"/traincast-bench-{os.getpid()}-{index}"
        writer = zerochannel.Float64Writer(name, entry_length=10, entry_count=4)
        stack.callback(zerochannel.unlink, name)
        items.append((writer, zerochannel.Float64Reader(name)))
    stack.callback(items.clear)
    rows = itertools.cycle([np.arange(step, step + 10, dtype=np.float64) for step in range(64)])

    def write_all() -> None:
        for item in items:
            item[0].write(next(rows))

    return Operations(items, "item[0].write(take())", "item[1].read()", write_all, {"take": rows.__next__})


def subetha(stack: ExitStack) -> Operations:
    import subetha

    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="traincast-bench-", dir=shm))
    ten = struct.Struct("<10d")
    items: list[Any] = []
    for index in range(COPIES):
        place = f"{folder}/{index}", 1, ten.size  # one slot of a `Slab`, as a `Cell` holds at most 48 bytes
        items.append((subetha.Slab(*place), subetha.Slab.open_read_only(*place)))
    stack.callback(items.clear)
    rows = itertools.cycle([tuple(float(step + index) for index in range(10)) for step in range(64)])

    def write_all() -> None:
        for item in items:
            item[0].set(0, ten.pack(*next(rows)))

    write_all()
    return Operations(
        items,
        "item[0].set(0, pack(*take()))",
        "unpack(item[1].get(0))",
        write_all,
        {"take": rows.__next__, "pack": ten.pack, "unpack": ten.unpack},
        unchanged="item[1].slot_version(0)",
    )
