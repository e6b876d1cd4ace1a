"""The envelope: what was sealed arrives, and whatever else arrives is dropped, counted, and told once."""

from __future__ import annotations

import dataclasses
import hmac
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.relay.message import Gate, Life, Malformed, Message, Stamp, seal, tag_of, unseal

CHANNEL = "run@0"
NUMBERS = st.integers(0, 2**64 - 1)
KEYS = st.one_of(st.none(), st.binary(min_size=1))


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("channels") / "here"
    with traincast.TrainingInfoWriter("run", directory=directory) as writer:
        writer.publish({"approx_total_training_steps": 1, "values": [1.5, "text", b"bytes"]})
        message = writer.read_wire()
    assert message is not None
    return message


def of(wire: bytes, **changes: object) -> Message:
    """A message about a snapshot."""
    from traincast.relay.message import wire_header

    header = wire_header(wire)
    message = Message(Life.ALIVE, 1, 2, 3, 4, header.stamp, header.host, header.pid, wire)
    return dataclasses.replace(message, **changes)  # type: ignore[arg-type]


@given(
    life=st.sampled_from(Life),
    board=st.sampled_from([(0, 0), (1, 1), (2**64 - 1, 2**20)]),
    numbers=st.tuples(*[NUMBERS] * 4),
    stamp=st.tuples(*[st.integers(1, 2**60)] * 3),
    host=st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=64),
    pid=NUMBERS,
    key=KEYS,
)
def test_a_sign_of_life_arrives_as_it_was_sent(life, board, numbers, stamp, host, pid, key) -> None:  # type: ignore[no-untyped-def]
    message = Message(life, *numbers, Stamp(*stamp), host, pid, b"", *board)
    assert unseal(seal(message, CHANNEL, key), CHANNEL, key) == message


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(min_size=1, max_size=200))
def test_the_tag_is_an_hmac_sha256(head: bytes, body: bytes, key: bytes) -> None:
    assert tag_of(head, body, key) == hmac.digest(key, head + body, "sha256")


@pytest.mark.parametrize("key", [None, b"secret"])
def test_a_snapshot_arrives_as_it_was_sent(wire: bytes, key: bytes | None) -> None:
    message = of(wire)
    assert unseal(seal(message, CHANNEL, key), CHANNEL, key) == message


@pytest.mark.parametrize("key", [None, b"secret"])
def test_every_flipped_bit_of_the_envelope_and_every_cut_is_noticed(wire: bytes, key: bytes | None) -> None:
    sealed = seal(of(wire), CHANNEL, key)
    for bit in [*range(192 * 8), *range((len(sealed) - 32) * 8, len(sealed) * 8)]:
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            unseal(bytes(damaged), CHANNEL, key)
    for length in range(len(sealed)):
        with pytest.raises(Malformed):
            unseal(sealed[:length], CHANNEL, key)


def test_every_flipped_bit_of_the_snapshot_is_noticed_with_a_key(wire: bytes) -> None:
    sealed = seal(of(wire), CHANNEL, b"secret")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            unseal(bytes(damaged), CHANNEL, b"secret")


@given(st.binary(max_size=600), KEYS)
def test_bytes_that_are_no_message_are_dropped(data: bytes, key: bytes | None) -> None:
    for start in (b"", b"trainrly\1\0\0\0\0\0\0\0"):
        with pytest.raises(Malformed):
            unseal(start + data, CHANNEL, key)


@pytest.mark.parametrize(
    ("sealed_with", "opened_with"), [(None, b"a"), (b"a", None), (b"a", b"b")], ids=["none", "some", "other"]
)
def test_another_key_is_noticed(wire: bytes, sealed_with: bytes | None, opened_with: bytes | None) -> None:
    with pytest.raises(Malformed):
        unseal(seal(of(wire), CHANNEL, sealed_with), CHANNEL, opened_with)


@pytest.mark.parametrize("key", [None, b"secret"])
def test_a_message_for_another_channel_or_about_another_snapshot_is_dropped(
    wire: bytes, key: bytes | None
) -> None:
    with pytest.raises(Malformed, match="another channel"):
        unseal(seal(of(wire), "run@1", key), CHANNEL, key)
    for change in ({"stamp": Stamp(9, 9, 9)}, {"pid": 0}, {"host": "elsewhere"}):
        with pytest.raises(Malformed, match="other numbers"):
            unseal(seal(of(wire, **change), CHANNEL, key), CHANNEL, key)
    with pytest.raises(Malformed, match="too short"):
        unseal(seal(dataclasses.replace(of(wire), wire=wire[:100]), CHANNEL, key), CHANNEL, key)
    with pytest.raises(Malformed, match="impossible"):
        unseal(seal(Message(Life.ALIVE, 1, 2, 3, 4, Stamp(0, 1, 1), "host", 5), CHANNEL, key), CHANNEL, key)


def test_what_is_dropped_is_counted_and_told_once() -> None:
    gate = Gate(CHANNEL, None)
    with pytest.warns(
        traincast.TraincastWarning, match="was dropped: it does not begin like a message of traincast"
    ):
        assert gate.admit(b"") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gate.admit(b"x" * 1000) is None
    assert gate.dropped.total() == 2
