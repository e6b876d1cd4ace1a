"""A segment that is damaged, and then mended: readers follow it."""

from __future__ import annotations

from pathlib import Path

import pytest
from segment_file import HEAD, SEQ, SegmentFile, root

import traincast

STEPS = "approx_total_training_steps"


@pytest.mark.parametrize("numbers", [1, 12], ids=["built", "copied"])
def test_readers_follow_a_head_that_was_set_back(traincast_dir: Path, numbers: int) -> None:
    """To any version whose slot is still whole; in between, the newest slot is damaged."""
    infos = [{STEPS: step, "values": [step / 2] * numbers} for step in range(1, 9)]
    with traincast.TrainingInfoWriter("back") as writer:
        for info in infos:
            writer.publish(info)
        reader = traincast.TrainingInfoReader("back")
        assert reader.read() == infos[7]
        with SegmentFile(traincast_dir / "back@0") as file:
            for version in (7, 6, 8, 5, 7, 8):
                file.words[HEAD] = version << 2
                assert reader.read() == infos[version - 1]
                assert reader.version == version
            for version in (6, 8, 7):
                file.words[HEAD] = version << 2
                sound = file.words[file.slot(version) + SEQ]
                file.words[file.slot(version) + SEQ] = 3
                for _ in range(2):
                    with pytest.raises(traincast.CorruptChannelError):
                        reader.read()
                file.words[file.slot(version) + SEQ] = sound
                assert reader.read() == infos[version - 1]


@pytest.mark.parametrize("met", [0, 3], ids=["built", "copied"])
def test_a_shape_spoiled_when_it_was_met(traincast_dir: Path, met: int) -> None:
    """It has the right length and is a valid shape: only the values show that it is the wrong one."""
    sound, spoiled = root(*[b"\x02"] * 8), root(*[b"\x02"] * 7, b"\x00")
    values = list(range(8))
    with traincast.TrainingInfoWriter("mended") as writer:
        writer.publish({STEPS: 1})
        reader = traincast.TrainingInfoReader("mended")
        with SegmentFile(traincast_dir / "mended@0") as file:
            for _ in range(met):
                file.put(spoiled, values[:7], b"", 77)
                assert reader.read()["k7"] is None
            file.put(spoiled, values, b"", 77)
            for one in (reader, traincast.TrainingInfoReader("mended")):
                for _ in range(2):
                    with pytest.raises(
                        traincast.CorruptChannelError, match="needs 7 value words, and the snapshot has 8"
                    ):
                        one.read()
            file.put(sound, values, b"", 77)
            for one in (reader, traincast.TrainingInfoReader("mended")):
                assert one.read() == {f"k{at}": at for at in values}
