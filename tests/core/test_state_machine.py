"""A writer that comes and goes, and readers that come and go, against plain dictionaries.

The model is a list of *channel lives*: each begins with a first snapshot and ends when its writer closes
it, or when a new writer replaces what a killed one left.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from processes import Process
from snapshots import STEPS, assert_identical
from strategies import examples, independent, spoil

import traincast

names = (f"machine-{number}" for number in count())

values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
entries = st.dictionaries(st.sampled_from("abcd"), values, max_size=3)
leftovers = st.sampled_from(["continue", "replace", "refuse"])


@dataclass
class Life:
    """One life of the channel: its newest snapshot, and the epoch of its newest writer."""

    info: dict[Any, Any]
    version: int
    epoch: int
    writer_epoch: int


@dataclass
class Held:
    """A reader, what it was attached to at least, and what it handed out."""

    reader: traincast.TrainingInfoReader
    life: int
    version: int = 0
    dictionaries: list[tuple[dict[Any, Any], dict[Any, Any]]] = field(default_factory=list)
    last: Any = None


class Here:
    """A writer in this process."""

    def __init__(self, name: str, leftover: str) -> None:
        self.writer = traincast.TrainingInfoWriter(name, leftover=leftover)

    def call(self, what: str, *arguments: Any, **named: Any) -> Any:
        return getattr(self.writer, what)(*arguments, **named)

    def get(self, what: str) -> Any:
        return getattr(self.writer, what)


class Elsewhere:
    """A writer in another process, which can be killed."""

    def __init__(self, process: Process, name: str, leftover: str) -> None:
        self.process = process
        process.run(f"writer = traincast.TrainingInfoWriter({name!r}, leftover={leftover!r})")

    def call(self, what: str, *arguments: Any, **named: Any) -> Any:
        return self.process.call(f"writer.{what}", *arguments, **named)

    def get(self, what: str) -> Any:
        return self.process.value(f"writer.{what}")


class ChannelMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.name = next(names)
        self.writer: Any = None
        self.lives: list[Life] = []
        self.visible = False  # whether the last life can be attached to
        self.base: dict[Any, Any] | None = None  # what `update` starts from
        self.version = self.epoch = 0  # the writer's
        self.readers: list[Held] = []
        self.process: Process | None = None

    def teardown(self) -> None:
        for held in self.readers:
            for dictionary, expected in held.dictionaries:
                assert_identical(dictionary, expected)
            held.reader.close()
        if isinstance(self.writer, Here):
            self.writer.call("close")
        if self.process is not None:
            self.process.close()

    # --- the writer

    @precondition(lambda self: self.writer is None)
    @rule(leftover=leftovers, elsewhere=st.booleans())
    def open(self, leftover: str, elsewhere: bool) -> None:
        if elsewhere and self.process is None:
            self.process = Process()

        def make() -> Any:
            return Elsewhere(self.process, self.name, leftover) if elsewhere else Here(self.name, leftover)

        if self.visible and leftover == "refuse":
            with pytest.raises(traincast.ChannelExistsError, match=f"at version {self.lives[-1].version};"):
                make()
            return
        self.writer = make()
        if self.visible and leftover == "continue":
            last = self.lives[-1]
            last.writer_epoch += 1  # whether it publishes or not
            self.version, self.epoch, self.base = last.version, last.writer_epoch, last.info
        else:
            self.version, self.epoch, self.base, self.visible = 0, 1, None, False
        assert self.writer.get("version") == self.version
        assert self.writer.get("epoch") == self.epoch

    @precondition(lambda self: self.writer is not None)
    @rule(info=entries, steps=st.integers(), first=st.booleans())
    def publish(self, info: dict[Any, Any], steps: int, first: bool) -> None:
        info = {STEPS: steps, **info} if first else {**info, STEPS: steps}
        self.published(self.writer.call("publish", info), info)

    @precondition(lambda self: self.writer is not None)
    @rule(changes=entries, steps=st.none() | st.integers())
    def update(self, changes: dict[str, Any], steps: int | None) -> None:
        if steps is not None:
            changes = {**changes, STEPS: steps}
        info = {**(self.base or {}), **changes}
        if STEPS in info:
            self.published(self.writer.call("update", **changes), info)
        else:
            with pytest.raises(traincast.MissingKeyError, match=f'^info lacks the key "{STEPS}"'):
                self.writer.call("update", **changes)

    def published(self, version: int, info: dict[Any, Any]) -> None:
        self.version += 1
        assert version == self.version
        self.base = independent(info)
        if self.visible:
            self.lives.pop()
        elif self.readers:
            time.sleep(0.02)  # they look for the successor of a channel that was closed every 10 ms
        self.lives.append(Life(self.base, self.version, self.epoch, self.epoch))
        self.visible = True

    @precondition(lambda self: self.writer is not None)
    @rule()
    def refused(self) -> None:
        with pytest.raises(traincast.UnsupportedTypeError, match=r'^info\["x"\]: set is not supported'):
            self.writer.call("publish", {STEPS: 1, "x": {1}})

    @precondition(lambda self: self.writer is not None)
    @rule()
    def second_writer(self) -> None:
        with pytest.raises(traincast.ChannelBusyError, match="has a live writer"):
            traincast.TrainingInfoWriter(self.name, leftover="replace")

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        self.writer.call("close")
        self.writer, self.visible = None, False

    @precondition(lambda self: isinstance(self.writer, Elsewhere))
    @rule()
    def kill(self) -> None:
        assert self.process is not None
        self.process.close()
        self.writer = self.process = None

    # --- readers

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def attach(self) -> None:
        if self.visible:
            self.readers.append(Held(traincast.TrainingInfoReader(self.name), len(self.lives) - 1))
        else:
            with pytest.raises(traincast.ChannelNotFoundError, match="there is no channel"):
                traincast.TrainingInfoReader(self.name)

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), how=st.sampled_from(["read", "read_if_changed", "getitem"]), vandal=st.booleans())
    def read(self, data: st.DataObject, how: str, vandal: bool) -> None:
        held = data.draw(st.sampled_from(self.readers))
        may_be_new = held.last is None or (held.life, held.version) != (
            len(self.lives) - 1,
            self.lives[-1].version,
        )
        if self.visible:
            assert held.reader.changed() == may_be_new
            if how == "read_if_changed" and not may_be_new:
                assert held.reader.read_if_changed() is None
        dictionary = held.reader.read_if_changed() if how == "read_if_changed" else None
        if dictionary is None:
            if how == "getitem":
                with contextlib.suppress(KeyError):  # spoilt by a vandal
                    held.reader[STEPS]
            dictionary = held.reader.read()
        assert held.reader.read() is dictionary
        if dictionary is held.last:
            assert not self.visible or not may_be_new
            return
        # While the channel is there it is the newest; else the last one of some life, not an earlier one.
        lives = range(held.life, len(self.lives))
        shown = [lives[-1]] if self.visible else lives
        matching = [
            number
            for number in shown
            if self.lives[number].version == held.reader.version
            and self.lives[number].epoch == held.reader.epoch
            and same(dictionary, self.lives[number].info)
        ]
        assert matching
        held.life, held.version, held.last = matching[0], held.reader.version, dictionary
        if vandal:
            spoil(dictionary)
        else:
            held.dictionaries.append((dictionary, self.lives[matching[0]].info))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.readers))
        if self.visible or self.writer is None:  # else the writer's channel does not exist yet
            assert held.reader.writer_alive == (self.writer is not None)
        assert held.reader.age >= 0
        if self.visible and held.life == len(self.lives) - 1:
            assert not held.reader.closed

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.readers))
        self.readers.remove(held)
        held.reader.close()
        assert held.reader.closed
        for dictionary, expected in held.dictionaries:
            assert_identical(dictionary, expected)


def same(one: Any, other: Any) -> bool:
    try:
        assert_identical(one, other)
    except AssertionError:
        return False
    return True


def test_channel_against_the_model() -> None:
    # Shrinking would start processes by the thousand.
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    run_state_machine_as_test(ChannelMachine, settings=examples(40, stateful_step_count=40, phases=phases))
