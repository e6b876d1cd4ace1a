"""What cannot be published is refused with a remedy, which follows from what its type can do."""

from __future__ import annotations

import argparse
import asyncio
import collections
import ctypes
import dataclasses
import datetime
import fractions
import functools
import io
import ipaddress
import itertools
import mmap
import multiprocessing
import operator
import pathlib
import random
import re
import sqlite3
import subprocess
import types
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import gymnasium
import msgspec
import numpy as np
import pydantic
import pytest
import scipy.sparse
import torch
from ids import shown
from snapshots import STEPS, assert_identical, info

import traincast
from traincast.curriculum import Linear


class Table:
    """As those of pandas, polars and xarray: an array, a dictionary, something to go through."""

    def to_numpy(self) -> np.ndarray[Any, Any]:
        return np.arange(2)

    def to_dict(self) -> dict[str, int]:
        return {"a": 1}

    def __iter__(self) -> Iterator[str]:
        return iter("a")


class Config:
    """As that of ml_collections: attributes, keys, and a method that makes it a dictionary."""

    def __getattr__(self, name: str) -> Any:
        return f"value of {name}"

    def __getitem__(self, key: str) -> int:
        return 1

    def keys(self) -> list[str]:
        return ["a"]

    def to_dict(self) -> dict[str, int]:
        return {"a": 1}


class Row:
    """As sqlite3's: keys and items, and no Mapping."""

    def __getitem__(self, key: Any) -> int:
        return 1

    def keys(self) -> list[str]:
        return ["a"]


class Indexed:
    """The protocol of sequences that is older than `Sequence`."""

    def __getitem__(self, index: int) -> int:
        return [1, 2][index]

    def __len__(self) -> int:
        return 2


class Container:
    def to_container(self) -> list[int]:
        return [1]


class Slots:
    __slots__ = ("a",)


class Plain:
    def __init__(self) -> None:
        self.a = 1


class Willing(Plain):
    """Answers to any name, as mocks do: its type is asked."""

    def __getattr__(self, name: str) -> Any:
        return f"value of {name}"


class Meta(type):
    def __getattr__(cls, name: str) -> Any:
        return f"value of {name}"


class OfWillingClass(Plain, metaclass=Meta):
    """Its class answers to any name."""


class Called(Plain):
    def __call__(self) -> int:
        return 1


class Array(Plain):
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("it was asked")


class Model(pydantic.BaseModel):
    a: int = 1


class Struct(msgspec.Struct):
    a: int = 1


class Index:
    def __index__(self) -> int:
        return 7


async def coroutine() -> int:
    return 1


async def stream() -> Any:
    yield 1


def row_of_a_database() -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row: sqlite3.Row = connection.execute("select 1 as a, 'b' as c").fetchone()
    return row


class Later:
    def __await__(self) -> Any:
        yield


