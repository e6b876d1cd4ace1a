"""Python code of others that runs in the middle of a call, and comes back to the same objects.

Each place where a call can run such code is met with each thing that the code may do there. It works or
gets a clear error, and afterwards everything is usable and holds what was published.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from processes import Process
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


class Settings(Mapping[str, int]):
    """Acts when it is asked for its entries."""

    def __init__(self, act: Act, when: str) -> None:
        self.act, self.when = act, when

    def _asked(self, what: str) -> None:
        if what == self.when:
            self.act()

    def __getitem__(self, key: str) -> int:
        self._asked("__getitem__")
        return 3

    def __iter__(self) -> Iterator[str]:
        self._asked("__iter__")
        yield "x"

    def __len__(self) -> int:
        self._asked("__len__")
        return 1


class Items(dict[str, int]):
    act: Act

    def items(self) -> Any:
        self.act()
        return super().items()


class ClassProperty:
    """Says what it is by code of its own, and cannot be published."""

    def __init__(self, act: Act) -> None:
        self.act = act

    @property
    def __class__(self) -> type:  # type: ignore[override]  # what mocks do
        self.act()
        return object


class Asked(np.ndarray[Any, Any]):
    """Acts when it is asked for its size."""

    act: Act

    @property
    def nbytes(self) -> int:
        self.act()
        return super().nbytes


class Tag(str):
    """Equal to nothing but itself."""

    act: Act

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        self.act()
        return self is other


def items(act: Act) -> Any:
    made = Items(x=3)
    made.act = act
    return made


def array(act: Act) -> Any:
    made = np.arange(6.0).reshape(2, 3).T.view(Asked)
    made.act = act
    return made


# What is published, and what comes back; None if it is refused.
VALUES: dict[str, tuple[Callable[[Act], Any], Any]] = {
    "items of a dict": (items, {"x": 3}),
    "__iter__ of a mapping": (lambda act: Settings(act, "__iter__"), {"x": 3}),
    "__getitem__ of a mapping": (lambda act: Settings(act, "__getitem__"), {"x": 3}),
    "__class__": (ClassProperty, None),
    "property of an array": (array, np.arange(6.0).reshape(2, 3).T),
    "in a list": (lambda act: [1, {"y": items(act)}, 2.5], [1, {"y": {"x": 3}}, 2.5]),
    "a mapping that is refused": (lambda act: [items(act), object()], None),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("call", ["publish", "update", "load_state_dict"])
def test_code_of_a_value(channel_name: str, call: str, value: str, act: str) -> None:
    channel = Channel(channel_name)
    writer, done = channel.writer, []
    make, expected = VALUES[value]

    def once() -> None:
        if not done:
            done.append(act)
            with contextlib.suppress(traincast.UnsupportedTypeError):
                channel.acts()[act]()

    made = make(once)
    before = writer.version
    inner = {"publish": 1, "update": 1, "update a number": 1, "load_state_dict": 1}.get(act, 0)
    try:
        if call == "publish":
            assert writer.publish(info(a=2, v=made)) == before + inner + 1
        elif call == "update":
            assert writer.update(v=made) == before + inner + 1
        else:
            writer.load_state_dict({**channel.state, "training_info": info(a=2, v=made)})
    except traincast.ChannelClosedError:
        assert act == "close the writer"
    except traincast.UnsupportedTypeError:
        assert expected is None
    else:
        assert expected is not None
        assert act != "close the writer"
        assert writer.version == before + inner + 1
        found = writer.state_dict()["training_info"]
        np.testing.assert_equal(found.pop("v"), expected)
        if call == "update":
            # What the code in between has published is what was updated.
            a = {"publish": 5, "update a number": 7}.get(act, 1)
            more = {"inner": [1]} if act in ("publish", "update") else {}
            assert found == info(a=a, kept="text", **more)
        else:
            assert found == info(a=2)
    assert done
    channel.check()


@pytest.mark.parametrize("act", ACTS)
def test_code_of_a_key(channel_name: str, act: str) -> None:
    """Keys that compare by code of their own, in the dictionary and among the changes of an update."""
    channel = Channel(channel_name)

    def quietly() -> None:
        with contextlib.suppress(traincast.TraincastError):
            channel.acts()[act]()

    Tag.act = staticmethod(quietly)  # type: ignore[assignment]  # no method
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.publish({Tag(STEPS): 1, STEPS + "2": 2, "b": {Tag("x"): 1, Tag("y"): 2}})
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.update(**{Tag("b"): 2})
    with contextlib.suppress(traincast.ChannelClosedError):
        assert Tag("q") not in channel.reader.read()
    channel.check()


class Index:
    def __init__(self, value: int, act: Act) -> None:
        self.value, self.act = value, act

    def __index__(self) -> int:
        self.act()
        return self.value


@pytest.mark.parametrize("act", ACTS)
def test_code_of_a_state(channel_name: str, act: str) -> None:
    channel = Channel(channel_name)

    def quietly() -> None:
        with contextlib.suppress(traincast.TraincastError):
            channel.acts()[act]()

    state = {**channel.state, "version": Index(50, quietly), "training_info": info(a=9)}
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.load_state_dict(state)
        assert channel.writer.state_dict()["training_info"] == info(a=9)
    channel.check()


class Goes:
    """Acts when it goes."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def __del__(self) -> None:
        self.act()


def quiet(act: Act, seen: list[BaseException]) -> Act:
    """An act whose errors are clear ones, and which is not in the middle of itself."""
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


@contextlib.contextmanager
def collections(act: Act) -> Iterator[Callable[[], None]]:
    """The collector runs at every occasion, and calls."""

    def called(phase: str, _: Any) -> None:
        act()

    thresholds = gc.get_threshold()
    gc.callbacks.append(called)
    gc.set_threshold(1, 1, 1)
    try:
        yield lambda: None
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(called)


