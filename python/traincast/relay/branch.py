"""A relay's place in the tree: its parent, and the children that it serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from traincast.relay.engine import Engine, Engines
from traincast.relay.hub_server import HubServer
from traincast.relay.message import Gate
from traincast.relay.speech import LIFE, SNAPSHOT
from traincast.relay.tree import PLAN, Parent, Plan, Planner, Upstream, seal_plan, unseal_plan

__all__ = ["Branch"]

_PLAN_EVERY = 1.0
_SAY_AGAIN = 5.0
_PATIENCE = 0.6
"""The share of a lease after which a relay leaves a silent parent, so that the lease does not end."""

_LINES = 2
"""Connections of each child."""


class Branch:
    """The part of a relay that deals with the tree. Any thread may call its methods."""

    def __init__(
        self, gate: Gate, node: str, root: Engines, address: str | None, fan_out: int | None
    ) -> None:
        """`address`: where other nodes reach this one.

        All nodes receive from the engine if that is None, or `fan_out` 0.
        """
        self._gate, self._node = gate, node
        self._address = None if fan_out == 0 else address
        self.upstream = Upstream(root)
        self._planner = Planner(fan_out)
        self._server: HubServer | None = None
        self._newest: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._mark: Any = None
        self._plan: Plan | None = None
        self.pace = 1.0
        """Seconds between two reports."""
        self._planned_at = self._said_at = self._since = 0.0
        self._heard_from: Parent | None = None

    @property
    def serves(self) -> list[Any] | None:
        """Address and port at which this relay serves children; None: it serves none."""
        server = self._server
        return None if server is None else [self._address, server.port]

    @property
    def children(self) -> int:
        """How many relays receive from this one."""
        server = self._server
        return 0 if server is None else -(-server.connections // _LINES)

    @property
    def direct(self) -> bool | None:
        """Whether this relay receives from a parent, not from the engine; None: none does."""
        return None if self._address is None else self.upstream.parent is not None

    def pass_on(self, topic: str, data: bytes) -> None:
        """Send the children a message that was made here, or received and checked."""
        with self._lock:
            self._newest[topic] = data
            if self._server is not None:
                self._server.put(topic, data)

    def obey(self, engine: Engine, timeout: float) -> None:
        """Wait for a new plan of the tree, and take the place that it assigns."""
        news = engine.wait(PLAN, self._mark, timeout)
        if news is None:
            return
        self._mark, data = news
        plan = self._gate.admit_as(unseal_plan, data)
        if plan is None:
            return
        self.pace = plan.pace
        if self._address is not None:
            self._serve(self._node in plan.serving)
            self.upstream.follow(plan.parents.get(self._node))

    def be_root(self, speaks: bool) -> None:
        """Receive from the engine, because the learner is on this node. `speaks`: it has the channel."""
        self._serve(speaks)
        self.upstream.follow(None)

    def plan(self, engine: Engine, reports: Sequence[dict[str, Any]], size: int) -> None:
        """Send the relays a plan that is based on their reports. `size`: bytes of a snapshot."""
        now = time.monotonic()
        if now - self._planned_at < _PLAN_EVERY:
            return
        self._planned_at = now
        places = {report["node"]: tuple(report.get("serves") or ()) or None for report in reports}
        serves = self.serves
        root = None if serves is None else Parent(self._node, *serves)
        plan = self._planner.plan(root, places, size)
        if self._address is None:  # this engine distributes messages itself
            plan = Plan({}, frozenset(), plan.pace)
        self.pace = plan.pace
        if plan != self._plan or now - self._said_at > _SAY_AGAIN:
            self._plan, self._said_at = plan, now
            engine.put(PLAN, seal_plan(plan, self._gate.channel, self._gate.key))

    def tick(self, silent: float, lease: float) -> None:
        """Leave a parent that is silent too long. `silent`: seconds since the last message on the learner."""
        parent = self.upstream.parent
        if parent is None or parent != self._heard_from:
            self._heard_from, self._since = parent, time.monotonic()
        elif min(silent, time.monotonic() - self._since) > lease * _PATIENCE:
            self.upstream.fall_back()

    def close(self) -> None:
        """Stop serving children."""
        self._serve(False)

    def _serve(self, wanted: bool) -> None:
        with self._lock:
            if wanted and self._server is None and self._address is not None:
                with suppress(OSError):
                    self._server = HubServer(self._address, topics=(LIFE, SNAPSHOT))
                    for topic, data in self._newest.items():
                        self._server.put(topic, data)
            elif not wanted and self._server is not None:
                self._server.close()
                self._server = None
