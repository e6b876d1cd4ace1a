"""The reader on the learner's node: finds the learner, and speaks for it.

::

    absent ──a learner on this node──▶ claiming ──it has the channel──▶ speaking ──it has ended──▶ absent
                                          └──────another learner has the channel────────┴──▶ refused
    refused ──the learner has let go──▶ absent
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from traincast._core import RelaySource, displace
from traincast._warnings import warn_once
from traincast.errors import ChannelNotFoundError
from traincast.relay.engine import EngineLost
from traincast.relay.lines import Line
from traincast.relay.message import Gate, Key
from traincast.relay.sink import Sink
from traincast.relay.speech import Refused, Sender, Speech

__all__ = ["Source"]

_TICK = 0.1


class Source:
    """Watches for a learner on this node. One thread runs it, and makes all engine calls."""

    def __init__(
        self,
        gate: Gate,
        name: str,
        policy_id: int,
        directory: str | None,
        node: int,
        line: Line,
        sink: Sink,
        listening: Line,
        board: Callable[[], tuple[int, int]],
        pass_on: Callable[[str, bytes], None],
    ) -> None:
        self._gate, self._name, self._policy_id, self._directory = gate, name, policy_id, directory
        self._node, self._line, self._sink, self._listening = node, line, sink, listening
        self._sender, self._board, self._pass_on = Sender(), board, pass_on
        self._speech: Speech | None = None
        self._displacing = False
        self.refused: tuple[Key, Key] | None = None
        """The learner of this node that was refused last, and the learner that has the channel."""
        self._spoken_before = 0

    @property
    def spoken(self) -> int:
        """How many snapshots were sent to the engine."""
        speech = self._speech
        return self._spoken_before + (0 if speech is None else speech.spoken)

    @property
    def size(self) -> int:
        """Bytes of the newest snapshot; 0 without one."""
        speech = self._speech
        return 0 if speech is None else speech.size

    @property
    def state(self) -> str:
        """The state in one word: absent, claiming, speaking or refused."""
        if self._displacing:
            return "refused"
        if self._speech is None:
            return "absent"
        return "speaking" if self._speech.established and self._speech.spoken else "claiming"

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            try:
                speech, watch = self._learner()
                if speech is not None and watch is not None:
                    self._speak(speech, watch, stop)
            except Exception as error:  # it must not keep the source from speaking for the next learner
                said = f"{self._gate.channel}: {type(error).__name__}: {error}"
                warn_once(("relay source", self._gate.channel, type(error)), said)
            stop.wait(_TICK)

    def _learner(self) -> tuple[Speech, RelaySource] | tuple[None, None]:
        """Return what is needed to speak for the learner of this node, if one has the channel."""
        if self._sink.writing:
            return None, None
        try:
            watch = RelaySource(self._name, self._policy_id, directory=self._directory)
        except ChannelNotFoundError:
            return None, None
        newest = watch.wait(0)
        if newest is None or watch.link != "local" or not watch.writer_alive:
            return None, None
        speech = Speech(
            watch,
            newest,
            self._sender,
            self._gate,
            self._node,
            self._sink,
            self._board,
            self._pass_on,
        )
        return speech, watch

    def _speak(self, speech: Speech, watch: RelaySource, stop: threading.Event) -> None:
        # After a cut the other side could not be asked. The lease ends before a dead connection is noticed.
        cut_off = self._sink.link == "link lost"
        self._speech, self._sink.learner_is_here = speech, True
        while not self._listening.tried and not stop.is_set():
            stop.wait(_TICK / 2)
        speech.established = cut_off or not self._listening.connected
        try:
            while not stop.is_set():
                try:
                    with self._line.connection(stop) as engine:
                        speech.run(engine, stop)
                    return
                except EngineLost:
                    pass
                if self._has_successor(speech):
                    return
        except Refused as refused:
            self._displace(speech.key, refused.winner, watch, stop)
        finally:
            self._spoken_before += speech.spoken
            self._speech, self._displacing, self._sink.learner_is_here = None, False, False

    def _has_successor(self, speech: Speech) -> bool:
        """Whether the learner ended while the engine was unreachable, and another one has started here."""
        other, _ = self._learner()
        return other is not None and other.key != speech.key

    def _displace(self, loser: Key, winner: Key, watch: RelaySource, stop: threading.Event) -> None:
        """Take the channel from this node's learner, which keeps the lock until its next publish."""
        self._displacing, self.refused = True, (loser, winner)
        self._sink.replaces = True
        warn_once(
            ("refused", self._gate.channel, loser),
            f"{self._gate.channel}: the learner of this node, {loser}, is refused: {winner} has the channel. "
            "Its next publish raises ChannelLostError; give one of them another name, or end it",
        )
        while not stop.is_set() and watch.writer_alive:
            displace(self._name, self._policy_id, winner.host, winner.pid, directory=self._directory)
            stop.wait(_TICK)
            watch.wait(0)
