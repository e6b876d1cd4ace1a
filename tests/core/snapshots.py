"""Snapshots for tests, and when two of them are the same."""

from __future__ import annotations

import struct
import sys
from typing import Any

import numpy as np

import traincast

STEPS = "approx_total_training_steps"


def info(**entries: Any) -> dict[str, Any]:
    """A snapshot with these entries."""
    return {STEPS: 0, **entries}


def round_trip(name: str, value: Any) -> Any:
    """The value as readers get it: built (small structures, and the first of every other), or copied."""
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(info(value=value))
        with traincast.TrainingInfoReader(name) as reader, traincast.TrainingInfoReader(name) as other:
            built = reader["value"]
            for padding in (0.5, 1.5):
                writer.publish({"padding": dict.fromkeys("abcdefgh", padding), **info(value=value)})
                assert_identical(reader["value"], built)
                assert_identical(other["value"], built)
            return built


def assert_identical(actual: Any, expected: Any, path: str = "info") -> None:
    """Same types, same order of keys, same bits."""
    # numpy has several classes for one dtype: `longlong` is `int64` as well.
    assert type(actual) is type(expected) or isinstance(expected, np.generic), path
    if isinstance(expected, dict):
        keys = list(expected)
        assert list(actual) == keys, path
        assert [type(key) for key in actual] == [type(key) for key in keys], path
        for key in keys:
            assert_identical(actual[key], expected[key], f"{path}[{key!r}]")
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), path
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_identical(one, other, f"{path}[{index}]")
    elif isinstance(expected, np.ndarray | np.generic):
        _assert_identical_arrays(actual, expected, path)
    elif type(expected) is float:
        assert struct.pack("<d", actual) == struct.pack("<d", expected), path
    elif "torch" in sys.modules and isinstance(expected, sys.modules["torch"].Tensor):
        assert_identical_tensors(actual, expected, path)
    else:
        assert actual == expected, path


def _assert_identical_arrays(actual: Any, expected: Any, path: str) -> None:
    assert isinstance(actual, np.ndarray) == isinstance(expected, np.ndarray), path
    assert actual.dtype == expected.dtype, path
    assert actual.dtype.str == expected.dtype.str, path  # equal dtypes may differ in byte order
    assert actual.shape == expected.shape, path
    if expected.dtype.char in "gG":  # their padding has no meaning
        assert np.array_equal(actual, expected, equal_nan=True), path
        assert np.array_equal(np.signbit(actual.real), np.signbit(expected.real)), path
    else:
        assert actual.tobytes() == expected.tobytes(), path


def assert_identical_tensors(actual: Any, expected: Any, path: str = "info") -> None:
    """Same dtype, shape and bits, on the CPU."""
    import torch

    assert actual.dtype == expected.dtype, path
    assert actual.shape == expected.shape, path
    assert actual.device == torch.device("cpu"), path
    assert actual.layout is torch.strided, path
    plain = expected.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if plain.numel():
        bits, wanted = (tensor.reshape(-1).view(torch.uint8) for tensor in (actual.contiguous(), plain))
        assert torch.equal(bits, wanted), path
