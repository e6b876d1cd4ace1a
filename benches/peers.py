"""What people use instead, each as a writer and a reader of the same payload, in one process.

One process leaves out what the transport between processes adds (cache misses, wake-ups): the figures are
lower bounds for all of them, traincast included. Those that need a second process (a server, a feeder thread)
have it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import msgspec
from harness import Case, each
from payloads import payload, payloads

import traincast

WHOLE, NUMBER, FIXED = "the whole dictionary", "one number", "ten numbers, fixed"
COPIES = 8  # of each cheap peer: many reads after one another, each of something new


@dataclass
class Operations:
    """How to use a peer: statements over `item`, one of `items`."""

    items: Sequence[Any]
    publish: str
    read: str
    write_all: Callable[[], object]  # something new into each item
    names: dict[str, Any] = field(default_factory=dict)
    drain: Callable[[], object] | None = None  # a queue that nobody reads fills up
    repeats: bool = True  # whether a read without a publish before it gives anything
    unchanged: str = ""  # the cheapest way to find that nothing is new, if not `read`


@dataclass(frozen=True)
class Peer:
    """Something that carries training information, and what its user has to know of it."""

    name: str
    carries: str
    notices: str  # how a reader learns that there is nothing new
    torn: str  # whether a reader can see a half-written value
    make: Callable[[ExitStack], Operations]
    note: str = ""


def _numbers() -> Iterator[int]:
    while True:
        yield from range(1_000_000, 2_000_000)


def changing() -> Iterator[dict[str, Any]]:
    infos = payloads(512)
    while True:
        yield from infos


def _traincast(stack: ExitStack) -> Operations:
    writers = [stack.enter_context(traincast.TrainingInfoWriter(f"peer-{n}")) for n in range(COPIES)]
    infos = changing()
    for writer in writers:
        writer.publish(next(infos))
    readers = [stack.enter_context(traincast.TrainingInfoReader(writer.name)) for writer in writers]
    pairs = list(zip(writers, readers, strict=True))

    def write_all() -> None:
        for writer in writers:
            writer.publish(next(infos))

    return Operations(pairs, "item[0].publish(take())", "item[1].read()", write_all, {"take": infos.__next__})


def _raw_value(stack: ExitStack) -> Operations:
    items = [multiprocessing.RawValue(ctypes.c_int64) for _ in range(COPIES)]
    return _attribute(items, "value", _numbers())


def _value(stack: ExitStack) -> Operations:
    items = [multiprocessing.Value(ctypes.c_int64) for _ in range(COPIES)]
    return _attribute(items, "value", _numbers())


def _attribute(items: Sequence[Any], name: str, values: Iterator[Any]) -> Operations:
    def write_all() -> None:
        for item in items:
            setattr(item, name, next(values))

    return Operations(items, f"item.{name} = take()", f"item.{name}", write_all, {"take": values.__next__})


def _array(stack: ExitStack) -> Operations:
    items = [multiprocessing.Array(ctypes.c_double, 10) for _ in range(COPIES)]

    def values() -> Iterator[list[float]]:
        for step in _numbers():
            yield [float(step + index) for index in range(10)]

    rows = values()

    def write_all() -> None:
        for item in items:
            item[:] = next(rows)

    ready = [next(rows) for _ in range(8)]
    return Operations(items, "item[:] = row", "item[:]", write_all, {"row": ready[0]})


def mapping(writers: Sequence[Any], readers: Sequence[Any]) -> Operations:
    infos = changing()
    pairs = [(writer, reader or writer) for writer, reader in zip(writers, readers, strict=True)]

    def write_all() -> None:
        for writer in writers:
            writer["info"] = next(infos)

    write_all()
    return Operations(
        pairs, "item[0]['info'] = take()", "item[1]['info']", write_all, {"take": infos.__next__}
    )


def _queue(stack: ExitStack) -> Operations:
    queue: Any = multiprocessing.Queue()
    stack.callback(queue.join_thread)
    stack.callback(queue.close)
    return _fifo(queue, queue, "put", "get", lambda: not queue.empty())


def _pipe(stack: ExitStack) -> Operations:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    stack.callback(sender.close)
    stack.callback(receiver.close)
    return _fifo(sender, receiver, "send", "recv", receiver.poll)


def _faster_fifo(stack: ExitStack) -> Operations:
    import faster_fifo

    queue = faster_fifo.Queue(1_000_000)
    stack.callback(queue.close)
    return _fifo(queue, queue, "put", "get", lambda: not queue.empty())


def _fifo(sender: Any, receiver: Any, put: str, get: str, full: Callable[[], bool]) -> Operations:
    infos = changing()

    def drain() -> None:
        time.sleep(0)  # a feeder thread needs a moment
        while full():
            getattr(receiver, get)()

    def write_all() -> None:
        drain()
        getattr(sender, put)(next(infos))

    return Operations(
        [(sender, receiver)],
        f"item[0].{put}(take())",
        f"item[1].{get}()",
        write_all,
        {"take": infos.__next__},
        drain=drain,
        repeats=False,
    )


def _shared_memory(stack: ExitStack) -> Operations:
    infos = changing()
    items: list[Any] = [shared_memory.SharedMemory(create=True, size=4096) for _ in range(COPIES)]
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


def _ultradict(stack: ExitStack) -> Operations:
    from UltraDict import UltraDict

    name = f"traincast-bench-{time.monotonic_ns()}"
    size = 1_000_000
    writer = UltraDict(name=name, create=True, buffer_size=size, full_dump_size=size, auto_unlink=True)
    reader = UltraDict(name=name, create=False, auto_unlink=False)
    stack.callback(writer.close, unlink=True)
    stack.callback(reader.close)
    return mapping([writer], [reader])


def _shared_memory_dict(stack: ExitStack) -> Operations:
    from shared_memory_dict import SharedMemoryDict

    name = f"traincast-bench-{time.monotonic_ns()}"
    writer = SharedMemoryDict(name=name, size=4096)
    reader = SharedMemoryDict(name=name, size=4096)
    stack.callback(writer._memory_block.unlink)
    stack.callback(writer.cleanup)
    stack.callback(reader.cleanup)
    return mapping([writer], [reader])


def _iceoryx2(stack: ExitStack) -> Operations:
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
    stack.callback(items.clear)  # most of the files go with the last reference
    values = _numbers()

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


def _codec(encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> Operations:
    infos = changing()
    items = [[encode(payload(index))] for index in range(COPIES)]

    def write_all() -> None:
        for item in items:
            item[0] = encode(next(infos))

    names = {"take": infos.__next__, "encode": encode, "decode": decode}
    return Operations(items, "encode(take())", "decode(item[0])", write_all, names)


def _msgspec(stack: ExitStack) -> Operations:
    return _codec(msgspec.msgpack.encode, msgspec.msgpack.decode)


def _ormsgpack(stack: ExitStack) -> Operations:
    import ormsgpack

    return _codec(ormsgpack.packb, ormsgpack.unpackb)


def _pickle(stack: ExitStack) -> Operations:
    return _codec(pickle.dumps, pickle.loads)


ALWAYS = "does not: decodes each time"
ONE_EACH = "knows; blocks or polls"
TRAINCAST = Peer("traincast", WHOLE, "knows (one load)", "no", _traincast)
PEERS = (
    # First: it patches multiprocessing.resource_tracker, which older SharedMemory objects do not survive.
    Peer("UltraDict", WHOLE, "knows (a counter)", "possible: reads take no lock", _ultradict),
    TRAINCAST,
    Peer("multiprocessing.RawValue", NUMBER, "compares the number", "no (one aligned word)", _raw_value),
    Peer("multiprocessing.Value", NUMBER, "compares the number", "no (lock)", _value),
    Peer("multiprocessing.Array", FIXED, "compares the numbers", "no (lock)", _array),
    Peer("shared_memory + pickle", WHOLE, ALWAYS, "possible", _shared_memory, "written by hand, no lock"),
    Peer(
        "iceoryx2 blackboard",
        FIXED,
        "knows",
        "no (on x86-64)",
        _iceoryx2,
        "a ctypes structure; one field decoded",
    ),
    Peer("shared-memory-dict", WHOLE, ALWAYS, "possible: its lock is off by default", _shared_memory_dict),
    Peer("multiprocessing.Pipe", WHOLE, ONE_EACH, "no", _pipe, "one pipe, and one send, per reader"),
    Peer("faster-fifo", WHOLE, ONE_EACH, "no", _faster_fifo, "one queue, and one put, per reader"),
    Peer("multiprocessing.Queue", WHOLE, ONE_EACH, "no", _queue, "one queue, and one put, per reader"),
    Peer("msgspec alone", WHOLE, ALWAYS, "no transport", _msgspec),
    Peer("ormsgpack alone", WHOLE, ALWAYS, "no transport", _ormsgpack),
    Peer("pickle alone", WHOLE, ALWAYS, "no transport", _pickle),
)


def cases(peer: Peer, stack: ExitStack) -> dict[str, Case]:
    """Publish, a read that finds nothing new, and a read that finds something new, of one peer."""
    use = peer.make(stack)
    name = f"{peer.name}: "
    found = {
        "publish": each(f"{name}publish", use.publish, use.items, use.drain, "", **use.names),
        "changed": each(f"{name}changed", use.read, use.items, use.write_all, "", **use.names),
    }
    if use.repeats:
        use.write_all()
        found["unchanged"] = each(
            f"{name}unchanged", use.unchanged or use.read, use.items, None, "", **use.names
        )
    return found
