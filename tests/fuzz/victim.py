"""A process that reads a channel under a memory limit, and reports the outcome of each read.

`python victim.py NAME ask`: a line of input is an order to read; a line of output is `ok` or an exception.
`python victim.py NAME run [whole]`: reads in every way until there is input; then a line of counts.
`whole`: each snapshot that it reads is checked for consistency.
"""

from __future__ import annotations

import collections
import json
import resource
import select
import sys
import warnings
from typing import Any

import numpy as np

import traincast

STEPS = "approx_total_training_steps"
SPARE = 512 << 20  # bytes of address space beyond what is mapped at the start
CLEAR = (traincast.CorruptChannelError, traincast.IncompatibleChannelError, traincast.ChannelNotFoundError)


def peak_mib() -> int:
    """The most memory that was resident since exec: `ru_maxrss` counts what the parent had, too."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmHWM:"))


def limit_memory() -> None:
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def use(value: Any) -> None:
    """Uses a value as users do, so that an invalid one does its harm here."""
    if isinstance(value, dict):
        for key, item in value.items():
            hash(key)
            use(item)
    elif isinstance(value, list | tuple):
        for item in value:
            use(item)
    elif isinstance(value, np.ndarray | np.generic):
        assert value.dtype.kind in "biufcmMSU" or value.dtype.type.__module__ == "ml_dtypes"
        assert not isinstance(value, np.ndarray) or not value.flags.writeable or value.dtype.kind == "f"
        if value.size < 5000 and sum(value.shape) < 5000:  # an empty array may have a long axis
            value.tolist()
            repr(value)
            _ = value == value
            value.copy()
            if value.dtype.type.__module__ == "ml_dtypes":
                value.astype(np.complex128)
            if value.dtype.kind in "mM":
                value.astype(value.dtype.str[:3])
    elif type(value).__module__ == "torch":
        value.clone()
        repr(value)
    else:
        repr(value)


def ask(name: str) -> None:
    reader = traincast.TrainingInfoReader(name)
    print("ready", flush=True)
    for _ in sys.stdin:
        try:
            use(reader.read())
            print("ok", flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {' '.join(str(error).split())}", flush=True)


def assert_whole(info: dict[str, Any]) -> None:
    info = {key: value for key, value in info.items() if key != "mended"}
    steps = info[STEPS]
    if len(info) == 1:
        return  # the writer's other structure
    assert info == {
        STEPS: steps,
        "text": str(steps) * (steps % 7),
        "list": [steps, (float(steps), str(steps)), None],
        "array": info["array"],
    }
    assert info["array"].tolist() == [steps] * 16


def assert_whole_value(path: str, value: Any) -> None:
    if path == "list" and value is not None:  # the writer's other structure has none
        assert value == [value[0], (float(value[0]), str(value[0])), None]
    elif path == STEPS:
        assert type(value) is int


def run(name: str, whole: bool) -> None:
    counts: collections.Counter[str] = collections.Counter()
    reader = traincast.TrainingInfoReader(name, attach_timeout=60)
    print("ready", flush=True)
    ways = [
        lambda: traincast.TrainingInfoReader(name).read(),
        lambda: reader.wait(0.001),
        lambda: (reader.changed(), reader.closed, reader.writer_alive, reader.age, reader.version),
        lambda: traincast._core.list_channels(),
    ]
    keys = [reader.key(path, default=None) for path in (STEPS, "list", "text", "array", "list.1.0")]
    turn = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        turn += 1
        try:
            info = reader.read()
            counts["reads"] += 1
            use(info)
            if whole:
                assert_whole(info)
            key = keys[turn % len(keys)]
            value = key()
            counts["values"] += 1
            use(value)
            if whole:
                assert_whole_value(str(key.path), value)
            if turn % 8 == 0:
                other = ways[turn // 8 % len(ways)]()
                if whole and isinstance(other, dict):
                    assert_whole(other)
                counts["others"] += 1
        except CLEAR as error:
            counts[type(error).__name__] += 1
        except SystemError:
            # numpy's error for characters beyond Unicode, in an array that was written into.
            assert not whole
            counts["SystemError"] += 1
    final = traincast.TrainingInfoReader(name).read()
    assert_whole(final)
    assert_whole(reader.read())
    assert [key() for key in keys[:3]] == [final[STEPS], final.get("list"), final.get("text")]
    counts["last"] = final[STEPS]
    counts["peak MiB"] = peak_mib()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # numpy warns of casts that overflow: they are its own
    limit_memory()
    if sys.argv[2] == "ask":
        ask(sys.argv[1])
    else:
        run(sys.argv[1], "whole" in sys.argv[3:])
