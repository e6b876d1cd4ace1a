"""Python code of others that runs at any moment: collections, signals, imports, threads, destructors.

As in `test_code_in_between`, it comes back to the same objects.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from meddling import ACTS, Act, Channel, Goes, quiet
from processes import Process
from snapshots import STEPS, info

import traincast


@contextlib.contextmanager
def collections(act: Act) -> Iterator[Callable[[], None]]:
    """The garbage collector runs at every opportunity, and its callback acts."""

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
    """The garbage collector runs at every opportunity, and finds a cycle whose finalizer acts."""

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
    signal.signal(signal.SIGALRM, lambda *_: act())
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        yield lambda: None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        # One more may be on its way to another thread, and CPython reports it if it has no handler then.
        signal.signal(signal.SIGALRM, lambda *_: None)


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
    """What a user put into a dictionary is destroyed with it: within the next read, or within a close."""
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
