"""Peers: what people use instead, each as a writer and a reader of the same payload in one process.

In one process there is no transport between processes (cache misses, wake-ups), so the figures are lower
bounds for all of them, traincast included. Peers that need a second process or thread (a server, a feeder)
have it.
"""

from __future__ import annotations

from contextlib import ExitStack

import traincast
from benches.cases.peers import boards, codecs, dictionaries, services, standard
from benches.cases.peers.peer import (
    ALWAYS,
    COPIES,
    FIXED,
    NUMBER,
    ONE_EACH,
    WHOLE,
    Operations,
    Peer,
    changing,
)


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


TRAINCAST = Peer("traincast", WHOLE, "knows (one load)", "no", _traincast)
# The packages whose versions the page names.
DISTRIBUTIONS = (
    "traincast",
    "msgspec",
    "ormsgpack",
    "numpy",
    "gymnasium",
    "stable-baselines3",
    "faster-fifo",
    "iceoryx2",
    "kickmsg",
    "zerochannel",
    "subetha-ipc",
    "ultradict",
    "ultradict2",
    "shared-memory-dict",
    "redis",
    "ray",
)
UNLOCKED = "possible: reads take no lock"
PEERS = (
    # First: these two patch multiprocessing.resource_tracker; older SharedMemory objects do not survive that.
    Peer("UltraDict", WHOLE, "knows (a counter)", UNLOCKED, dictionaries.ultradict),
    Peer("UltraDict2", WHOLE, "knows (a counter)", UNLOCKED, dictionaries.ultradict2, "a maintained fork"),
    TRAINCAST,
    Peer(
        "multiprocessing.RawValue", NUMBER, "compares the number", "no (one aligned word)", standard.raw_value
    ),
    Peer("multiprocessing.Value", NUMBER, "compares the number", "no (lock)", standard.value),
    Peer("multiprocessing.Array", FIXED, "compares the numbers", "no (lock)", standard.array),
    Peer(
        "shared_memory + pickle",
        WHOLE,
        ALWAYS,
        "possible",
        standard.shared_memory,
        "written by hand, no lock",
    ),
    Peer(
        "iceoryx2 blackboard",
        FIXED,
        "knows",
        "no (on x86-64)",
        boards.iceoryx2,
        "a ctypes structure; one field decoded",
    ),
    Peer(
        "kickmsg blackboard",
        WHOLE,
        "knows (a counter of the board)",
        "no (a sequence number)",
        boards.kickmsg,
        "msgspec as codec",
    ),
    Peer(
        "zerochannel",
        FIXED,
        "knows (gets `None`)",
        "no (a sequence number)",
        boards.zerochannel,
        "an array of floats; a ring: who falls behind gets older values first",
    ),
    Peer(
        "subetha-ipc Slab",
        FIXED,
        "knows (a version)",
        "no (a sequence number)",
        boards.subetha,
        "a struct of floats",
    ),
    Peer(
        "shared-memory-dict",
        WHOLE,
        ALWAYS,
        "possible: its lock is off by default",
        dictionaries.shared_memory_dict,
    ),
    Peer("multiprocessing.Pipe", WHOLE, ONE_EACH, "no", standard.pipe, "one pipe, and one send, per reader"),
    Peer(
        "faster-fifo", WHOLE, ONE_EACH, "no", dictionaries.faster_fifo, "one queue, and one put, per reader"
    ),
    Peer(
        "multiprocessing.Queue", WHOLE, ONE_EACH, "no", standard.queue, "one queue, and one put, per reader"
    ),
    Peer("msgspec alone", WHOLE, ALWAYS, "no transport", codecs.by_msgspec),
    Peer("ormsgpack alone", WHOLE, ALWAYS, "no transport", codecs.by_ormsgpack),
    Peer("pickle alone", WHOLE, ALWAYS, "no transport", codecs.by_pickle),
)
SERVICES = (
    TRAINCAST,
    Peer("Manager().dict()", WHOLE, ALWAYS, "no", standard.manager, "through a server process"),
    Peer("redis", WHOLE, ALWAYS, "no", services.redis, "unix socket, msgspec as codec"),
    Peer(
        "Ray object store",
        WHOLE,
        "by another reference",
        "no",
        services.ray,
        "the reference has to travel too",
    ),
)
