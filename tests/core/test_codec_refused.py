"""Python objects that a snapshot cannot hold: the sentence, the path, and that nothing else happens."""

from __future__ import annotations

import re
from collections import UserDict, deque, namedtuple
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from snapshots import STEPS, assert_identical, info

import traincast

Point = namedtuple("Point", "x y")

REFUSED = {
    "set": ({1}, "set is not supported; use list(...), or sorted(...) for the same order each time"),
    "generator": ((i for i in "ab"), "generator is not supported; use list(...)"),
    "namespace": (SimpleNamespace(), "types.SimpleNamespace is not supported; use vars(...)"),
    "function": (len, "builtin_function_or_method is not supported; publish its name"),
    "object": (
        object(),
        "object is not supported; use numbers, str, bytes, list, tuple, dict, numpy arrays or torch tensors, "
        "or open the writer with default=, a function that returns one of them",
    ),
}


@pytest.mark.parametrize(("value", "sentence"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda value: value, 'info["a"]'),
        (lambda value: [0, 1, 2, value], 'info["a"][3]'),
        (lambda value: {"b": ({-5: [(), {"c": value}]},)}, 'info["a"]["b"][0][-5][1]["c"]'),
        (lambda value: UserDict(b=deque([Point(0, value)])), 'info["a"]["b"][0][1]'),
    ],
    ids=["flat", "list", "deep", "mapping"],
)
def test_an_unsupported_value_is_refused_with_its_path(
    channel_name: str, value: Any, sentence: str, wrap: Any, path: str
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a="before"))
        reader = traincast.TrainingInfoReader(channel_name)
        with pytest.raises(traincast.UnsupportedTypeError, match=f"^{re.escape(f'{path}: {sentence}')}$"):
            writer.publish(info(a=wrap(value)))
        with pytest.raises(TypeError, match=f"^{re.escape(f'{path}: {sentence}')}$"):
            writer.update(a=wrap(value))
        assert_identical(reader.read(), info(a="before"))
        assert writer.publish(info(a="after")) == 2
        assert_identical(reader.read(), info(a="after"))


@pytest.mark.parametrize("key", [True, None, 1.5, (1, 2), b"bytes", frozenset()], ids=repr)
@pytest.mark.parametrize("kind", [dict, UserDict])
def test_an_unsupported_key_is_refused_with_its_path(channel_name: str, key: Any, kind: Any) -> None:
    sentence = f"a key of type {type(key).__name__} is not supported; use str or int keys"
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a="before"))
        # Of a known shape first, then of a new one: they take different ways through the encoder.
        for snapshot in (info(a=kind({"x": 1, key: 1})), {**info(), key: 1}):
            with pytest.raises(
                traincast.UnsupportedTypeError, match=f"{re.escape(f'[{key!r}]: {sentence}')}$"
            ):
                writer.publish(snapshot)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a="before"))


@pytest.mark.parametrize("snapshot", [None, 1, [], "text", [(STEPS, 1)], {1, 2}], ids=repr)
def test_the_root_must_be_a_mapping(channel_name: str, snapshot: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        sentence = f"^info: a snapshot is a dictionary, not {type(snapshot).__name__}$"
        with pytest.raises(traincast.UnsupportedTypeError, match=sentence):
            writer.publish(snapshot)
        assert writer.version == 0
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader(channel_name)


class Failing(Mapping):
    """A mapping whose own code fails."""

    def __getitem__(self, key: str) -> int:
        raise LookupError("of the mapping's own")

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


def test_an_exception_of_a_mapping_passes_through(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        with pytest.raises(LookupError) as raised:
            writer.publish(info(a=[Failing()]))
        assert str(raised.value) == "of the mapping's own"
        assert raised.value.__notes__ == ['while publishing info["a"][0]']
        assert writer.publish(info()) == 2


class Growing(Mapping):
    """A mapping whose own code changes the dictionary around it."""

    def __init__(self, around: dict[str, Any]) -> None:
        self.around = around

    def __getitem__(self, key: str) -> int:
        self.around[f"new {len(self.around)}"] = 1
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


def test_a_dictionary_that_changes_while_it_is_published_is_an_error(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=0))
        snapshot = info(a=0, b=1)
        snapshot["a"] = Growing(snapshot)
        with pytest.raises(RuntimeError, match="changed its size while it was published"):
            writer.publish(snapshot)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a=0))
