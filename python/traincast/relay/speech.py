"""What the source sends for one learner, from its first snapshot to its end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from traincast._core import RelaySource
from traincast.relay.engine import Engine
from traincast.relay.message import Gate, Key, Life, Message, identity_of, wire_header
from traincast.relay.sink import Sink
from traincast.relay.succession import Sealer

__all__ = ["BEAT", "CLAIM", "LIFE", "SNAPSHOT", "Refused", "Sender", "Speech", "claimed_by"]

LIFE, SNAPSHOT = "life", "snapshot"
"""The topics."""

CLAIM = "claim"
"""The key under which the engine keeps who has the channel."""

BEAT = 0.4
"""Seconds between two signs of life."""

_TICK = 0.1
_CLAIM_EVERY = 1.0
_FREE = b"-"


class Sender:
    """The messages of one relay: later relays have a larger `began`, and each message has a larger number.

    A relay makes one when it begins to serve. A module could not: a relay that was killed is replaced by a
    process that its parent forks, and would then speak under the numbers of the dead one.
    """

    def __init__(self) -> None:
        self.began = time.time_ns()
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """Return the number of a new message."""
        return next(self._numbers)


class Refused(Exception):  # noqa: N818 - it names an event
    """Another learner has the channel."""

    def __init__(self, winner: Key) -> None:
        super().__init__(winner)
        self.winner = winner


class Speech:
    """Speaks for one learner, over one connection after another."""

    def __init__(
        self,
        watch: RelaySource,
        newest: bytes,
        sender: Sender,
        gate: Gate,
        node: int,
        sink: Sink,
        board: Callable[[], tuple[int, int]],
        pass_on: Callable[[str, bytes], None],
    ) -> None:
        """`pass_on`: called with what is said, for the children of this relay, before the engine gets it."""
        self._watch, self._newest, self._gate, self._node, self._sink = watch, newest, gate, node, sink
        self._sender, self._board, self._pass_on = sender, board, pass_on
        self.key = _key(newest)
        self._identity = identity_of(newest)
        self.life = Life.ALIVE
        self._sealer = self._sealer_for(self.life)
        self.established = False
        """Whether it has had the channel, or nobody could be asked: then the larger key wins."""
        self.spoken = 0

    @property
    def size(self) -> int:
        """Bytes of the newest snapshot."""
        return len(self._newest)

    def run(self, engine: Engine, stop: threading.Event) -> None:
        """Speak until the learner has ended and this has been sent.

        Raises: `Refused`; or `EngineLost`: then call it again with a new connection, even if the engine has
            forgotten everything.
        """
        self.look(0)
        if self.life is Life.ALIVE:
            self._claim(engine, stop)
            self._say(engine, LIFE)  # first, because a sink uses no snapshot before a sign of life
            self._say(engine, SNAPSHOT)
        claim_at = beat_at = time.monotonic() + BEAT
        while self.life is Life.ALIVE and not stop.is_set():
            if self.look(_TICK):
                self._say(engine, SNAPSHOT)
            now = time.monotonic()
            if now >= beat_at and self.life is Life.ALIVE:
                beat_at = now + BEAT
                self._say(engine, LIFE)
                if self._sink.disputed(self.key):  # another learner's snapshots may have replaced this one's
                    self._say(engine, SNAPSHOT)
            if now >= claim_at and self.life is Life.ALIVE:
                claim_at = now + _CLAIM_EVERY
                self._claim(engine, stop)
        if self.life is not Life.ALIVE:
            self._sealer = self._sealer_for(self.life)
            self._say(engine, SNAPSHOT)
            self._say(engine, LIFE)
            engine.swap(CLAIM, self._packed, _FREE)

    def look(self, timeout: float) -> bool:
        """Wait for a new snapshot on the channel; return whether there was one."""
        news = self._watch.wait(timeout)
        if news is not None and identity_of(news) == self._identity:
            self._newest = news
            return True
        if news is not None:
            self.life = Life.LOST  # another learner of this node has taken over, and will have its own speech
        elif not self._watch.writer_alive:
            last = self._watch.wait(0)  # published between the two looks
            if last is not None and identity_of(last) == self._identity:
                self._newest = last
            self.life = Life.CLOSED if self._watch.closed else Life.LOST
        return False

    def _sealer_for(self, life: Life) -> Sealer:
        return Sealer(self._gate.channel, self._gate.key, life, self._node, self._sender.began)

    def _say(self, engine: Engine, topic: str) -> None:
        number, now = self._sender.next_number(), time.monotonic_ns()
        if topic == SNAPSHOT:
            sealed = self._sealer.seal(number, now, self._newest)
        else:
            sealed = self._gate.seal(self._sign_of_life(number, now))
        self._pass_on(topic, sealed)
        engine.put(topic, sealed)
        self.spoken += topic == SNAPSHOT

    def _sign_of_life(self, number: int, now: int) -> Message:
        header, (board, tasks) = wire_header(self._newest), self._board()
        return Message(
            self.life,
            self._node,
            self._sender.began,
            number,
            now,
            header.stamp,
            header.host,
            header.pid,
            board=board,
            tasks=tasks,
        )

    def _claim(self, engine: Engine, stop: threading.Event) -> None:
        """Make sure that this learner has the channel.

        A learner that comes while the source of another one is heard is the second one, and is refused. If
        both have had the channel, on two sides of a network cut, the larger key wins.
        """
        held = b""
        while not stop.is_set():
            there = engine.swap(CLAIM, held, self._packed)
            if there == self._packed:
                self.established = True
                return
            other = claimed_by(there)
            if other is not None and self._outlives(*other, stop):
                raise Refused(other[0])
            held = there

    def _outlives(self, other: Key, node: int, stop: threading.Event) -> bool:
        """Whether another learner keeps the channel."""
        if node == self._node:
            return False  # a node has one learner at a time, so that was an earlier one
        deadline = time.monotonic() + self._sink.lease * 1.1
        while not stop.is_set():
            rival = self._sink.rival(other)
            if self.established:
                return rival is not None and other > self.key
            if rival is not None and rival.proven:
                return True
            if time.monotonic() > deadline:
                return False
            stop.wait(0.02)
        return False

    @property
    def _packed(self) -> bytes:
        term, epoch, host, pid = self.key
        return f"{term} {epoch} {pid} {self._node} {host}".encode()


def claimed_by(claim: bytes) -> tuple[Key, int] | None:
    """Return the learner that has the channel, and its node; None if none has it."""
    try:
        term, epoch, pid, node, host = claim.decode().split(" ", 4)
        return Key(int(term), int(epoch), host, int(pid)), int(node)
    except ValueError:
        return None  # free, or not written by a relay


def _key(wire: bytes) -> Key:
    header = wire_header(wire)
    return Key(header.stamp.term, header.stamp.epoch, header.host, header.pid)
