"""What a peer is, the cases that are measured for it, and code that several peers share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benches.cases.payloads import payloads
from benches.harness.rounds import Case, each

WHOLE, NUMBER, FIXED = "the whole dictionary", "one number", "ten numbers, fixed"
ALWAYS = "does not: decodes each time"
ONE_EACH = "knows; blocks or polls"
COPIES = 8  # of each cheap peer, so that many reads in a row each find something new


@dataclass
class Operations:
    """How to use a peer: statements over `item`, one of `items`."""

    items: Sequence[Any]
    publish: str
    read: str
    write_all: Callable[[], object]  # something new into each item
    names: dict[str, Any] = field(default_factory=dict)
    drain: Callable[[], object] | None = None  # empties a queue, which would fill up
    repeats: bool = True  # whether a read without a publish before it returns anything
    unchanged: str = ""  # the cheapest way to find out that nothing is new, if not `read`


@dataclass(frozen=True)
class Peer:
    """Something that carries training information, and its properties."""

    name: str
    carries: str
    notices: str  # how a reader learns that there is nothing new
    torn: str  # whether a reader can see a half-written value
    make: Callable[[ExitStack], Operations]
    note: str = ""


def numbers() -> Iterator[int]:
    while True:
        yield from range(1_000_000, 2_000_000)


def changing() -> Iterator[dict[str, Any]]:
    infos = payloads(512)
    while True:
        yield from infos


def attribute(items: Sequence[Any], name: str, values: Iterator[Any]) -> Operations:
    def write_all() -> None:
        for item in items:
            setattr(item, name, next(values))

    return Operations(items, f"item.{name} = take()", f"item.{name}", write_all, {"take": values.__next__})


def mapping(writers: Sequence[Any], readers: Sequence[Any]) -> Operations:
    infos = changing()
    # Not `reader or writer`: a dictionary that is still empty counts as false.
    pairs = [
        (writer, writer if reader is None else reader)
        for writer, reader in zip(writers, readers, strict=True)
    ]

    def write_all() -> None:
        for writer in writers:
            writer["info"] = next(infos)

    write_all()
    return Operations(
        pairs, "item[0]['info'] = take()", "item[1]['info']", write_all, {"take": infos.__next__}
    )


def fifo(sender: Any, receiver: Any, put: str, get: str, full: Callable[[], bool]) -> Operations:
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
