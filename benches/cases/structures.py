"""Dictionaries of other sizes and structures than the usual payload, to find any that are slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

import traincast
from benches.cases.payloads import STEPS
from benches.harness.rounds import Case, each

Make = Callable[[int], dict[str, Any]]
COPIES = 4


def flat(keys: int) -> Make:
    names = [f"key_{index}" for index in range(keys - 1)]
    return lambda step: {STEPS: step, **{name: step + index * 0.5 for index, name in enumerate(names)}}


NAMES = tuple(f"key_{index}" for index in range(8))
LEVELS = tuple(f"level_{index}" for index in range(8))


def deep(depth: int) -> Make:
    """Eight floats in all, `depth` levels down."""

    def make(step: int) -> dict[str, Any]:
        inner: dict[str, Any] = {name: step + index * 0.5 for index, name in enumerate(NAMES)}
        for level in range(depth - 1):
            inner = {LEVELS[level]: inner}
        return {STEPS: step, **inner}

    return make


def fresh_keys(step: int) -> dict[str, Any]:
    """Equal keys that are made anew each time, so that none is the same object as before."""
    return {STEPS: step, **{f"key_{index}": step + index * 0.5 for index in range(8)}}


def changing_keys(step: int) -> dict[str, Any]:
    """Another structure each time, more of them than any cache holds."""
    return {STEPS: step, **{f"key_{step}_{index}": index * 0.5 for index in range(8)}}


def changing_strings(step: int) -> dict[str, Any]:
    return {STEPS: step, **{name: "x" * ((step * 7 + index * 13) % 64) for index, name in enumerate(NAMES)}}


def same_strings(step: int) -> dict[str, Any]:
    return {STEPS: step, **dict.fromkeys(NAMES, "x" * 32)}


KEYS = (1, 10, 100, 1000)
DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8)
STRUCTURES: dict[str, Make] = {
    **{f"{keys} keys" if keys > 1 else "1 key": flat(keys) for keys in KEYS},
    **{f"depth {depth}": deep(depth) for depth in DEPTHS},
    "strings of one length": same_strings,
    "strings that change length": changing_strings,
    "equal keys, made anew each time": fresh_keys,
    "other keys at every publish": changing_keys,
}


def cases(name: str) -> dict[str, Case]:
    """Publish and changed read of one structure, and msgspec doing the same."""
    make = STRUCTURES[name]
    count = 256 if make is changing_keys else 64
    infos = [make(step) for step in range(count)]
    plain = "structure-" + "".join(c if c.isalnum() else "-" for c in name)
    publisher = traincast.TrainingInfoWriter(plain)
    publisher.publish(infos[0])
    writers = [traincast.TrainingInfoWriter(f"{plain}-{index}") for index in range(COPIES)]
    for writer in writers:
        writer.publish(infos[0])
    readers = [traincast.TrainingInfoReader(writer.name) for writer in writers]
    for reader in readers:
        reader.read()
    turn = 0

    def publish() -> None:
        nonlocal turn
        for writer in writers:
            turn = (turn + 1) % count
            writer.publish(infos[turn])

    encoded = [msgspec.msgpack.encode(info) for info in infos[:64]]
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
    return {
        "publish": each(f"{name}: publish", "publish(item)", infos, publish=publisher.publish),
        "read": each(f"{name}: changed read", "item.read()", readers, publish, writers=writers),
        "encode": each(f"{name}: msgspec encode", "encode(item)", infos, encode=encode),
        "decode": each(f"{name}: msgspec decode", "decode(item)", encoded, decode=decode),
    }