@contextlib.contextmanager
def garbage(act: Act) -> Iterator[Callable[[], None]]:
    """The collector runs at every occasion, and finds a cycle whose end runs code."""

    def litter() -> None:
        made = Goes(act)
        made.me = made  # type: ignore[attr-defined]  # the cycle

    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        yield litter
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()


@contextlib.contextmanager
def signals(act: Act) -> Iterator[Callable[[], None]]:
    before = signal.signal(signal.SIGALRM, lambda *_: act())
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        yield lambda: None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def imports(act: Act) -> Iterator[Callable[[], None]]:
    """Exceptions are looked up by an import."""
    real = builtins.__import__

    def hooked(*args: Any, **kwargs: Any) -> Any:
        act()
        return real(*args, **kwargs)

    builtins.__import__ = hooked
    try:
        yield lambda: None
    finally:
        builtins.__import__ = real


@contextlib.contextmanager
def threads(act: Act) -> Iterator[Callable[[], None]]:
    stop = threading.Event()

    def body() -> None:
        while not stop.is_set():
            act()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield lambda: None
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


AMBIENTS = {f.__name__: f for f in (collections, garbage, signals, imports, threads)}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("ambient", AMBIENTS)
def test_code_at_any_moment(channel_name: str, ambient: str, act: str) -> None:
    channel = Channel(channel_name)
    seen: list[BaseException] = []
    with AMBIENTS[ambient](quiet(channel.acts()[act], seen)) as litter:
        for turn in range(60):
            for call in channel.acts().values():
                if "close" in getattr(call, "__name__", ""):
                    continue
                litter()
                with contextlib.suppress(traincast.ChannelClosedError, traincast.UnsupportedTypeError):
                    call()
            with contextlib.suppress(traincast.ChannelClosedError):
                channel.writer.publish({STEPS: turn, f"new {turn}": {"x": [turn]}, "y": np.arange(turn)})
    assert seen == []
    channel.check()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", ["destructor", "weak reference", "key"])
def test_code_when_a_dictionary_goes(channel_name: str, how: str, act: str) -> None:
    """What a user has put into a dictionary goes with it: in the middle of the next read, or of a close."""
    channel = Channel(channel_name)
    seen: list[BaseException] = []
    run = quiet(channel.acts()[act], seen)
    for step in range(20):
        if "closed" in repr(channel.reader) or channel.writer.closed:
            break
        channel.writer.publish(info(a=step, deep={"x": step / 2}, list=[step]))
        try:
            read = channel.reader.read()
        except traincast.ChannelClosedError:
            assert act == "close the reader"
            break
        if how == "weak reference":
            thing = np.ndarray(1)
            watch = weakref.ref(thing, lambda _: run())
            read["mine"] = thing
            read["watch"] = watch
            del thing, watch
        else:
            read["mine" if how == "destructor" else Goes(run)] = Goes(run)
        del read
    channel.reader.close()
    assert seen == []
    channel.check()


FIRST_IMPORT = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {modules!r}:
            seen.append(name)
            for act in (lambda: writer.publish({{"approx_total_training_steps": 2}}), writer.state_dict,
                        lambda: writer.update(b=2), lambda: reader.read(), lambda: reader.changed(),
                        lambda: repr(writer), lambda: writer.version):
                act()
seen = []
for module in [name for name in sys.modules if name.split(".")[0] in {modules!r}]:
    del sys.modules[module]
sys.meta_path.insert(0, Finder())
writer = traincast.TrainingInfoWriter({name!r})
writer.publish({{"approx_total_training_steps": 1}})
reader = traincast.TrainingInfoReader({name!r})
reader.read()
"""


def test_code_of_an_import_hook(channel_name: str) -> None:
    """numpy is imported when a reader meets the first array, in the middle of the read."""
    with Process() as other, traincast.TrainingInfoWriter(f"{channel_name}-arrays") as writer:
        writer.publish(info(a=np.arange(3), b=np.float32(0.5)))
        other.run(FIRST_IMPORT.format(modules=("numpy",), name=channel_name))
        other.run(f"arrays = traincast.TrainingInfoReader({channel_name + '-arrays'!r})")
        assert other.value("arrays.read()['a'].tolist()") == [0, 1, 2]
        assert "numpy" in other.value("seen")
        assert other.value("writer.publish({'approx_total_training_steps': 3, 'a': arrays.read()['a']})") > 3
        assert other.value("reader.read()['a'].tolist()") == [0, 1, 2]


def test_versions_follow_the_order_of_the_stores(channel_name: str) -> None:
    channel = Channel(channel_name)
    versions = []
    made = items(lambda: versions.append(channel.writer.publish(info(a="inner"))))
    versions.append(channel.writer.publish(info(a=made)))
    assert versions == [3, 4]
    assert channel.reader.read() == info(a={"x": 3})


def test_shape_ids_are_unique_among_nested_publishes(channel_name: str) -> None:
    """A reader that knows a shape by its id never takes one for another."""
    channel = Channel(channel_name)
    for turn in range(200):
        inner, nested = {STEPS: turn, f"inner {turn % 7}": turn}, []

        def act(inner: Any = inner, nested: Any = nested) -> None:
            channel.writer.publish(inner)
            nested.append(channel.reader.read())

        outer = {STEPS: turn, f"outer {turn % 5}": items(act)}
        channel.writer.publish(outer)
        assert nested == [inner]
        assert channel.reader.read() == {STEPS: turn, f"outer {turn % 5}": {"x": 3}}
