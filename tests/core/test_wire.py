"""Snapshots that travel: from a reader, in wire form, to a writer elsewhere, under the same numbers."""

from __future__ import annotations

import binascii
import random
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast
from traincast._core import decode_wire

VALUES: list[Any] = [
    {"a": 1},
    {"a": 1.5, "nested": {"b": [1, 2, (3, None)], 7: True}},
    {"text": "äöü", "bytes": b"\0\1", "big": 2**100, "empty": "", "list": []},
    {
        "array": np.arange(24.0).reshape(2, 3, 4),
        "scalar": np.float32(0.1),
        "time": np.datetime64("2026-11-25"),
    },
]


def test_a_snapshot_arrives_as_it_was_sent(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as source, traincast.TrainingInfoWriter("sink") as sink:
        for value in VALUES * 2:
            source.publish(info(**{str(key): item for key, item in value.items()}))
            reader = traincast.TrainingInfoReader(channel_name)
            message = reader.read_wire()
            assert isinstance(message, bytes)
            assert sink.publish_wire(message) == source.version
            far = traincast.TrainingInfoReader("sink")
            assert_identical(far.read(), reader.read())
            assert (far.version, far.epoch) == (reader.version, reader.epoch)
            assert far.read_wire()[32:56] == message[32:56]  # term, epoch, version


def test_the_same_message_again_changes_nothing_and_an_older_one_is_refused(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as source, traincast.TrainingInfoWriter("sink") as sink:
        reader = traincast.TrainingInfoReader
        messages = []
        for i in range(8):
            source.publish(info(i=i))
            messages.append(reader(channel_name).read_wire())
        assert sink.publish_wire(messages[2]) == 3
        assert sink.publish_wire(messages[2]) is None
        assert (
            sink.publish_wire(messages[6]) == 7
        )  # a relay skips what came too fast: a jump by a round of the ring
        far = reader("sink")
        assert far["i"] == 6
        for expected in (traincast.OutdatedSnapshotError, ValueError):
            with pytest.raises(expected, match="is older"):
                sink.publish_wire(messages[5])
        assert far["i"] == 6
        assert not far.changed()


def test_a_relay_that_skips_restarts_and_follows_changes_no_value(channel_name: str) -> None:
    """The learner restarts, closes, and starts again; the relay dies; shapes take turns; versions jump."""
    source = traincast.TrainingInfoWriter(channel_name)
    chance = random.Random(1)
    with Process() as near:
        near.run(f"sink = traincast.TrainingInfoWriter({'sink-' + channel_name!r})")
        sinks, last = [near], (0, 0, 0)
        far = None
        for step in range(1, 300):
            match chance.randrange(25):
                case 0:
                    source.close()
                    source = traincast.TrainingInfoWriter(channel_name)
                case 1:
                    sinks[-1].kill()
                    sinks.append(Process())
                    sinks[-1].run(f"sink = traincast.TrainingInfoWriter({'sink-' + channel_name!r})")
                case 2:
                    state = source.state_dict()
                    source.load_state_dict(state | {"version": source.version + chance.randrange(9)})
            keys = [f"{chance.choice('abcd')}{at}" for at in range(chance.randrange(1, 6))]
            source.publish(info(step=step, **dict.fromkeys(keys, step)))
            if chance.random() < 0.3:
                continue  # coalesced
            message = traincast.TrainingInfoReader(channel_name).read_wire()
            sinks[-1].call("sink.publish_wire", message)
            far = far or traincast.TrainingInfoReader(f"sink-{channel_name}")
            read = far.read()
            assert read["step"] == step
            assert {
                key: value for key, value in read.items() if key != "approx_total_training_steps"
            } == dict(step=step, **dict.fromkeys(keys, step))
            stamp = struct.unpack("<3Q", far.read_wire()[32:56])
            assert stamp == struct.unpack("<3Q", message[32:56])
            assert stamp > last
            last = stamp
        for process in sinks:
            process.close()
    source.close()


def test_damage_is_refused(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as source, traincast.TrainingInfoWriter("sink") as sink:
        source.publish(info(a=[1, 2.5, "text"], b=np.arange(3)))
        message = traincast.TrainingInfoReader(channel_name).read_wire()
        for bit in range(len(message) * 8):
            damaged = bytearray(message)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(traincast.InvalidSnapshotError):
                sink.publish_wire(bytes(damaged))
        for length in range(len(message)):
            with pytest.raises(traincast.InvalidSnapshotError):
                sink.publish_wire(message[:length])
        assert sink.version == 0
        assert sink.publish_wire(message) == 1


def test_mended_damage_gives_no_crash(channel_name: str) -> None:
    """The checksum fits again: what is accepted can be read, or says why not."""
    accepted = 0
    chance = random.Random(2)
    with traincast.TrainingInfoWriter(channel_name) as source:
        source.publish(info(a=[1, 2.5, "text"], b=np.arange(3), c={"d": np.float32(1)}))
        message = traincast.TrainingInfoReader(channel_name).read_wire()
    for at in range(1500):
        damaged = bytearray(message)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(32, len(message))] = chance.randrange(256)
        damaged[24:32] = struct.pack("<Q", binascii.crc32(damaged[32:]))
        with traincast.TrainingInfoWriter(f"sink-{at}", required=()) as sink:
            try:
                sink.publish_wire(bytes(damaged))
            except traincast.InvalidSnapshotError:
                continue
            accepted += 1
            assert isinstance(traincast.TrainingInfoReader(f"sink-{at}").read(), dict)
    assert accepted > 100


def test_required_keys_hold_for_messages_too(channel_name: str) -> None:
    with (
        traincast.TrainingInfoWriter(channel_name, required=()) as source,
        traincast.TrainingInfoWriter("sink") as sink,
    ):
        source.publish({"a": 1})
        with pytest.raises(traincast.MissingKeyError):
            sink.publish_wire(traincast.TrainingInfoReader(channel_name).read_wire())


@pytest.mark.parametrize("message", ["text", 1, None, [1]], ids=["str", "int", "None", "list"])
def test_a_message_is_bytes(channel_name: str, message: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as sink, pytest.raises(TypeError):
        sink.publish_wire(message)


def test_a_message_carries_host_and_process_of_its_origin(channel_name: str) -> None:
    script = (
        "import traincast\n"
        f"with traincast.TrainingInfoWriter({channel_name!r}) as writer:\n"
        "    writer.publish({'approx_total_training_steps': 1})\n"
        f"    print(traincast.TrainingInfoReader({channel_name!r}).read_wire().hex())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as learner:
        assert learner.stdout is not None
        message = bytes.fromhex(learner.stdout.read())
    with traincast.TrainingInfoWriter("sink") as sink:
        sink.publish_wire(message)
        (channel,) = traincast._core.list_channels()
        assert (channel["origin_pid"], channel["link"]) == (learner.pid, "live")


def test_a_writer_gives_what_its_readers_get(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert writer.read_wire() is None
        for value in (1, "text", np.arange(6).reshape(2, 3).T, {"deep": [(), {3: b"x"}]}):
            writer.publish(info(a=value))
            message = writer.read_wire()
            assert message == traincast.TrainingInfoReader(channel_name).read_wire()
            state = decode_wire(message)
            expected = writer.state_dict()
            assert list(state) == ["version", "epoch", "training_info"]
            assert (state["version"], state["epoch"]) == (expected["version"], expected["epoch"])
            assert_identical(state["training_info"], expected["training_info"])
    assert writer.read_wire() is None
    with traincast.TrainingInfoWriter(f"{channel_name}-2") as other:
        other.load_state_dict(state)
        assert other.version == state["version"] + 1


def test_bytes_that_are_not_a_message_are_refused(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a="text"))
        message = writer.read_wire()
    assert message is not None
    for damaged in (b"", message[:-8], message + bytes(8), message[:-1] + b"\1", bytes(len(message))):
        with pytest.raises(traincast.InvalidSnapshotError, match="no snapshot in wire form"):
            decode_wire(damaged)
    with pytest.raises(TypeError):
        decode_wire(bytearray(message))  # type: ignore[arg-type]
