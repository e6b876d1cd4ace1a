"""Where there is no memory for an object, the error says so, and everything goes on afterwards.

Each allocation of a call fails once, as `_testcapi` can have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from snapshots import assert_identical, info

import traincast

_testcapi = pytest.importorskip("_testcapi", reason="CPython's own test module, which not every build has")

MOST = 400  # allocations of the longest call here, and many more


def every_failure(prepare: Callable[[], Callable[[], Any]]) -> int:
    """Calls what `prepare` gives with one allocation failing: the first, the second, and so on to none."""
    for failing in range(MOST):
        call = prepare()
        error = None
        _testcapi.set_nomemory(failing, failing + 1)
        try:
            call()
        except BaseException as raised:
            error = raised
        finally:
            _testcapi.remove_mem_hooks()
        if error is not None:
            assert type(error) is MemoryError, (failing, repr(error))
        elif failing > 60:
            return failing
    return MOST


class Text(str):
    """A key or value that is not of the exact type."""


def snapshots() -> list[dict[str, Any]]:
    """Made anew, so that nothing is cached in their objects."""
    unique = str(id(object()))
    return [
        info(a=2**40, b=0.5, c={"x": 1.5, "y": [2**50, (1.5, "ä" * 50 + unique)]}),
        info(**{"ä" * 50 + unique: 1}),
        info(s="ä" * 50 + unique, b=b"bytes", i=2**70 + 1, n=None),
        info(a=np.arange(5.0), f=np.float32(0.5), t=Text("text" + unique)),
        info(m=Text("x"), d={Text("key" + unique): 1}),
    ]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("call", ["publish", "update", "load_state_dict"])
def test_publishing_survives_each_failed_allocation(channel_name: str, call: str, which: int) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for made in snapshots():
            writer.publish(made)
        reader = traincast.TrainingInfoReader(channel_name)

        def prepare() -> Callable[[], Any]:
            made = snapshots()[which]
            if call == "update":
                return lambda: writer.update(**made)
            if call == "load_state_dict":
                return lambda: writer.load_state_dict({"version": 1, "epoch": 1, "training_info": made})
            return lambda: writer.publish(made)

        before = writer.version
        every_failure(prepare)
        assert writer.version > before
        for made in snapshots():
            writer.publish(made)
            assert_identical(writer.state_dict()["training_info"], reader.read())
            assert reader.version == writer.version


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("again", range(3), ids=["built", "built again", "copied"])
def test_reading_survives_each_failed_allocation(channel_name: str, which: int, again: int) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        made = snapshots()[which]
        writer.publish(made)
        writer.publish(made)
        expected = writer.state_dict()["training_info"]
        reader = traincast.TrainingInfoReader(channel_name)

        def prepare() -> Callable[[], Any]:
            nonlocal reader
            reader.close()
            reader = traincast.TrainingInfoReader(channel_name)
            for _ in range(again):
                reader.read()
                writer.publish(made)
            return reader.read

        every_failure(prepare)
        assert_identical(reader.read(), expected)
        every_failure(lambda: writer.state_dict)
        assert_identical(writer.state_dict()["training_info"], expected)


def test_repr_and_attributes_survive_each_failed_allocation(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        for one in (writer, reader):
            every_failure(lambda one=one: lambda: repr(one))  # type: ignore[misc]
            every_failure(lambda one=one: lambda: (one.name, one.version, one.epoch, one.closed))  # type: ignore[misc]
        assert "version=1" in repr(writer)


@pytest.mark.parametrize("path", ["a", "c.x", "c.y", "s", "t", "missing"])
def test_calling_a_key_survives_each_failed_allocation(channel_name: str, path: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=0))
        reader = traincast.TrainingInfoReader(channel_name)
        key = reader.key(path, default=None)
        turn = 0

        def prepare() -> Callable[[], Any]:
            nonlocal turn
            turn += 1
            c = {"x": turn + 0.5, "y": ["ä" * 50, turn]}
            padding = {"padding": turn} if turn % 3 == 0 else {}
            writer.publish(info(a=2**40 + turn, c=c, s=str(turn), t=np.arange(turn % 5), **padding))
            return key

        every_failure(prepare)
        key()
        assert_identical(key(), reader.key(path, default=None)())
