"""Cases that need one process: what a call costs, with warm and with cold caches."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

import traincast
from benches.cases.payloads import CHANNELS, OTHER_WORK, payload, payloads
from benches.harness import floor
from benches.harness.rounds import Case, call, each


def unchanged() -> list[Case]:
    """A read that finds nothing new, and the call of a native method that does nothing."""
    writer = traincast.TrainingInfoWriter("unchanged")
    writer.publish(payload(1))
    reader = traincast.TrainingInfoReader("unchanged")
    reader.read()
    several = floor.load()
    single = floor.load("traincast_floor_single")
    return [
        call("empty PyO3 method", "empty.method()", empty=several.Empty()),
        call("empty PyO3 method, inlined", "empty.method()", empty=single.Empty()),
        call("floor: one load, then a cached dictionary", "cached.read()", cached=several.Cached(payload(1))),
        call("unchanged read", "reader.read()", reader=reader, writer=writer),
        call("unchanged read_if_changed", "reader.read_if_changed()", reader=reader, writer=writer),
        call("changed() -> False", "reader.changed()", reader=reader, writer=writer),
        call("key, nothing new", "key()", key=_called_once(reader), writer=writer),
    ]


def _called_once(reader: traincast.TrainingInfoReader) -> traincast.TrainingInfoKey[float]:
    """The key of a float two levels down."""
    key = reader.key("reward_shaping.goal")
    key()
    return key


def changed(fixed: float | None = None, suffix: str = "") -> list[Case]:
    """A read that finds a new dictionary, and msgspec decoding the same one."""
    native = floor.load()
    encoded = [msgspec.msgpack.encode(info) for info in payloads(CHANNELS, fixed)]
    return [
        new_reads(f"changed read{suffix}", fixed),
        each(f"msgspec decode{suffix}", "decode(item)", encoded, decode=msgspec.msgpack.decode),
        each(f"floor: build the dictionary{suffix}", "build(item)", range(CHANNELS), build=native.build),
    ]


def keys() -> list[Case]:
    """The call of a key whose value is new, as all other values are."""
    return [new_reads("key, all changed", by_key=True)]


def held() -> list[Case]:
    """The same while an env keeps its last dictionary, so that none of it can be reused."""
    return [new_reads("changed read, the last one held", held=True)]


def new_reads(name: str, fixed: float | None = None, held: bool = False, by_key: bool = False) -> Case:
    """Each pass publishes to all channels, untimed, and then reads each of them once, or a value of each."""
    infos = payloads(512, fixed)
    channel = f"changed-{fixed}-{held}-{by_key}"
    writers = [traincast.TrainingInfoWriter(f"{channel}-{index}") for index in range(CHANNELS)]
    for writer in writers:
        writer.publish(infos[0])
    readers = [traincast.TrainingInfoReader(writer.name) for writer in writers]
    for reader in readers:
        reader.read()
    turn = 0

    def publish() -> None:
        nonlocal turn
        for writer in writers:
            turn = (turn + 1) % len(infos)
            writer.publish(infos[turn])

    if by_key:
        return each(name, "item()", [_called_once(reader) for reader in readers], publish, writers=writers)
    if not held:
        return each(name, "item.read()", readers, publish, writers=writers)
    hold = deque[dict[str, Any]](maxlen=CHANNELS).append
    return each(name, "hold(item.read())", readers, publish, writers=writers, hold=hold)


def cold() -> list[Case]:
    """The same after other work has filled the core's own caches, as an env does between resets."""
    infos = payloads(64)
    writer = traincast.TrainingInfoWriter("cold")
    writer.publish(infos[0])
    reader = traincast.TrainingInfoReader("cold")
    reader.read()
    encoded = [msgspec.msgpack.encode(infos[0])]
    scratch, other = bytearray(OTHER_WORK), bytes(OTHER_WORK)
    turn = 0

    def work() -> None:
        scratch[:] = other

    def publish_and_work() -> None:
        nonlocal turn
        turn = (turn + 1) % len(infos)
        writer.publish(infos[turn])
        scratch[:] = other

    return [
        each("unchanged read, cold", "item.read()", [reader], work, writer=writer),
        each("changed read, cold", "item.read()", [reader], publish_and_work, writer=writer),
        each("msgspec decode, cold", "decode(item)", encoded, work, decode=msgspec.msgpack.decode),
    ]


def publishing() -> list[Case]:
    """Publishing dictionaries of which every leaf differs from the one before, and msgspec encoding them."""
    infos = payloads(64)
    whole = traincast.TrainingInfoWriter("publish")
    partly = traincast.TrainingInfoWriter("update")
    for writer in (whole, partly):
        writer.publish(infos[0])
    keep: dict[str, Any] = {"writer": whole}
    return [
        each("publish", "publish(item)", infos, publish=whole.publish, **keep),
        each("msgspec encode", "encode(item)", infos, encode=msgspec.msgpack.encode),
        each(
            "update(approx_total_training_steps=n)",
            "update(approx_total_training_steps=item)",
            range(1_000_000, 1_000_064),
            update=partly.update,
            writer=partly,
        ),
    ]
