"""A key occurs once in a dictionary, on both sides of a channel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snapshots import STEPS, assert_identical, info

import traincast


class Pairs(Mapping[Any, Any]):
    """A mapping whose items repeat a key."""

    def __init__(self, *pairs: tuple[Any, Any]) -> None:
        self.pairs = pairs

    def __getitem__(self, key: Any) -> Any:
        return dict(self.pairs)[key]

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def items(self) -> Any:
        return list(self.pairs)


class Text(str):
    """Equal to nothing but itself, so that a dict may hold it beside its like."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Number(int):
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


REPEATED: dict[str, tuple[Any, str]] = {
    "root": (Pairs((STEPS, 0), ("x", 1), ("y", 1), ("x", 2)), 'info: the key "x" occurs twice'),
    "subclass of str": ({STEPS: 0, "x": 1, Text("x"): 2}, 'info: the key "x" occurs twice'),
    "two of a subclass": ({STEPS: 0, Text("x"): 1, Text("x"): 2}, 'info: the key "x" occurs twice'),
    "subclass of int": ({STEPS: 0, "d": {1: 1, Number(1): 2}}, 'info["d"]: the key 1 occurs twice'),
    "mapping": (info(a=Pairs(("x", 1), ("x", 1))), 'info["a"]: the key "x" occurs twice'),
    "large int": (
        {STEPS: 0, "d": Pairs((2**70, 1), (2**70, 2))},
        'info["d"]: the key <a large int> occurs twice',
    ),
    "deep": (
        info(before={"q": [1]}, a=[0, ({"b": {"c": Pairs(("k", 1), ("k", None))}},)], z=1),
        'info["a"][1][0]["b"]["c"]: the key "k" occurs twice',
    ),
}


@pytest.mark.parametrize("name", REPEATED)
def test_publish_refuses_a_repeated_key(channel_name: str, name: str) -> None:
    repeated, message = REPEATED[name]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(x=1))
        for _ in range(3):
            with pytest.raises(traincast.InvalidSnapshotError) as caught:
                writer.publish(repeated)
            assert str(caught.value) == message
            with pytest.raises(traincast.InvalidSnapshotError):
                writer.load_state_dict({"version": 9, "epoch": 9, "training_info": repeated})
        assert writer.version == 1
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(x=1))


def test_update_refuses_a_repeated_key(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1.0, b=1.0))
        writer.publish(info(a=1.0, b=1.0))
        for changes in ({"a": 2.0, Text("a"): 3.0}, {"new": 1, Text("new"): 2}, {Text("a"): 1, Text("a"): 2}):
            with pytest.raises(
                traincast.InvalidSnapshotError, match=r'^info: the key "(a|new)" occurs twice$'
            ):
                writer.update(**changes)
        with pytest.raises(traincast.InvalidSnapshotError, match=r'^info\["a"\]: the key "x" occurs twice$'):
            writer.update(a=Pairs(("x", 1), ("x", 2)))
        assert writer.version == 2
        writer.update(**{Text("a"): 5.0})
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a=5.0, b=1.0))


def test_different_keys_that_look_alike_are_kept(channel_name: str) -> None:
    keys = [1, "1", Text("x"), "", 0, 2**64, -1, "-1", Number(7), "7"]
    made = Pairs((STEPS, 0), ("d", Pairs(*((key, str(index)) for index, key in enumerate(keys)))))
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for _ in range(3):
            writer.publish(made)
        reader = traincast.TrainingInfoReader(channel_name)
        assert list(reader.read()["d"]) == [1, "1", "x", "", 0, 2**64, -1, "-1", 7, "7"]


def test_required_keys_are_looked_for_among_the_encoded_ones(channel_name: str) -> None:
    class Claims(Pairs):
        def __contains__(self, key: object) -> bool:
            return True

    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.MissingKeyError):
            writer.publish(Claims(("a", 1), ("b", np.arange(3))))
        writer.publish({Text(STEPS): 1})
        assert traincast.TrainingInfoReader(channel_name).read() == {STEPS: 1}


def test_a_repeated_key_in_the_file_is_damage(channel_name: str, traincast_dir: Path) -> None:
    """No writer makes such a file: the reader reports damage."""
    path = traincast_dir / f"{channel_name}@0"
    with traincast.TrainingInfoWriter(channel_name) as writer:
        made = info(before=[1], d={f"key {index}": float(index) for index in range(10)})
        writer.publish(made)
        at = path.read_bytes().index(b"key 7")
        with open(path, "r+b") as file:
            os.pwrite(file.fileno(), b"key 6", at)
        reader = traincast.TrainingInfoReader(channel_name)
        damage = re.escape('info["d"]: the key "key 6" occurs twice')
        for _ in range(2):
            with pytest.raises(traincast.CorruptChannelError, match=damage):
                reader.read()
            with pytest.raises(traincast.CorruptChannelError, match=damage):
                writer.state_dict()
        made["d"] = {"x": 1}
        writer.publish(made)
        assert_identical(reader.read(), made)
