"""`default=`: what a user's function says of objects that the codec does not know."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import pathlib
import weakref
from argparse import Namespace
from collections import UserDict
from typing import Any

import numpy as np
import pytest
from meddling import ACTS, Channel
from processes import Process
from snapshots import STEPS, assert_identical, info

import traincast


class Unknown:
    """Nothing that the codec knows."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


def test_its_answer_is_published(channel_name: str) -> None:
    asked = []

    def default(value: Any) -> Any:
        asked.append(value)
        return {"a": [str(value), np.arange(2)]} if isinstance(value, pathlib.Path) else list(value)

    path, numbers = pathlib.Path("x"), {3}
    with traincast.TrainingInfoWriter(channel_name, default=default) as writer:
        for _ in range(3):
            writer.publish(info(a=path, b=[(numbers,)], c=1))
            read = traincast.TrainingInfoReader(channel_name).read()
            assert_identical(read, info(a={"a": ["x", np.arange(2)]}, b=[([3],)], c=1))
        assert asked == [path, numbers] * 3
        writer.update(d=path)
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read["d"], {"a": ["x", np.arange(2)]})


def test_it_is_not_asked_about_what_is_known(channel_name: str) -> None:
    def default(value: Any) -> Any:
        raise AssertionError(value)

    known = [1, None, "x", b"x", [()], UserDict(a=1), range(2), np.ones(2), np.float32(1), bytearray(b"x")]
    with traincast.TrainingInfoWriter(channel_name, default=default) as writer:
        writer.publish(info(known=known))


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), np.zeros(2, "i4,f4"), np.ma.array([1, 2], mask=[0, 1]), {1}, iter("a"), len, 1j],
    ids=lambda value: type(value).__name__,
)
def test_it_is_asked_about_whatever_would_be_refused(channel_name: str, value: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name, default=lambda _: "answer") as writer:
        writer.publish(info(a=value))
        assert traincast.TrainingInfoReader(channel_name)["a"] == "answer"


def test_it_is_asked_again_about_what_is_in_its_answer(channel_name: str) -> None:
    def default(value: Any) -> Any:
        return {"deeper": Unknown(value.value - 1)} if value.value else Unknown

    def last(value: Any) -> Any:
        return value.__name__ if isinstance(value, type) else default(value)

    with traincast.TrainingInfoWriter(channel_name, default=last) as writer:
        writer.publish(info(a=Unknown(3)))
        read = traincast.TrainingInfoReader(channel_name)["a"]
        assert read == {"deeper": {"deeper": {"deeper": "Unknown"}}}


def test_it_is_asked_about_the_root(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, default=vars) as writer:
        writer.publish(Namespace(**info(a=Namespace(b=1))))  # type: ignore[arg-type]
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a={"b": 1}))
        with pytest.raises(traincast.MissingKeyError):
            writer.publish(Namespace(a=1))  # type: ignore[arg-type]
    with traincast.TrainingInfoWriter(channel_name, default=lambda value: [value.a]) as writer:
        with pytest.raises(traincast.UnsupportedTypeError) as raised:
            writer.publish(Namespace(a=1))  # type: ignore[arg-type]
        assert str(raised.value) == "info: a snapshot is a dictionary, not argparse.Namespace; use vars(...)"


def test_one_that_returns_the_object_has_it_refused(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, default=lambda value: value) as writer:
        with pytest.raises(traincast.UnsupportedTypeError) as raised:
            writer.publish(info(a=[{1}]))
        assert str(raised.value).startswith('info["a"][0]: set is not supported; use list(...)')
        assert writer.publish(info()) == 1


@pytest.mark.parametrize(
    ("default", "error", "sentence"),
    [
        (
            lambda _: Unknown(),
            traincast.UnsupportedTypeError,
            "another object stands in its place, and so on",
        ),
        (lambda value: [value], traincast.InvalidSnapshotError, "it contains itself"),
        (lambda _: [Unknown()], traincast.InvalidSnapshotError, "nested deeper than 64 levels"),
        (lambda value: {"a": (value,)}, traincast.InvalidSnapshotError, "nested deeper than 64 levels"),
    ],
    ids=["new each time", "in a list", "new in a list", "deeper"],
)
def test_one_that_never_ends_is_stopped(
    channel_name: str, default: Any, error: type[Exception], sentence: str
) -> None:
    with traincast.TrainingInfoWriter(channel_name, default=default) as writer:
        with pytest.raises(error, match=sentence):
            writer.publish(info(a=Unknown()))
        assert writer.publish(info()) == 1


class OwnError(Exception):
    pass


@pytest.mark.parametrize("kind", [OwnError, TypeError, KeyboardInterrupt, MemoryError])
def test_its_exception_passes_through(channel_name: str, kind: type[BaseException]) -> None:
    error = kind("of the function's own")

    def default(_: Any) -> Any:
        raise error

    with traincast.TrainingInfoWriter(channel_name, default=default) as writer:
        writer.publish(info(a=1))
        for call in (
            lambda: writer.publish(info(a={"b": [0, {1}]})),
            lambda: writer.update(a={"b": [0, {1}]}),
        ):
            error.__dict__.pop("__notes__", None)
            with pytest.raises(kind) as raised:
                call()
            assert raised.value is error
            noted = kind in (OwnError, TypeError)
            assert getattr(error, "__notes__", []) == ['while publishing info["a"]["b"][1]'] * noted
        with pytest.raises(kind):
            writer.publish({1})  # type: ignore[arg-type]
        assert writer.version == 1
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a=1))


