"""A head that somebody sets back, in a real segment: readers go with it, and forward again."""

from __future__ import annotations

from pathlib import Path

import pytest
from segment_file import HEAD, SEQ, SegmentFile

import traincast

STEPS = "approx_total_training_steps"


@pytest.mark.parametrize("numbers", [1, 12], ids=["built", "copied"])
def test_a_head_set_back(traincast_dir: Path, numbers: int) -> None:
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