LIST = "use list(...)"
SORTED = "use list(...), or sorted(...) for the same order each time"
FLOAT = "use float(...), or str(...) to keep every digit"
NAME = "publish its name"
REMEDIES: dict[str, tuple[Any, str]] = {
    # What can be gone through.
    "generator": ((i for i in "ab"), LIST),
    "map": (map(int, "12"), LIST),
    "zip": (zip("a", "b", strict=True), LIST),
    "filter": (filter(None, [1]), LIST),
    "enumerate": (enumerate("a"), LIST),
    "reversed": (reversed([1]), LIST),
    "endless": (itertools.count(), LIST),
    "dict keys": ({"a": 1}.keys(), LIST),
    "dict values": ({"a": 1}.values(), LIST),
    "dict items": ({"a": 1}.items(), LIST),
    "keys of a mapping": (collections.UserDict(a=1).keys(), LIST),
    "set": ({1}, SORTED),
    "frozenset": (frozenset("a"), SORTED),
    "old sequence": (Indexed(), LIST),
    "row": (Row(), "use dict(...)"),
    "asynchronous generator": (stream(), "use a list of what it yields"),
    "sparse matrix": (scipy.sparse.csr_matrix([[0.0, 1.0]]), "use .toarray()"),
    "row of a database": (row_of_a_database(), "use dict(...)"),
    "space": (gymnasium.spaces.Discrete(3), "use vars(...)"),
    # What says itself how to make it plain.
    "path": (pathlib.Path("x"), "use str(...)"),
    "pure path": (pathlib.PureWindowsPath("x"), "use str(...)"),
    "table": (Table(), "use .to_numpy()"),
    "configuration": (Config(), "use .to_dict()"),
    "container": (Container(), "use .to_container()"),
    "pydantic": (Model(), "use .model_dump()"),
    "msgspec": (Struct(), "use msgspec.structs.asdict(...)"),
    "module of torch": (torch.nn.Linear(1, 1), "use .state_dict()"),
    "optimizer": (torch.optim.SGD([torch.ones(1)]), "use .state_dict()"),
    "array": (Array(), "use numpy.asarray(...)"),
    # Attributes.
    "namespace of argparse": (argparse.Namespace(a=1), "use vars(...)"),
    "namespace": (types.SimpleNamespace(a=1), "use vars(...)"),
    "object with attributes": (Plain(), "use vars(...)"),
    "object that answers to any name": (Willing(), "use vars(...)"),
    "object whose class answers to any name": (OfWillingClass(), "use vars(...)"),
    "object with slots": (Slots(), "use a dictionary of its attributes"),
    # Times.
    "datetime": (datetime.datetime(2024, 2, 29), "use .isoformat(), or numpy.datetime64(...)"),
    "date": (datetime.date(2024, 2, 29), "use .isoformat(), or numpy.datetime64(...)"),
    "time": (datetime.time(12), "use .isoformat()"),
    "timedelta": (datetime.timedelta(1), "use .total_seconds(), or numpy.timedelta64(...)"),
    # Numbers.
    "Decimal": (Decimal("0.1"), FLOAT),
    "Fraction": (fractions.Fraction(1, 3), FLOAT),
    "index": (Index(), "use int(...)"),
    "complex": (1j, "use numpy.complex128(...), or a tuple of two floats"),
    "UUID": (uuid.UUID(int=1), "use int(...) or str(...)"),
    "address": (ipaddress.ip_address("::1"), "use int(...) or str(...)"),
    # Memory.
    "mmap": (mmap.mmap(-1, 8), "use bytes(...), or numpy.asarray(...) to keep its numbers"),
    "value of multiprocessing": (multiprocessing.Value("i", 3), "use .value"),
    "value of ctypes": (ctypes.c_double(0.5), "use .value"),
    "ctypes": ((ctypes.c_float * 2)(), "use bytes(...), or numpy.asarray(...) to keep its numbers"),
    # States of random numbers.
    "random": (random.Random(1), "use .getstate()"),
    "generator of numpy": (np.random.default_rng(1), "use .bit_generator.state"),
    "generator of torch": (torch.Generator(), "use .get_state()"),
    "dtype": (np.dtype("f4"), "use str(...)"),
    # What is called, waited for, read, raised.
    "function": (pytest.raises, NAME),
    "builtin function": (len, NAME),
    "lambda": (lambda: 1, NAME),
    "method": ("".join, NAME),
    "method of a class": (Config().keys, NAME),
    "class": (int, NAME),
    "partial": (functools.partial(int, "1"), "publish what it returns"),
    "getter": (operator.itemgetter(1), "publish what it returns"),
    "callable": (Called(), "publish what it returns"),
    "schedule": (Linear(0.0, 1.0, 10), "publish what it returns, or dataclasses.asdict(...)"),
    "awaitable": (Later(), "use await ..."),
    "file": (io.StringIO("x"), "use .read()"),
    "exception": (ValueError("x"), "use repr(...)"),
}


@pytest.mark.parametrize(("value", "remedy"), REMEDIES.values(), ids=REMEDIES)
@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: [{"b": (0, value)}]], ids=["flat", "deep"]
)
def test_the_error_names_the_remedy(channel_name: str, value: Any, remedy: str, wrap: Any) -> None:
    path = 'info["a"]' if wrap(0) == 0 else 'info["a"][0]["b"][1]'
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a="before"))
        for call in (lambda: writer.publish(info(a=wrap(value))), lambda: writer.update(a=wrap(value))):
            with pytest.raises(traincast.UnsupportedTypeError) as raised:
                call()
            assert str(raised.value) == f"{path}: {name} is not supported; {remedy}"
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a="before"))


CALLS = {
    "dataclasses.asdict(...)": dataclasses.asdict,
    "list(...)": list,
    "sorted(...)": sorted,
    "str(...)": str,
    "dict(...)": dict,
    "vars(...)": vars,
    "float(...)": float,
    "int(...)": int,
    "bytes(...)": bytes,
    "repr(...)": repr,
    "numpy.asarray(...)": np.asarray,
    "numpy.complex128(...)": np.complex128,
    "numpy.datetime64(...)": np.datetime64,
    "numpy.timedelta64(...)": np.timedelta64,
    "msgspec.structs.asdict(...)": msgspec.structs.asdict,
}
NOT_TRIED = {"endless", "row", "array", "space", "optimizer"}


