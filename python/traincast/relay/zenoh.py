"""Zenoh as an engine: `traincast relay --via zenoh`, where no launcher starts the ranks: ssh, Kubernetes.

Relays meet at a Zenoh router: one of them that listens, or a `zenohd` of yours. Multicast scouting is off.
All channels of a process share one session, which is reopened when the router is lost.

A router forwards what is put to all subscribers, so a value of up to 60 kB is sent with its announcement,
once to each. Where a link is congested, Zenoh drops the newer message. So announcements are repeated twice a
second, and a relay that lacks a value, as all do with a larger one, asks its sender for the newest: one
message at a time to each node. Replies have a lower priority than everything else, so that a large snapshot
does not delay the signs of life. There is no compare-and-set: see `agreement`.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from traincast.relay.agreement import Register, Registers
from traincast.relay.engine import EngineLost
from traincast.relay.mailbox import Mailbox, Mark
from traincast.relay.session import Declared, Network, zenoh

__all__ = ["ROOT", "ZenohEngine", "ZenohEngines"]

ROOT = "traincast/1"
"""The prefix of all our keys."""

_ALONG = 60_000  # bytes of a value that is sent with its announcement: they fit into one of Zenoh's batches
_AGAIN = 0.5
_FETCH_SECONDS = 30.0
_ASK_SECONDS = 0.5
_MARK = struct.Struct("<Q?")
"""The number of a value, and whether it is included. In a register: the count, and whether the owner asks."""
_LAST = 1 << 63

_EVERYBODY: dict[str, Any] = {
    "target": zenoh.QueryTarget.ALL,
    "consolidation": zenoh.ConsolidationMode.NONE,
    "allowed_destination": zenoh.Locality.REMOTE,
}


class ZenohEngines:
    """The engine for one channel. Its connections share the session, and the values that they have put."""

    def __init__(self, network: Network, channel: str) -> None:
        self._network, self._base = network, f"{ROOT}/{channel}"
        self.via = network.via
        self._declared = Declared(network)
        self._registers = Registers(self._read_registers)
        self._who = self._registers.who
        self._boxes: dict[str, Mailbox] = {}
        self._own: dict[str, tuple[int, bytes]] = {}
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._repeats: threading.Thread | None = None

    def connect(self) -> ZenohEngine:
        """See `Engines`."""
        self._network.session()
        return ZenohEngine(self)

    def cut(self) -> None:
        """See `Engines`: no call of this engine waits longer than its timeout."""

    def close(self) -> None:
        """See `Engines`. The session stays: other channels may use it."""
        self._closed.set()
        self._declared.close()

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        with self._lock:
            number = self._own.get(topic, (0, b""))[0] + 1
            self._own[topic] = number, value
            if self._repeats is None:
                self._repeats = threading.Thread(target=self._repeat, daemon=True)
                self._repeats.start()
        with self._declared.session() as session:
            self._offer(session, topic)
            self._tell(session, topic, value if len(value) <= _ALONG else None, number)

    def wait(self, topic: str, mark: Mark, timeout: float) -> tuple[Mark, bytes] | None:
        """See `Engine`."""
        deadline = time.monotonic() + timeout
        box = self._boxes.setdefault(topic, Mailbox())
        while True:
            with self._declared.session() as session:
                if self._subscribe(session, topic, box):
                    self._fetch(session, topic, "*", box)
                news = box.newer(mark)
                if news is not None:
                    return news
                for sender in box.to_fetch(_FETCH_SECONDS):
                    self._fetch(session, topic, sender, box)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            box.wait(mark, min(left, 0.25))

    def ignore(self, topic: str) -> None:
        """Receive nothing more of a topic, until somebody waits for it again."""
        self._declared.no_longer(f"{self._base}/{topic}/*")
        self._boxes.pop(topic, None)

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        with self._declared.session() as session:
            place = f"{self._base}/claims/{key}/{self._who}"
            self._declared.once(place, lambda: self._queryable(session, place, lambda: self._register(key)))
            return self._registers.swap(key, expected, new)

    def _offer(self, session: Any, topic: str) -> None:
        place = f"{self._base}/{topic}/{self._who}"
        self._declared.once(place, lambda: self._queryable(session, place, lambda: self._newest(topic)))

    def _newest(self, topic: str) -> tuple[bytes, bytes]:
        with self._lock:
            number, value = self._own[topic]
        return _MARK.pack(number, True), value

    def _register(self, key: str) -> tuple[bytes, bytes] | None:
        own = self._registers.own(key)
        return None if own is None else (_MARK.pack(own.swaps, own.asks), own.value)

    def _queryable(self, session: Any, place: str, answer: Callable[[], tuple[bytes, bytes] | None]) -> Any:
        def reply(query: Any) -> None:
            with query, suppress(zenoh.ZError):  # the asker may have gone meanwhile
                found = answer()
                if found is not None:
                    attachment, value = found
                    query.reply(place, value, attachment=attachment, express=True)

        return session.declare_queryable(
            place, zenoh.handlers.Callback(reply), allowed_origin=zenoh.Locality.REMOTE
        )

    def _tell(self, session: Any, topic: str, value: bytes | None, number: int) -> None:
        session.put(
            f"{self._base}/{topic}/{self._who}",
            value or b"",
            attachment=_MARK.pack(number, value is not None),
            congestion_control=zenoh.CongestionControl.DROP,
            priority=zenoh.Priority.INTERACTIVE_HIGH,
            express=True,
            allowed_destination=zenoh.Locality.REMOTE,
        )
        self._said[topic] = time.monotonic()

    def _repeat(self) -> None:
        """Repeat announcements: one may have been dropped, or a relay may have joined since."""
        while not self._closed.wait(_AGAIN / 2):
            for topic, (number, _) in list(self._own.items()):
                if time.monotonic() - self._said.get(topic, 0.0) < _AGAIN:
                    continue
                with suppress(EngineLost), self._declared.session() as session:
                    self._offer(session, topic)
                    self._tell(session, topic, None, number)

    def _subscribe(self, session: Any, topic: str, box: Mailbox) -> bool:
        def take(sample: Any) -> None:
            sender, number, whole = _marked(sample)
            if whole:
                box.deliver(sender, number, sample.payload.to_bytes())
            elif number:
                box.announce(sender, number)

        place = f"{self._base}/{topic}/*"
        return self._declared.once(
            place,
            lambda: session.declare_subscriber(
                place,
                zenoh.handlers.Callback(take, indirect=False),
                allowed_origin=zenoh.Locality.REMOTE,
            ),
        )

    def _fetch(self, session: Any, topic: str, sender: str, box: Mailbox) -> None:
        def take(reply: Any) -> None:
            if reply.ok is not None:
                who, number, whole = _marked(reply.ok)
                if whole:
                    box.deliver(who, number, reply.ok.payload.to_bytes())

        session.get(
            f"{self._base}/{topic}/{sender}",
            zenoh.handlers.Callback(take, lambda: box.fetched(sender), indirect=False),
            timeout=_FETCH_SECONDS,
            congestion_control=zenoh.CongestionControl.BLOCK,
            priority=zenoh.Priority.DATA_LOW,
            **_EVERYBODY,
        )

    def _read_registers(self, key: str) -> list[Register]:
        found: list[Register] = []
        complete = threading.Event()

        def take(reply: Any) -> None:
            if reply.ok is not None:
                who, count, asks = _marked(reply.ok)
                found.append(Register(count, who, reply.ok.payload.to_bytes(), asks))

        with self._declared.session() as session:
            session.get(
                f"{self._base}/claims/{key}/*",
                zenoh.handlers.Callback(take, complete.set, indirect=False),
                timeout=_ASK_SECONDS,
                priority=zenoh.Priority.INTERACTIVE_HIGH,
                **_EVERYBODY,
            )
        complete.wait(_ASK_SECONDS)
        return [register for register in list(found) if register.who != self._who]


class ZenohEngine:
    """A connection of one thread, which uses the session that all share."""

    def __init__(self, engines: ZenohEngines) -> None:
        self._engines = engines
        self._topics: set[str] = set()

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        self._engines.put(topic, value)

    def wait(self, topic: str, newer_than: Mark | None, timeout: float) -> tuple[Mark, bytes] | None:
        """See `Engine`."""
        self._topics.add(topic)
        return self._engines.wait(topic, newer_than or {}, timeout)

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        return self._engines.swap(key, expected, new)

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """See `Engine`: no call of this engine waits for a value."""

    def close(self) -> None:
        """See `Engine`. Only one thread waits for a topic, so nobody else needs its messages."""
        for topic in self._topics:
            self._engines.ignore(topic)


def _marked(sample: Any) -> tuple[str, int, bool]:
    """Return the sender of a sample, its number and its flag; the number is 0 if no relay sent it."""
    attachment = b"" if sample.attachment is None else sample.attachment.to_bytes()
    if len(attachment) != _MARK.size:
        return "", 0, False
    number, flag = _MARK.unpack(attachment)
    sender = str(sample.key_expr).rpartition("/")[2]
    return (sender, number, flag) if number < _LAST else ("", 0, False)
