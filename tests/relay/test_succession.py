"""Snapshots that follow one another: sealed to the same bytes as by `message`, and nothing more is let in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import traincast
from traincast.relay.message import Life, Message, seal, wire_header
from traincast.relay.succession import Opener, Sealer

CHANNEL = "run@0"
KEYS = pytest.mark.parametrize("key", [None, b"secret"], ids=["open", "sealed"])


def says(wire: bytes, number: int, **changes: object) -> Message:
    header = wire_header(wire)
    message = Message(Life.ALIVE, 1, 2, number, 4, header.stamp, header.host, header.pid, wire)
    return dataclasses.replace(message, **changes)  # type: ignore[arg-type]


@pytest.fixture
def wires(tmp_path: Path) -> list[bytes]:
    """Three snapshots of a learner, and one of the learner after it."""
    found = []
    for count in (3, 1):
        writer = traincast.TrainingInfoWriter("run", directory=tmp_path / "here", leftover="replace")
        for steps in range(count):
            writer.publish({"approx_total_training_steps": steps, "task": "x" * 8})
            found.append(writer.read_wire() or b"")
        writer.close()
    return found


@KEYS
def test_a_snapshot_is_sealed_as_any_message(wires: list[bytes], key: bytes | None) -> None:
    for life in Life:
        sealer = Sealer(CHANNEL, key, life, 1, 2)
        for number, wire in enumerate(wires):
            assert sealer.seal(number, 4, wire) == seal(says(wire, number, life=life), CHANNEL, key)


@KEYS
def test_what_follows_is_let_in_once_and_in_order(wires: list[bytes], key: bytes | None) -> None:
    opener = Opener(CHANNEL, key, says(wires[0], 5))
    later = [seal(says(wire, number), CHANNEL, key) for number, wire in zip((5, 7, 8), wires, strict=False)]
    assert [opener.open(data) for data in (*later, *later)] == [None, *wires[1:3], None, None, None]


@KEYS
def test_what_is_of_another_learner_sender_or_life_is_left_to_be_looked_at(
    wires: list[bytes], key: bytes | None
) -> None:
    opener = Opener(CHANNEL, key, says(wires[0], 5))
    others = (
        says(wires[3], 9),
        *(
            says(wires[1], 9, **change)
            for change in ({"node": 7}, {"sender": 7}, {"life": Life.LOST}, {"board": 1})
        ),
        *(says(wires[1], 9, **change) for change in ({"pid": 7}, {"host": "elsewhere"})),
        says(wires[1], 4),
        dataclasses.replace(says(wires[1], 9), wire=b""),
    )
    for message in others:
        assert opener.open(seal(message, CHANNEL, key)) is None, message
    assert opener.open(seal(says(wires[1], 9), "run@1", key)) is None
    assert opener.open(seal(says(wires[1], 9), CHANNEL, b"another")) is None
    assert opener.open(seal(says(wires[1], 9), CHANNEL, key)) == wires[1]


@KEYS
def test_every_flipped_bit_and_every_cut_is_noticed(wires: list[bytes], key: bytes | None) -> None:
    opener = Opener(CHANNEL, key, says(wires[0], 5))
    sealed = seal(says(wires[1], 9), CHANNEL, key)
    # Without a key the snapshot's own checksum finds what is behind the envelope, when it is published.
    bits = (
        range(len(sealed) * 8) if key else [*range(192 * 8), *range((len(sealed) - 32) * 8, len(sealed) * 8)]
    )
    for bit in bits:
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        assert opener.open(bytes(damaged)) is None, bit
    for length in range(len(sealed)):
        assert opener.open(sealed[:length]) is None, length
    assert opener.open(sealed) == wires[1]