@pytest.mark.parametrize(
    ("value", "remedy"),
    [each for name, each in REMEDIES.items() if name not in NOT_TRIED],
    ids=[name for name in REMEDIES if name not in NOT_TRIED],
)
def test_the_remedy_helps(channel_name: str, value: Any, remedy: str) -> None:
    calls = re.findall(
        r"(?<![\w.])((?:[a-z_0-9]+\.)*[a-z_0-9]+\(\.\.\.\)|\.[a-z_]+\(\)|(?:\.[a-z_]+)+$)", remedy
    )
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for call in calls:
            if call.startswith("."):
                made = operator.attrgetter(call[1:].removesuffix("()"))(value)
                made = made() if call.endswith("()") else made
            else:
                made = CALLS[call](value)
            writer.publish(info(a=made))


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged], ids=str)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_nested_tensor(channel_name: str, layout: Any) -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(
            traincast.UnsupportedTypeError, match=r'info\["a"\]: a nested .* use \.unbind\(\)'
        ):
            writer.publish(info(a=nested))
        writer.publish(info(a=nested.unbind()))
        assert [len(part) for part in traincast.TrainingInfoReader(channel_name)["a"]] == [2, 3]


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors:UserWarning")
def test_a_masked_tensor(channel_name: str) -> None:
    masked = torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False]))
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.UnsupportedTypeError, match="its mask would be lost; use"):
            writer.publish(info(a=masked))
        for made in (masked.to_tensor(0.0), masked.get_data(), masked.get_mask()):
            writer.publish(info(a=made))


def test_a_refused_iterator_or_file_is_not_consumed(channel_name: str) -> None:
    iterator, file = iter(range(3)), io.StringIO("text")
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for value in (iterator, file):
            with pytest.raises(traincast.UnsupportedTypeError):
                writer.publish(info(a=value))
    assert next(iterator) == 0
    assert file.read() == "text"


def test_a_refused_coroutine_can_still_be_awaited(channel_name: str) -> None:
    made = coroutine()
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        pytest.raises(traincast.UnsupportedTypeError, match=r"coroutine is not supported; use await \.\.\.$"),
    ):
        writer.publish(info(a=made))
    assert asyncio.run(made) == 1


class Point(NamedTuple):
    x: int


ROOTS: dict[str, tuple[Any, str]] = {
    "namespace": (argparse.Namespace(**info()), "argparse.Namespace; use vars(...)"),
    "empty namespace": (argparse.Namespace(), "argparse.Namespace; use vars(...)"),
    "SimpleNamespace": (types.SimpleNamespace(), "types.SimpleNamespace; use vars(...)"),
    "configuration": (Config(), f"{__name__}.Config; use .to_dict()"),
    "pydantic": (Model(), f"{__name__}.Model; use .model_dump()"),
    "namedtuple": (Point(1), f"{__name__}.Point; use ._asdict()"),
    "table": (Table(), f"{__name__}.Table; use .to_dict()"),
    "slots": (Slots(), f"{__name__}.Slots; use a dictionary of its attributes"),
    "module": (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear; use .state_dict()"),
    "row": (Row(), f"{__name__}.Row; use dict(...)"),
    "iterator": (iter([(STEPS, 1)]), "list_iterator"),
    "UserList": (collections.UserList(), "collections.UserList"),
    "Decimal": (Decimal(1), "decimal.Decimal"),
    "Fraction": (fractions.Fraction(1), "fractions.Fraction"),
    "range": (range(2), "range"),
    "array": (np.ones(2), "numpy.ndarray"),
    "tensor": (torch.ones(2), "torch.Tensor"),
    "path": (pathlib.PurePosixPath("x"), "pathlib.PurePosixPath"),
    "function": (len, "builtin_function_or_method"),
    "class": (Plain, "type"),
    "bool": (True, "bool"),
    "module of Python's": (types, "module"),
    "exception": (ValueError(), "ValueError"),
}


@pytest.mark.parametrize(("value", "sentence"), ROOTS.values(), ids=ROOTS)
def test_the_error_for_a_root_that_is_not_a_mapping_names_the_remedy(
    channel_name: str, value: Any, sentence: str
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.UnsupportedTypeError) as raised:
            writer.publish(value)
        assert str(raised.value) == f"info: a snapshot is a dictionary, not {sentence}"
        assert writer.version == 0


@pytest.mark.parametrize("value", [object(), ..., NotImplemented, types, subprocess], ids=shown)
def test_the_error_for_an_unknown_type_names_all_supported_types(channel_name: str, value: Any) -> None:
    sentence = (
        r"use numbers, str, bytes, list, tuple, dict, numpy arrays or torch tensors, "
        r"or open the writer with default=, a function that returns one of them$"
    )
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        pytest.raises(traincast.UnsupportedTypeError, match=sentence),
    ):
        writer.publish(info(a=value))
