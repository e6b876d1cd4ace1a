"""Who has its messages from whom, where there are many nodes.

Up to 32 nodes all hear the engine itself. Beyond that the relay of the learner's node, which knows all others
by their reports, gives most of them a parent: a relay that passes on what it hears. A relay whose parent is
silent or gone goes back to the engine at once, and stays there until it is given another one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from traincast.relay.engine import Engine, EngineLost, Engines
from traincast.relay.message import TAG_BYTES, Malformed, channel_digest, check_tag, tag_of
from traincast.relay.sockets import SocketEngines

__all__ = ["PLAN", "Parent", "Plan", "Planner", "Upstream", "is_port", "seal_plan", "unseal_plan"]

PLAN = "plan"
"""The topic."""

_FLAT = 32
"""So many nodes need no tree."""

_FAN_OUT, _FAN_OUT_LARGE, _LARGE = 32, 10, 65_536

_TRY_AGAIN = 10.0
"""Seconds after which a parent that was left is heard again, if it is still the one that was assigned."""

_REPORTS_A_SECOND = 50
_SLOWEST = 3600.0

_MAGIC = b"trainpln"
_HEAD = len(_MAGIC) + 16


class Parent(NamedTuple):
    """A relay that passes on what it hears."""

    node: str
    host: str
    port: int


class Plan(NamedTuple):
    """What the relays are told."""

    parents: Mapping[str, Parent]
    """By node. Who is not in it hears the engine."""
    serving: frozenset[str]
    """Who is to pass on what it hears."""
    pace: float = 1.0
    """Seconds between two reports of a relay."""


class Planner:
    """Gives nodes their parents, and changes little when nodes come and go."""

    def __init__(self, fan_out: int | None = None) -> None:
        """`fan_out`: children of a relay, and how many nodes need no tree; None: as was measured."""
        self._fan_out = fan_out
        self._order: list[str] = []

    def plan(self, addresses: Mapping[str, tuple[str, int] | None], size: int) -> Plan:
        """Return a plan for nodes, by where they serve if they do. `size`: bytes of a snapshot."""
        self._remember(addresses)
        fan_out = self._fan_out or (_FAN_OUT if size < _LARGE else _FAN_OUT_LARGE)
        pace = min(max(1.0, len(self._order) / _REPORTS_A_SECOND), _SLOWEST)
        if len(self._order) <= (self._fan_out or _FLAT):
            return Plan({}, frozenset(), pace)
        parents, serving = {}, set()
        for i, node in enumerate(self._order[fan_out:]):
            parent = self._order[i // fan_out]
            serving.add(parent)
            if (address := addresses[parent]) is not None:
                parents[node] = Parent(parent, *address)
        return Plan(parents, frozenset(serving), pace)

    def _remember(self, nodes: Iterable[str]) -> None:
        """The last ones take the places of those that are gone; new ones come behind all."""
        here = dict.fromkeys(nodes)
        while True:
            while self._order and self._order[-1] not in here:
                self._order.pop()
            gone = next((i for i, node in enumerate(self._order) if node not in here), None)
            if gone is None:
                break
            self._order[gone] = self._order.pop()
        known = set(self._order)
        self._order += [node for node in here if node not in known]


def seal_plan(plan: Plan, channel: str, key: bytes | None) -> bytes:
    """Put a plan into bytes. `channel` is its name and policy: `"run@0"`."""
    text = json.dumps([plan.parents, sorted(plan.serving), plan.pace], separators=(",", ":"))
    whole = _MAGIC + channel_digest(channel) + text.encode()
    return whole + tag_of(whole, b"", key)


def unseal_plan(data: bytes, channel: str, key: bytes | None) -> Plan:
    """Check bytes, and return the plan that they are.

    Raises: `Malformed`.
    """
    if not data.startswith(_MAGIC) or len(data) < _HEAD + TAG_BYTES:
        raise Malformed("it does not begin like one")
    whole, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    check_tag(tag, tag_of(whole, b"", key), key)
    if whole[len(_MAGIC) : _HEAD] != channel_digest(channel):
        raise Malformed("it is for another channel")
    try:
        parents, serving, pace = json.loads(whole[_HEAD:])
        plan = Plan(
            {str(node): Parent(str(to), str(host), port) for node, (to, host, port) in parents.items()},
            frozenset(map(str, serving)),
            float(pace),
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Malformed("its plan cannot be read") from error
    if not (1.0 <= plan.pace <= _SLOWEST and all(is_port(parent.port) for parent in plan.parents.values())):
        raise Malformed("its plan says what cannot be")
    return plan


def is_port(value: object) -> bool:
    """Tell if a value from elsewhere is the number of a TCP port."""
    return type(value) is int and 0 < value < 1 << 16


class Upstream:
    """Where a relay listens: `Engines` that are the root's, or a parent's."""

    def __init__(self, root: Engines) -> None:
        self._root = root
        self.via = root.via
        self._lock = threading.Lock()
        self._target: tuple[int, Engines, Parent | None] = (0, root, None)
        self._assigned: Parent | None = None
        self._fell_back_at = -_TRY_AGAIN

    @property
    def parent(self) -> Parent | None:
        """Whom this relay hears; None: the engine."""
        return self._target[2]

    def follow(self, parent: Parent | None) -> None:
        """Hear this relay, if that was not so already, or was tried and failed."""
        with self._lock:
            if parent != self._assigned or time.monotonic() - self._fell_back_at > _TRY_AGAIN:
                self._assigned = parent
                self._turn_to(parent)

    def fall_back(self) -> None:
        """Hear the engine: the parent is gone, or silent."""
        with self._lock:
            self._fall_back()

    def connect(self) -> Engine:
        """See `Engines`."""
        number, engines, parent = self._target
        try:
            return _Bound(engines.connect(), number, self)
        except EngineLost:
            self._lost(number, parent)
            raise

    def cut(self) -> None:
        """See `Engines`."""
        self._target[1].cut()

    def close(self) -> None:
        """See `Engines`: the root is closed by whoever has opened it."""

    def is_at(self, number: int) -> bool:
        """Whether connections of that number are the present ones."""
        return self._target[0] == number

    def _lost(self, number: int, parent: Parent | None) -> None:
        with self._lock:
            if parent is not None and self._target[0] == number:
                self._fall_back()

    def _fall_back(self) -> None:
        self._fell_back_at = time.monotonic()
        self._turn_to(None)

    def _turn_to(self, parent: Parent | None) -> None:
        number, engines, before = self._target
        if parent == before:
            return
        new: Engines = self._root if parent is None else SocketEngines(parent.host, parent.port)
        self._target = number + 1, new, parent
        if before is not None:
            engines.cut()


class _Bound:
    """A connection that ends when the relay turns to somebody else."""

    def __init__(self, engine: Engine, number: int, upstream: Upstream) -> None:
        self._engine, self._number, self._upstream = engine, number, upstream

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        number, mark = newer_than or (self._number, None)
        if not self._upstream.is_at(self._number):
            raise EngineLost("this relay hears another one by now")
        try:
            news = self._engine.wait(topic, mark if number == self._number else None, timeout)
        except EngineLost:
            self._upstream._lost(self._number, self._upstream.parent)
            raise
        return None if news is None else ((self._number, news[0]), news[1])

    def put(self, topic: str, value: bytes) -> None:
        raise NotImplementedError("a relay listens to its parent")

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        raise NotImplementedError("a relay listens to its parent")

    def close(self) -> None:
        self._engine.close()
