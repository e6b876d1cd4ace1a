"""Encoding and decoding alone, which any transport of dictionaries has to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec

from benches.cases.payloads import payload
from benches.cases.peers.peer import COPIES, Operations, changing


def _codec(encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> Operations:
    infos = changing()
    items = [[encode(payload(index))] for index in range(COPIES)]

    def write_all() -> None:
        for item in items:
            item[0] = encode(next(infos))

    names = {"take": infos.__next__, "encode": encode, "decode": decode}
    return Operations(items, "encode(take())", "decode(item[0])", write_all, names)


def by_msgspec(stack: ExitStack) -> Operations:
    return _codec(msgspec.msgpack.encode, msgspec.msgpack.decode)


def by_ormsgpack(stack: ExitStack) -> Operations:
    import ormsgpack

    return _codec(ormsgpack.packb, ormsgpack.unpackb)


def by_pickle(stack: ExitStack) -> Operations:
    return _codec(pickle.dumps, pickle.loads)
