"""The relay of one channel on one node: its threads, its status and its end."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from traincast._core import RelayLock
from traincast._warnings import warn_once
from traincast.errors import ChannelBusyError, StorageFullError
from traincast.relay.branch import Branch
from traincast.relay.engine import EngineLost, Engines
from traincast.relay.lines import Line
from traincast.relay.message import Gate
from traincast.relay.reports import Reports
from traincast.relay.scores import Scores
from traincast.relay.sink import LEASE, Sink
from traincast.relay.source import Source
from traincast.relay.speech import LIFE, SNAPSHOT

__all__ = ["Relay"]

_TICK = 0.1
_ANNOUNCE_EVERY = 0.5
_WAIT = 1.0
_LAST_TOTALS = 0.5
_MOST_FAULT = 300  # characters of a fault, which is part of the reports to other relays


class Relay:
    """Serves one channel on this node until it is told to end.

    It has six threads: two that listen, one that speaks for a learner of this node, one for scoreboards, one
    that reports, and the one that calls `run`; and one more while it serves others (`hub_server`). The one
    that calls `run` makes no engine call except to cut or close, so that a lease ends even if the engine
    hangs.

    Raises: ChannelBusyError if the node has a relay for the channel already.
    """

    def __init__(
        self,
        name: str,
        policy_id: int,
        directory: str | None,
        engines: Engines,
        *,
        key: bytes | None = None,
        lease: float = LEASE,
        address: str | None = None,
        fan_out: int | None = None,
    ) -> None:
        """Take the lock.

        `address`: where other nodes reach this one; None: all receive from the engine. `fan_out`: see
        `Planner`.
        """
        self._lock = RelayLock(name, policy_id, directory=directory)
        self._engines = engines
        self._stop = threading.Event()
        # From here on the channel has one directory, even where there are two default ones.
        place = str(self._lock.directory)
        self._node = _node_id(place)
        self.gate = Gate(f"{name}@{policy_id}", key)
        self.sink = Sink(self.gate, name, policy_id, place, lease)
        node = f"{self._node:016x}"
        self.branch = Branch(self.gate, node, engines, address, fan_out)
        self._listening = {topic: Line(self.branch.upstream) for topic in (LIFE, SNAPSHOT)}
        self._speaking, self._counting, self._reporting = (Line(engines) for _ in range(3))
        self.scores = Scores(self.gate, name, policy_id, place, self._node, self._counting, self.sink)
        self.reports = Reports(self.gate, node, self._reporting, self.status, self.branch)
        self.source = Source(
            self.gate,
            name,
            policy_id,
            place,
            self._node,
            self._speaking,
            self.sink,
            self._listening[LIFE],
            self.scores.board,
            self.branch.pass_on,
        )
        self._threads = [
            *(
                threading.Thread(target=self._listen, args=pair, daemon=True)
                for pair in self._listening.items()
            ),
            threading.Thread(target=self.source.run, args=(self._stop,), daemon=True),
            threading.Thread(target=self.reports.run, args=(self._stop,), daemon=True),
            threading.Thread(target=self.scores.run, args=(self._stop,), daemon=True),
        ]

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Serve while `goes_on()`, which is asked several times a second."""
        for thread in self._threads:
            thread.start()
        announce_at = 0.0
        try:
            while goes_on():
                self.sink.tick()
                self.branch.tick(self.sink.silent, self.sink.lease)
                lines = (*self._listening.values(), self._speaking, self._counting, self._reporting)
                if any(line.overdue for line in lines):
                    self._engines.cut()
                    self.branch.upstream.cut()
                if time.monotonic() >= announce_at:
                    announce_at = time.monotonic() + _ANNOUNCE_EVERY
                    self._lock.keep()
                    with suppress(StorageFullError):
                        self._lock.announce(json.dumps(self._announced(), separators=(",", ":")))
                self._stop.wait(_TICK)
        except ChannelBusyError:
            pass  # this node has another relay by now
        finally:
            self.end()

    def end(self) -> None:
        """Stop serving the channel. Threads that hang in a call of the engine end with the process."""
        self._stop.set()
        self.sink.end()
        if self._threads[-1].is_alive():
            self._threads[-1].join(_LAST_TOTALS)  # it sends the final totals of this node
        self._engines.cut()
        self.branch.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(1.0)
        self._engines.close()
        self._lock.close()

    def status(self) -> dict[str, Any]:
        """Return the status of this relay."""
        sink, source = self.sink, self.source
        followed = sink.followed
        refused, fault = source.refused, self._listening[LIFE].fault
        silent = None if followed is None else (time.monotonic_ns() - followed.heard_ns) / 1e9
        is_source = source.state != "absent"
        parent = None if followed is None else (followed.key.host, f"{followed.node:016x}")
        if (upper := self.branch.upstream.parent) is not None:
            is_root = parent is not None and parent[1] == upper.node
            parent = parent if is_root else (upper.host, upper.node)
        return {
            "via": self._engines.via,
            "node": self.reports.node,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "role": "source" if is_source else "sink",
            "state": source.state if is_source else sink.link,
            "since": 0.0 if is_source else round((time.monotonic_ns() - sink.since_ns) / 1e9, 3),
            "parent": None if parent is None or is_source else list(parent),
            "direct": None if is_source else self.branch.direct,
            "children": self.reports.children() if is_source else self.branch.children,
            "serves": self.branch.serves,
            "size": source.size if is_source else 0,
            "origin": None if followed is None or is_source else [followed.key.host, followed.key.pid],
            "lag": None if is_source else sink.counts.lag,
            "lease": None if silent is None or is_source else round(sink.lease - silent, 3),
            "published": source.spoken if is_source else sink.counts.published,
            "coalesced": sink.counts.coalesced,
            "outdated": sink.counts.outdated,
            "dropped": sum(self.gate.dropped.values()),
            "scores": [self.scores.said, self.scores.heard],
            "refused": None if refused is None else [refused[0].pid, str(refused[1])],
            "connected": self._listening[LIFE].connected,
            "fault": fault and fault[:_MOST_FAULT],
        }

    def _announced(self) -> dict[str, Any]:
        """Return the status to store on this node; on the learner's node, with those of all relays."""
        status = self.status()
        return {**status, "relays": self.reports.all()} if status["role"] == "source" else status

    def _listen(self, topic: str, line: Line) -> None:
        mark: Any = None
        while not self._stop.is_set():
            try:
                with line.connection(self._stop) as engine:
                    while not self._stop.is_set():
                        if topic == SNAPSHOT and self.sink.learner_is_here:
                            # This node's own messages would come back, and keep it busy.
                            self._stop.wait(_TICK)
                            continue
                        news = engine.wait(topic, mark, _WAIT)
                        if news is None:
                            continue
                        mark, data = news
                        if topic == SNAPSHOT and self.sink.receive_next(data):
                            self.branch.pass_on(topic, data)
                            continue
                        message = self.gate.admit(data)
                        if message is not None and message.node != self._node:
                            self.branch.pass_on(topic, data)
                            self.sink.receive(message)
            except EngineLost:
                pass
            except Exception as error:  # whatever it is, this node must go on listening
                line.fault = f"{type(error).__name__}: {error}"
                warn_once(("relay listens", type(error)), f"{self.gate.channel}: {line.fault}")
                self._stop.wait(_WAIT)


def _node_id(directory: str) -> int:
    """Return a number for this machine and directory: processes with the same number share their locks."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    facts = os.stat(directory)
    text = f"{boot}/{facts.st_dev}/{facts.st_ino}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
