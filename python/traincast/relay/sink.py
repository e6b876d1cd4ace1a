"""The writer of a node on which the learner does not run.

There are two locks: `.relay` elects the relay, and `.lock` says that the learner lives. So a sink holds
`.lock` only while it hears that the learner lives. Then `writer_alive` is true on this node, too, and a
learner that starts here is told where the other one is. Without the lock, the file stays for its readers, and
a new writer can take it over: a learner that starts here (epoch + 1, versions go on), or this sink when it
hears of a learner again.

    none ──alive──▶ live ──lost──▶ learner lost ──alive──▶ live
                     │ └──silence for a lease──▶ link lost ──alive──▶ live
                     └──closed──▶ learner closed: the files are removed, as on the learner's node
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from traincast._core import TrainingInfoWriter
from traincast._warnings import warn_once
from traincast.errors import ChannelBusyError, OutdatedSnapshotError, TraincastError
from traincast.relay.clocks import ClockOffset
from traincast.relay.message import Gate, Key, Life, Message, Stamp, unseal
from traincast.relay.succession import Opener, published_ns_of

__all__ = ["LEASE", "Rival", "Sink"]

LEASE = 1.5
"""Seconds of silence after which a learner counts as lost. A source sends something every 0.4 s."""

_NEVER = Stamp(0, 0, 0)
Away = Literal["learner closed", "learner lost", "link lost"]


@dataclass
class Rival:
    """A learner on another node, as far as messages tell."""

    key: Key
    life: Life
    node: int
    first: tuple[int, int]
    """Sender and number of the first message, which may be an old one that the engine had kept."""
    latest: tuple[int, int]
    heard_ns: int
    last_sign: tuple[int, int] = (0, 0)
    """Sender and number of the newest sign of life: a snapshot that was sent later may arrive earlier."""
    board: int = 0
    """Incarnation of the scoreboard that it keeps; 0: none."""
    tasks: int = 0

    @property
    def life_heard(self) -> bool:
        """Whether a sign of life was heard, not only a snapshot."""
        return self.last_sign != (0, 0)

    @property
    def proven(self) -> bool:
        """Whether its source has sent something since it was first heard of."""
        return self.latest > self.first


@dataclass
class Counts:
    """The counts that `traincast ls --relays` shows."""

    published: int = 0
    coalesced: int = 0
    outdated: int = 0
    lag: float | None = None
    """Seconds that the newest snapshot took from its publishing to here."""


@dataclass
class Sink:
    """Publishes the snapshots of a learner on another node. Any thread may pass it messages, in any order."""

    gate: Gate
    name: str
    policy_id: int
    directory: str | None
    lease: float = LEASE
    max_capacity: int = 1 << 30
    link: str = "none"
    since_ns: int = field(default_factory=time.monotonic_ns)
    learner_is_here: bool = False
    """Whether the learner is on this node: then the file is its own, and messages are not published."""
    replaces: bool = False
    """Whether a file with later numbers may be replaced, because its learner, on this node, has lost."""
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._writer: TrainingInfoWriter | None = None
        self._followed: Rival | None = None
        self._rivals: dict[Key, Rival] = {}
        self._clocks: dict[int, ClockOffset] = {}
        self._last: Message | None = None  # the newest snapshot of the learner that is followed
        self._published = _NEVER
        self._held_back: tuple[Message, int] | None = None
        self._opener: Opener | None = None
        self._followed_clock = ClockOffset()
        self._unnoted: tuple[bytes, int, int] | None = None  # the newest message, when it came, how many came

    @property
    def writing(self) -> bool:
        """Whether it holds the writer's lock."""
        with self._lock:
            return self._writer is not None and not self._writer.closed

    @property
    def followed(self) -> Rival | None:
        """The learner whose snapshots it publishes."""
        return self._followed

    @property
    def silent(self) -> float:
        """Seconds since something was heard of the learner that is followed; 0 if there is none."""
        followed = self._followed
        if followed is None or followed.life is not Life.ALIVE:
            return 0.0
        return (time.monotonic_ns() - followed.heard_ns) / 1e9

    @property
    def living(self) -> Rival | None:
        """The learner on another node that is followed, if it lives as far as is known."""
        followed = self._followed
        if followed is None or not followed.life_heard:
            return None
        return self.rival(followed.key)

    def disputed(self, key: Key) -> bool:
        """Tell if another learner than this one has been heard of within a lease."""
        with self._lock:
            now = time.monotonic_ns()
            return any(other != key and not self._silent(rival, now) for other, rival in self._rivals.items())

    def rival(self, key: Key) -> Rival | None:
        """Return what was heard of a learner, if it lives as far as is known; otherwise None."""
        with self._lock:
            rival = self._rivals.get(key)
            dead = rival is None or rival.life is not Life.ALIVE or self._silent(rival, time.monotonic_ns())
            return None if dead else rival

    def receive_next(self, data: bytes) -> bool:
        """Publish a snapshot at once if it follows the last one; return whether it did.

        If not, nothing has changed, and the message must go to `receive`. The bookkeeping of `receive` is
        left to the next tick.
        """
        now = time.monotonic_ns()
        with self._lock:
            writer, opener = self._writer, self._opener
            if writer is None or opener is None or self.learner_is_here:
                return False
            wire = opener.open(data)
            if wire is None:
                return False
            try:
                writer.publish_wire(wire, published_ns=self._followed_clock.here(published_ns_of(wire), now))
            except (TraincastError, OSError):
                self._opener = None
                return False
            _, _, count = self._unnoted or (b"", 0, 0)
            self._unnoted = data, now, count + 1
            return True

    def receive(self, message: Message) -> None:
        """Take a message. It has no effect if it is old, or from a learner that has lost the channel."""
        now = time.monotonic_ns()
        with self._lock:
            self._catch_up()
            rival = self._hear(message, now)
            followed = self._followed
            if followed is not None and message.key < followed.key and followed.life is not Life.CLOSED:
                self.counts.outdated += 1
                return
            if rival is not followed:
                self._followed, self._last, self._published, self._opener = rival, None, _NEVER, None
            self._take(message, rival, now)

    def tick(self) -> None:
        """Act on the time that has passed; call this several times a second."""
        now = time.monotonic_ns()
        with self._lock:
            self._catch_up()
            if self._held_back is not None and now - self._held_back[1] > self.lease * 0.5e9:
                message, _ = self._held_back
                self._held_back = None
                if self._followed is not None and message.key == self._followed.key:
                    self._note(message, now)
            if self._followed is not None:
                self._settle(self._followed, now)
            self._rivals = {
                key: rival
                for key, rival in self._rivals.items()
                if rival is self._followed or not self._silent(rival, now)
            }
            nodes = {rival.node for rival in self._rivals.values()}
            self._clocks = {node: clock for node, clock in self._clocks.items() if node in nodes}

    def end(self, link: Away = "link lost") -> None:
        """Let go of the channel, because this relay ends."""
        with self._lock:
            self._catch_up()
            self._leave(link)

    def _catch_up(self) -> None:
        """Do the bookkeeping for what `receive_next` has published."""
        if self._unnoted is None:
            return
        (data, received_ns, count), self._unnoted = self._unnoted, None
        message = unseal(data, self.gate.channel, self.gate.key, checked=True)
        self._hear(message, received_ns)
        self._note(message, received_ns)
        self._published = message.stamp
        self.counts.published += count
        self.counts.coalesced -= count - 1

    def _hear(self, message: Message, now: int) -> Rival:
        self._clock(message.node).add(message.sent_ns, now)
        at = (message.sender, message.number)
        rival = self._rivals.get(message.key)
        if rival is None:
            rival = self._rivals[message.key] = Rival(message.key, message.life, message.node, at, at, now)
        elif at > rival.latest or (self._silent(rival, now) and at[0] != rival.latest[0]):
            # After silence, an earlier sender counts, too: its clock may have been set back.
            rival.latest, rival.life, rival.node, rival.heard_ns = at, message.life, message.node, now
        if not message.wire and (at > rival.last_sign or at == rival.latest):
            rival.last_sign, rival.board, rival.tasks = at, message.board, message.tasks
        return rival

    def _clock(self, node: int) -> ClockOffset:
        return self._clocks.setdefault(node, ClockOffset())

    def _take(self, message: Message, rival: Rival, now: int) -> None:
        if message.wire and not rival.life_heard:
            # The engine may have kept it although its learner has ended. The next sign of life tells.
            self._held_back = (message, now)
            return
        if self._held_back is not None and self._held_back[0].key == message.key:
            held_back, self._held_back = self._held_back[0], None
            self._note(held_back, now)
        if message.wire:
            self._note(message, now)
        self._settle(rival, now)

    def _note(self, message: Message, now: int) -> None:
        """Remember a snapshot if it is the newest one."""
        if self._last is not None:
            if message.stamp <= self._last.stamp:
                return
            self.counts.coalesced += message.stamp.version - self._last.stamp.version - 1
        self._last = message
        published = self._clock(message.node).here(message.published_ns, now)
        self.counts.lag = (now - published) / 1e9

    def _settle(self, rival: Rival, now: int) -> None:
        """Bring the file and the locks in line with what is known."""
        if self.learner_is_here:
            self._state("local")
            return
        if rival.life is Life.CLOSED:
            self._leave("learner closed")
            self._last = None
            return
        alive = rival.life is Life.ALIVE and not self._silent(rival, now)
        last = self._last
        if last is not None and (last.stamp != self._published or (alive and not self.writing)):
            self._publish(last, now)
        if alive and self.writing:
            self._state("live")
        elif not alive:
            self._leave("learner lost" if rival.life is Life.LOST else "link lost")

    def _publish(self, message: Message, now: int) -> None:
        published_ns = self._clock(message.node).here(message.published_ns, now)
        try:
            try:
                self._open().publish_wire(message.wire, published_ns=published_ns)
            except OutdatedSnapshotError:
                if not self.replaces:
                    self.counts.outdated += 1
                    self._published = message.stamp
                    return
                self._leave("link lost")
                self._open("replace").publish_wire(message.wire, published_ns=published_ns)
            self._published, self.replaces = message.stamp, False
            self.counts.published += 1
            if message.life is Life.ALIVE:
                self._opener = Opener(self.gate.channel, self.gate.key, message)
                self._followed_clock = self._clock(message.node)
        except ChannelBusyError:
            pass  # a learner of this node has just started: the source finds it with its first snapshot
        except (TraincastError, OSError) as error:
            if isinstance(error, ValueError):  # the same bytes would fail again
                self.gate.drop("its snapshot cannot be read", str(error))
                self._published = message.stamp
            else:
                warn_once(("relay cannot publish", self.name, str(error)), f"{self.gate.channel}: {error}")
            if self._writer is not None and self._writer.closed:
                self._writer = None

    def _open(self, leftover: Literal["continue", "replace"] = "continue") -> TrainingInfoWriter:
        if self._writer is None or self._writer.closed:
            self._writer = TrainingInfoWriter(
                self.name,
                self.policy_id,
                required=(),
                leftover=leftover,
                max_capacity=self.max_capacity,
                directory=self.directory,
            )
        return self._writer

    def _leave(self, link: Away) -> None:
        if self._writer is not None:
            self._writer.leave(link)
            self._writer = None
        self._opener = None
        self._state(link)

    def _state(self, link: str) -> None:
        if link != self.link:
            self.link, self.since_ns = link, time.monotonic_ns()

    def _silent(self, rival: Rival, now: int) -> bool:
        return now - rival.heard_ns > self.lease * 1e9
