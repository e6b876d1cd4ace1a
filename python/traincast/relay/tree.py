"""The tree: from whom each relay receives its messages.

The relay of the learner's node is the root. It knows all others by their reports, and assigns a parent to
each: itself, and with more than 32 nodes, relays that pass on what they receive. So a message takes one hop
over a connection where the engine needs several. The engine is where relays meet, and for all that have no
parent: one that has just come, cannot connect to its parent, or has lost it. A relay whose parent is silent
or has ended returns to the engine at once, and stays there until it is assigned another one, or that parent
is tried again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from traincast._warnings import warn_once
from traincast.relay.engine import Engine, EngineLost, Engines, Listener, Listeners
from traincast.relay.message import TAG_BYTES, Malformed, channel_digest, check_tag, tag_of
from traincast.relay.sockets import SocketListeners

__all__ = [
    "PLAN",
    "Parent",
    "Plan",
    "Planner",
    "Upstream",
    "fan_out_from_environment",
    "is_port",
    "seal_plan",
    "unseal_plan",
]

PLAN = "plan"
"""The topic."""

_FLAT = 32
"""Up to this many nodes are all children of the root."""

_FAN_OUT, _FAN_OUT_LARGE, _LARGE = 32, 10, 65_536

_TRY_AGAIN = 10.0
"""Seconds after which a relay tries a parent again that it has left, if that is still its assigned one."""

_ANSWERS = 8
"""How many messages a relay asks its parent for at once, as long as they are small."""

_REPORTS_A_SECOND = 50
_SLOWEST = 3600.0

_MAGIC = b"trainpln"
_HEAD = len(_MAGIC) + 16


def fan_out_from_environment() -> int | None:
    """Return what `TRAINCAST_RELAY_FAN_OUT` says, which all nodes must agree on; None without it."""
    said = os.environ.get("TRAINCAST_RELAY_FAN_OUT", "")
    if said.isascii() and said.isdigit():
        return int(said)
    if said:
        warn_once(
            ("relay fan-out", said),
            f"TRAINCAST_RELAY_FAN_OUT={said!r} is ignored: set it to a number of children, on all nodes",
        )
    return None


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
        """`fan_out`: children of a relay, also of the root, however few there are; None: as measured."""
        self._fan_out = fan_out
        self._order: list[str] = []

    def plan(self, root: Parent | None, addresses: Mapping[str, tuple[str, int] | None], size: int) -> Plan:
        """Return a plan.

        `root`: the relay of the learner's node; None: it serves nobody. `addresses`: where each other node
        serves, or None. `size`: bytes of a snapshot.
        """
        self._remember(addresses)
        fan_out = self._fan_out or (_FAN_OUT if size < _LARGE else _FAN_OUT_LARGE)
        pace = min(max(1.0, len(self._order) / _REPORTS_A_SECOND), _SLOWEST)
        if len(self._order) <= (self._fan_out or _FLAT):
            fan_out = len(self._order)
        parents, serving = {}, set()
        if root is not None:
            parents = dict.fromkeys(self._order[:fan_out], root)
            serving.add(root.node)
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
        self._target: tuple[int, Listeners, Parent | None] = (0, root, None)
        self._assigned: Parent | None = None
        self._fell_back_at = -_TRY_AGAIN

    @property
    def parent(self) -> Parent | None:
        """The parent that this relay receives from; None: the engine."""
        return self._target[2]

    def follow(self, parent: Parent | None) -> None:
        """Receive from this parent from now on (None: the engine), unless it has failed recently."""
        with self._lock:
            fails = parent == self._assigned and time.monotonic() - self._fell_back_at < _TRY_AGAIN
            if fails or parent == self.parent:
                return
            self._assigned = parent
        if parent is not None and not _answers(parent):  # a firewall may drop what is sent to that port
            self.fall_back()
            return
        with self._lock:
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
        new: Listeners = self._root
        if parent is not None:
            new = SocketListeners(parent.host, parent.port, _ANSWERS)
        self._target = number + 1, new, parent
        if before is not None:
            engines.cut()


def _answers(parent: Parent) -> bool:
    try:
        SocketListeners(parent.host, parent.port).connect().close()
    except EngineLost:
        return False
    return True


class _Bound:
    """A connection that ends when the relay turns to another parent, or to the engine."""

    def __init__(self, engine: Listener, number: int, upstream: Upstream) -> None:
        self._engine, self._number, self._upstream = engine, number, upstream

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        own = self._number
        number, mark = newer_than or (own, None)
        if not self._upstream.is_at(own):
            raise EngineLost("this relay has turned to another parent")
        try:
            news = self._engine.wait(topic, mark if number == own else None, timeout)
        except EngineLost:
            self._upstream._lost(own, self._upstream.parent)
            raise
        return None if news is None else ((own, news[0]), news[1])

    def put(self, topic: str, value: bytes) -> None:
        raise NotImplementedError("a relay only listens to its parent")

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        raise NotImplementedError("a relay listens to its parent")

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        self._engine.report_progress_to(progressed)

    def close(self) -> None:
        self._engine.close()
