"""`directory=` names the place of a channel, whatever the environment of the process says."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import traincast

STEPS = "approx_total_training_steps"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "channels"
    place.mkdir(mode=0o700)
    return place


def test_both_ends_meet_in_it(place: Path) -> None:
    with traincast.TrainingInfoWriter("here", directory=place) as writer:
        writer.publish({STEPS: 1})
        assert writer.directory == place
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader("here")
        with traincast.TrainingInfoReader("here", directory=str(place)) as reader:
            assert reader.read()[STEPS] == 1
            assert reader.directory == place
    assert list(place.iterdir()) == []


def test_channels_of_one_name_in_two_places_are_two(place: Path) -> None:
    with (
        traincast.TrainingInfoWriter("two", directory=place) as one,
        traincast.TrainingInfoWriter("two") as other,
    ):
        one.publish({STEPS: 1})
        other.publish({STEPS: 2})
        assert traincast.TrainingInfoReader("two", directory=place).read()[STEPS] == 1
        assert traincast.TrainingInfoReader("two").read()[STEPS] == 2


def test_a_pickled_reader_takes_it_along(place: Path, tmp_path: Path) -> None:
    with traincast.TrainingInfoWriter("along", directory=place) as writer:
        writer.publish({STEPS: 1})
        pickled = pickle.dumps(traincast.TrainingInfoReader("along", directory=place))
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).read())"
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickled,
            capture_output=True,
            check=False,
            timeout=120,
            env=os.environ | {"TRAINCAST_DIR": str(tmp_path / "elsewhere")},
        )
    assert done.stdout.decode().strip() == "{'approx_total_training_steps': 1}", done.stderr.decode()


def test_a_writer_makes_it(tmp_path: Path) -> None:
    with traincast.TrainingInfoWriter("made", directory=tmp_path / "new") as writer:
        writer.publish({STEPS: 1})
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
