"""A channel, and what code in the middle of a call may do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snapshots import STEPS, assert_identical, info

import traincast

Act = Callable[[], object]


class Channel:
    """A writer and a reader of it, and what code in between may do with them."""

    def __init__(self, name: str) -> None:
        self.writer = traincast.TrainingInfoWriter(name)
        self.writer.publish(info(a=0, kept="text"))
        self.writer.publish(info(a=1, kept="text"))
        self.reader = traincast.TrainingInfoReader(name)
        self.state = self.writer.state_dict()

    def acts(self) -> dict[str, Act]:
        writer, reader = self.writer, self.reader
        return {
            "publish": lambda: writer.publish(info(a=5, kept="text", inner=[1])),
            "update": lambda: writer.update(inner=[1]),
            "update a number": lambda: writer.update(a=7),
            "state_dict": writer.state_dict,
            "load_state_dict": lambda: writer.load_state_dict(self.state),
            "fail to publish": lambda: writer.publish({STEPS: object()}),
            "read": reader.read,
            "read_if_changed": reader.read_if_changed,
            "changed": reader.changed,
            "wait": lambda: reader.wait(0),
            "look": lambda: (
                repr(writer),
                repr(reader),
                writer.version,
                writer.epoch,
                writer.closed,
                reader.version,
                reader.epoch,
                reader.closed,
                reader.age,
                reader.writer_alive,
            ),
            "close the writer": writer.close,
            "close the reader": reader.close,
        }

    def check(self) -> None:
        """Everything works, and says what was published last."""
        if self.writer.closed:
            with pytest.raises(traincast.ChannelClosedError):
                self.writer.publish(info())
            return
        made = info(a=100, list=[1, 2.5], deep={"x": 1})
        for step in range(4):
            made = {**made, "a": 100 + step}
            assert self.writer.publish(made) == self.writer.version
            self.writer.update(deep={"x": step})
            made["deep"] = {"x": step}
            assert_identical(self.writer.state_dict()["training_info"], made)
            if "closed" in repr(self.reader):
                self.reader = traincast.TrainingInfoReader(self.reader.name)
            assert_identical(self.reader.read(), made)
            assert self.reader.version == self.writer.version
            assert not self.reader.changed()


ACTS = [
    "publish",
    "update",
    "update a number",
    "state_dict",
    "load_state_dict",
    "fail to publish",
    "read",
    "read_if_changed",
    "changed",
    "wait",
    "look",
    "close the writer",
    "close the reader",
]


class Items(dict[str, int]):
    act: Act

    def items(self) -> Any:
        self.act()
        return super().items()


def items(act: Act) -> Any:
    made = Items(x=3)
    made.act = act
    return made


class Goes:
    """Acts when it is destroyed."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def __del__(self) -> None:
        self.act()


def quiet(act: Act, seen: list[BaseException]) -> Act:
    """The act, never entered while it already runs; errors other than the library's go into `seen`."""
    busy = False

    def run() -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            act()
        except traincast.TraincastError:
            pass
        except BaseException as error:
            seen.append(error)
        finally:
            busy = False

    return run
