"""Scoreboards over many nodes: each episode that an env counts on any node reaches the learner exactly once.

The learner keeps a scoreboard on its node (`traincast.scores`). Signs of life say which one it is, and the
relays of the other nodes each keep a *part* of it: a scoreboard of their own, on which the node's envs count
as usual.

The relay of a part always sends its complete totals, and the relay of the learner's node sets a block of the
learner's scoreboard to them. So nothing needs an acknowledgement: lost totals are sent again, totals that
come twice or late change nothing, and a relay that is killed loses nothing, because all counts are in files.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple

from traincast._core import RemoteScores, ScoreCounters
from traincast._warnings import warn_once
from traincast.errors import ChannelBusyError, ChannelNotFoundError, TraincastError
from traincast.relay.engine import Engine, EngineLost
from traincast.relay.lines import Line
from traincast.relay.message import Gate
from traincast.relay.sink import Sink
from traincast.relay.tallies import Tallies, seal_tallies, unseal_tallies

__all__ = ["TALLIES", "Board", "Scores"]

TALLIES = "tallies"
"""The topic."""

_SAY_EVERY = 0.25
_SAY_AGAIN = 2.0
"""Seconds after which unchanged totals are sent again: the last ones may have been overtaken."""

_SHARE = 10
"""Reading the counters and sending them takes at most one part in this many of the time."""

_WAIT = 0.5


class Board(NamedTuple):
    """A learner's scoreboard."""

    incarnation: int
    """0: there is none."""
    tasks: int


class Scores:
    """The part of a relay that deals with scoreboards. One thread runs it, and makes all engine calls."""

    def __init__(
        self,
        gate: Gate,
        name: str,
        policy_id: int,
        directory: str | None,
        node: int,
        line: Line,
        sink: Sink,
    ) -> None:
        self._gate, self._name, self._policy_id, self._directory = gate, name, policy_id, directory
        self._node, self._line, self._sink = node, line, sink
        self._lock = threading.Lock()
        self._own: RemoteScores | None = None
        self._said = Board(0, 0)
        self._part: tuple[Board, ScoreCounters] | None = None
        self._mark: Any = None
        self.said = 0
        """How often this node's totals were sent to the engine."""
        self.heard = 0
        """How often totals of other nodes brought something new."""

    def board(self) -> Board:
        """Look for the scoreboard that a learner of this node keeps, and return it.

        If that fails, return what was found last: if it said that there is none, all nodes would drop their
        parts.
        """
        try:
            own = self._find_own()
            self._said = Board(0, 0) if own is None else Board(own.incarnation, own.tasks)
        except (TraincastError, OSError) as error:
            warn_once(("relay scoreboard", self._name, str(error)), f"{self._gate.channel}: {error}")
        return self._said

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            try:
                self._look()
                if self._part is not None or self._gathers:
                    with self._line.connection(stop) as engine:
                        self._serve(engine, stop)
            except EngineLost:
                pass
            except Exception as error:  # whatever it is, counting goes on
                said = f"{self._gate.channel}: {type(error).__name__}: {error}"
                warn_once(("relay scores", self._gate.channel, type(error)), said)
            stop.wait(_SAY_EVERY)
        if self._part is not None:
            self._part[1].close()

    def _serve(self, engine: Engine, stop: threading.Event) -> None:
        said, say_again_at = b"", 0.0
        while not stop.is_set():
            if self._part is None:
                if not self._gathers:
                    return
                self._hear(engine)
            else:
                began = time.monotonic()
                board, counters = self._part
                totals = counters.totals()
                if totals and (totals != said or began >= say_again_at):
                    self._say(engine, board, counters.incarnation, totals)
                    said, say_again_at = totals, began + _SAY_AGAIN * random.uniform(0.75, 1.25)
                pause = max(_SAY_EVERY, _SHARE * (time.monotonic() - began))
                stop.wait(pause * random.uniform(0.75, 1.25))  # so that nodes do not overtake each other
            before = self._part
            self._look()
            if self._part is not before:
                said = b""
        if self._part is not None:
            board, counters = self._part
            self._part = None
            incarnation = counters.incarnation
            if last := counters.finish():
                self._say(engine, board, incarnation, last)

    def _say(self, engine: Engine, board: Board, part: int, totals: bytes) -> None:
        tallies = Tallies(self._node, board.incarnation, part, totals)
        engine.put(TALLIES, seal_tallies(tallies, self._gate.channel, self._gate.key))
        self.said += 1

    def _hear(self, engine: Engine) -> None:
        news = engine.wait(TALLIES, self._mark, _WAIT)
        if news is None:
            return
        self._mark, data = news
        tallies = self._gate.admit_as(unseal_tallies, data)
        own = self._find_own()
        if tallies is None or own is None or tallies.board != own.incarnation:
            return
        try:
            self.heard += own.take(tallies.part, tallies.totals) > 0
        except ValueError as error:
            self._gate.drop("its counters are impossible", str(error))

    @property
    def _gathers(self) -> bool:
        """Whether this is the learner's node, or was the last one that had a learner with a scoreboard."""
        return self._find_own() is not None and (self._sink.learner_is_here or self._sink.living is None)

    def _find_own(self) -> RemoteScores | None:
        with self._lock:
            if self._own is None or self._own.ended:
                self._own = None
                with suppress(ChannelNotFoundError):
                    self._own = RemoteScores(self._name, self._policy_id, directory=self._directory)
            return self._own

    def _look(self) -> None:
        """Keep a part of the scoreboard of a learner on another node, if that learner keeps one.

        While no learner lives, or none is heard of, the part stays: a learner that comes back goes on with
        it.
        """
        if self._part is not None and self._part[1].ended:
            self._part = None  # a learner of this node has created its own
        living = None if self._sink.learner_is_here else self._sink.living
        if living is None:
            return
        board = Board(living.board, living.tasks)
        if self._part is not None:
            if self._part[0] == board:
                return
            self._part[1].close()
            self._part = None
        if not board.incarnation:
            return
        try:
            counters = ScoreCounters(
                self._name,
                self._policy_id,
                board.tasks,
                part_of=board.incarnation,
                directory=self._directory,
            )
        except ChannelBusyError:
            return  # a learner of this node has one, which will be found with its first snapshot
        except (TraincastError, OSError, ValueError) as error:  # ValueError: an impossible number of tasks
            warn_once(("relay scoreboard", self._name, str(error)), f"{self._gate.channel}: {error}")
            return
        self._part = board, counters
