"""The tree: from whom each relay receives its messages when there are many nodes.

Up to 32 nodes all receive from the engine itself. Beyond that the relay of the learner's node, which knows
all others by their reports, assigns a parent to most of them: a relay that passes on what it receives. A
relay whose parent is silent or has ended returns to the engine at once, and stays there until it is assigned
another one, or that parent is tried again.
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
"""Up to this many nodes need no tree."""

_FAN_OUT, _FAN_OUT_LARGE, _LARGE = 32, 10, 65_536

_TRY_AGAIN = 10.0
"""Seconds after which a relay tries a parent again that it has left, if that is still its assigned one."""

_REPORTS_A_SECOND = 50
_SLOWEST = 3600.0

_MAGIC = b"trainpln"
_HEAD = len(_MAGIC) + 16


class Parent(NamedTuple):
    """A relay that passes on what it receives, and where it listens."""

    node: str
    host: str
    port: int


class Plan(NamedTuple):
    """The shape of the tree, which the relay of the learner's node sends to all others."""

    parents: Mapping[str, Parent]
    """The parent of each node. A node that is not in it receives from the engine."""
    serving: frozenset[str]
    """The nodes whose relays pass on what they receive."""
    pace: float = 1.0
    """Seconds between two reports of a relay."""


class Planner:
    """Assigns parents to nodes, and changes little when nodes come and go."""

    def __init__(self, fan_out: int | None = None) -> None:
        """`fan_out`: children of a relay, and how many nodes need no tree; None: the measured optimum."""
        self._fan_out = fan_out
        self._order: list[str] = []

    def plan(self, addresses: Mapping[str, tuple[str, int] | None], size: int) -> Plan:
        """Return a plan. `addresses`: where each node serves, or None. `size`: bytes of a snapshot."""
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
        """Let the last nodes take the places of those that are gone; append the new ones."""
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
    """Return the bytes of a plan. `channel` is the channel's name and policy: `"run@0"`."""
    text = json.dumps([plan.parents, sorted(plan.serving), plan.pace], separators=(",", ":"))
    whole = _MAGIC + channel_digest(channel) + text.encode()
    return whole + tag_of(whole, b"", key)


def unseal_plan(data: bytes, channel: str, key: bytes | None) -> Plan:
    """Check bytes, and return the plan in them.

    Raises: `Malformed`.
    """
    if not data.startswith(_MAGIC) or len(data) < _HEAD + TAG_BYTES:
        raise Malformed("it does not begin like a message of traincast")
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
        raise Malformed("its plan has impossible values")
    return plan


def is_port(value: object) -> bool:
    """Tell if a value from another relay is the number of a TCP port."""
    return type(value) is int and 0 < value < 1 << 16


class Upstream:
    """Where a relay listens: `Engines` that connect to the engine itself, the root, or to a parent."""

    def __init__(self, root: Engines) -> None:
        self._root = root
        self.via = root.via
        self._lock = threading.Lock()
        self._target: tuple[int, Engines, Parent | None] = (0, root, None)
        self._assigned: Parent | None = None
        self._fell_back_at = -_TRY_AGAIN

    @property
    def parent(self) -> Parent | None:
        """The parent that this relay receives from; None: the engine."""
        return self._target[2]

    def follow(self, parent: Parent | None) -> None:
        """Receive from this parent from now on (None: the engine), unless it has failed recently."""
        with self._lock:
            if parent != self._assigned or time.monotonic() - self._fell_back_at > _TRY_AGAIN:
                self._assigned = parent
                self._turn_to(parent)

    def fall_back(self) -> None:
        """Receive from the engine, because the parent is silent or has ended."""
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
        """See `Engines`: whoever has opened the root closes it."""

    def is_at(self, number: int) -> bool:
        """Whether connections with this number are the current ones."""
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
    """A connection that ends when the relay turns to another parent, or to the engine."""

    def __init__(self, engine: Engine, number: int, upstream: Upstream) -> None:
        self._engine, self._number, self._upstream = engine, number, upstream

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        number, mark = newer_than or (self._number, None)
        if not self._upstream.is_at(self._number):
            raise EngineLost("this relay has turned to another parent")
        try:
            news = self._engine.wait(topic, mark if number == self._number else None, timeout)
        except EngineLost:
            self._upstream._lost(self._number, self._upstream.parent)
            raise
        return None if news is None else ((self._number, news[0]), news[1])

    def put(self, topic: str, value: bytes) -> None:
        raise NotImplementedError("a relay only listens to its parent")

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        raise NotImplementedError("a relay listens to its parent")

    def close(self) -> None:
        self._engine.close()