@pytest.mark.parametrize("default", [1, "vars", {}], ids=repr)
def test_it_must_be_a_function(channel_name: str, default: Any) -> None:
    sentence = f"^default must be a function or None, not {type(default).__name__}$"
    with pytest.raises(TypeError, match=sentence):
        traincast.TrainingInfoWriter(channel_name, default=default)
    with traincast.TrainingInfoWriter(channel_name, default=None) as writer:  # nothing was opened
        writer.publish(info())


@pytest.mark.parametrize("call", ["publish", "update", "load_state_dict"])
@pytest.mark.parametrize("act", ACTS)
def test_it_may_do_anything(channel_name: str, call: str, act: str) -> None:
    """As code of a value may: see `test_code_in_between.py`."""
    channel = Channel(channel_name)
    channel.writer.close()
    done = []

    def default(value: Any) -> Any:
        if not done:
            done.append(channel.writer.version)
            with contextlib.suppress(traincast.UnsupportedTypeError):
                channel.acts()[act]()
        if isinstance(value, Unknown):
            return [value.value, {"x": 3}]
        raise traincast.UnsupportedTypeError("of the function's own")

    channel.writer = traincast.TrainingInfoWriter(channel_name, default=default)
    channel.writer.publish(info(a=1, kept="text"))
    channel.state = channel.writer.state_dict()
    writer, before = channel.writer, channel.writer.version
    inner = {"publish": 1, "update": 1, "update a number": 1, "load_state_dict": 1}.get(act, 0)
    try:
        if call == "publish":
            writer.publish(info(a=2, v=Unknown(7)))
        elif call == "update":
            writer.update(v=Unknown(7))
        else:
            writer.load_state_dict({**channel.state, "training_info": info(a=2, v=Unknown(7))})
    except traincast.ChannelClosedError:
        assert act == "close the writer"
    else:
        assert act != "close the writer"
        assert call == "load_state_dict" or writer.version == before + inner + 1
        found = writer.state_dict()["training_info"]
        assert found.pop("v") == [7, {"x": 3}]
        assert found["a"] == ({"publish": 5, "update a number": 7}.get(act, 1) if call == "update" else 2)
    assert done
    channel.check()


@pytest.mark.parametrize("closed", [False, True])
def test_a_writer_in_a_cycle_with_it_is_collected(channel_name: str, closed: bool) -> None:
    class Learner:
        def __init__(self) -> None:
            self.writer = traincast.TrainingInfoWriter(channel_name, default=self.plain)

        def plain(self, value: Any) -> Any:
            return sorted(value)

    learner = Learner()
    learner.writer.publish(info(a={2, 1}))
    if closed:
        learner.writer.close()
    gone, writer = weakref.ref(learner), weakref.ref(learner.writer)
    assert any(
        found is learner.plain.__func__ or found == learner.plain
        for found in gc.get_referents(learner.writer)
    )
    del learner
    gc.collect()
    assert gone() is None
    assert writer() is None
    with traincast.TrainingInfoWriter(channel_name) as again:  # it released the channel
        again.publish(info())


def test_a_writer_that_is_collected_in_the_middle_of_its_function_goes_on(channel_name: str) -> None:
    """The collector clears only unreachable objects; the call holds a reference to the writer."""

    def default(_: Any) -> Any:
        gc.collect()
        return 1

    assert traincast.TrainingInfoWriter(channel_name, default=default).publish(info(a=Unknown())) == 1


@dataclasses.dataclass
class Settings:
    path: pathlib.Path


def test_it_reaches_into_dataclasses_and_mappings(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, default=str) as writer:
        writer.publish({STEPS: 1, "s": Settings(pathlib.Path("a")), "m": UserDict(x=[pathlib.Path("b")])})
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read, {STEPS: 1, "s": {"path": "a"}, "m": {"x": ["b"]}})


def test_threads_ask_it_at_the_same_time(channel_name: str) -> None:
    with Process() as process:
        process.run(f"""
import threading, time
def default(value):
    time.sleep(0)  # lets another thread in
    return [value.name]
class Named:
    def __init__(self, name): self.name = name
writer = traincast.TrainingInfoWriter({channel_name!r}, default=default)
writer.publish({info()!r})
failed = []
def publish(name):
    try:
        for turn in range(200):
            writer.publish({info()!r} | dict(a=Named(name), b=[Named(turn)] * 3))
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=publish, args=[name]) for name in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""")
        assert process.value("failed") == []
        assert process.value("writer.version") == 801
        read = traincast.TrainingInfoReader(channel_name).read()
        assert read["b"] == [[199]] * 3
        assert read["a"][0] in range(4)
