"""Arrays and scalars of the dtypes of ml_dtypes, with and without the package at the reader."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from processes import Process
from snapshots import assert_identical, info, round_trip
from strategies import examples

import traincast

NAMES = [
    name for name, kind in vars(ml_dtypes).items() if isinstance(kind, type) and issubclass(kind, np.generic)
]


def filled(name: str, *shape: int) -> np.ndarray[Any, Any]:
    """Every byte."""
    dtype = np.dtype(getattr(ml_dtypes, name))
    count = int(np.prod(shape, dtype=int))
    return np.frombuffer((bytes(range(256)) * dtype.itemsize)[: count * dtype.itemsize], dtype).reshape(shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(256,), (4, 8), (), (0,), (2, 0, 3)], ids=str)
def test_an_array_of_each_dtype_comes_back(channel_name: str, name: str, shape: tuple[int, ...]) -> None:
    array = filled(name, *shape) if shape else filled(name, 1).reshape(())
    back = round_trip(channel_name, array)
    assert_identical(back, array)
    assert not back.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_a_scalar_of_each_dtype_comes_back(channel_name: str, name: str) -> None:
    scalars = list(filled(name, 256)[::5])
    back = round_trip(channel_name, scalars)
    assert_identical(back, scalars)
    assert {type(scalar) for scalar in back} == {getattr(ml_dtypes, name)}


@pytest.mark.parametrize(
    "step", [lambda a: a.T, lambda a: a[::2, ::-3], lambda a: np.broadcast_to(a[0], (5, 16))], ids=range(3)
)
def test_a_strided_array_comes_back(channel_name: str, step: Any) -> None:
    array = step(filled("bfloat16", 16, 16))
    assert_identical(round_trip(channel_name, array), np.ascontiguousarray(array))


numbers = itertools.count()


@examples(100)
@given(
    name=st.sampled_from(NAMES),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    data=st.data(),
)
def test_any_bits_come_back(
    channel_name: str, name: str, shape: tuple[int, ...], data: st.DataObject
) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    array = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)
    assert_identical(round_trip(f"{channel_name}-{next(numbers)}", array), array)


def test_dtypes_may_take_turns_under_one_key(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=0))
        reader = traincast.TrainingInfoReader(channel_name)
        for name in (*NAMES, *NAMES):
            for value in (filled(name, 9), filled(name, 9).astype(np.complex128), filled(name, 3)[2]):
                writer.publish(info(a=value))
                assert_identical(reader["a"], value)
                writer.update(b=value)
                assert_identical(reader.read(), info(a=value, b=value))


def test_arrays_of_another_byte_order_are_refused(channel_name: str) -> None:
    swapped = np.ones(2, np.dtype(ml_dtypes.bfloat16).newbyteorder())
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        pytest.raises(traincast.UnsupportedTypeError, match="is not supported"),
    ):
        writer.publish(info(a=swapped))


def test_a_dtype_with_an_ambiguous_type_string_comes_back(channel_name: str) -> None:
    """numpy has no `"<f1"`, but that is the type string of `float8_e5m2` in some versions."""
    assert np.dtype(ml_dtypes.float8_e5m2).str in ("<f1", "|f1", "<V1", "|V1")
    array = filled("float8_e5m2", 256)
    assert_identical(round_trip(channel_name, array), array)


NO_ML_DTYPES = "import sys; sys.modules['ml_dtypes'] = None; sys.modules['torch'] = None"
MISSING = "an array of {} needs ml_dtypes: pip install 'traincast[ml-dtypes]'"


@pytest.mark.parametrize(
    "value", [filled("float8_e4m3fn", 3), filled("float8_e4m3fn", 3)[1]], ids=["array", "scalar"]
)
def test_a_reader_without_the_package_is_told_to_install_it(channel_name: str, value: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=value, b=1))
        other.run(NO_ML_DTYPES)
        other.run(f"""
reader = traincast.TrainingInfoReader({channel_name!r})
said = []
for _ in range(3):
    try: reader.read()
    except ModuleNotFoundError as error: said.append((str(error), error.name))
""")
        assert other.value("said") == [(MISSING.format("float8_e4m3fn"), "ml_dtypes")] * 3
        writer.publish(info(a=1, b=2))
        assert other.value("reader.read()") == info(a=1, b=2)
        writer.publish(info(a=value, b=3))
        other.run("del sys.modules['ml_dtypes']")  # it was installed meanwhile
        assert other.value("reader.read()['b']") == 3
        assert other.value("str(reader['a'].dtype)") == "float8_e4m3fn"


def test_a_tensor_at_a_reader_without_torch_needs_the_package(channel_name: str) -> None:
    """All of them but bfloat16, whose values are halves of a float32."""
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=torch.ones(2, dtype=torch.bfloat16)))
        other.run(NO_ML_DTYPES)
        other.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
        assert other.value("reader['a'].tolist()") == [1.0, 1.0]
        writer.publish(info(a=torch.ones(2).to(torch.float8_e5m2)))
        other.run("try: reader.read()\nexcept ImportError as error: said = str(error)")
        assert other.value("said") == MISSING.format("float8_e5m2")


def test_passing_a_snapshot_on_does_not_need_the_package(channel_name: str) -> None:
    value = filled("float8_e4m3fn", 3)
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as relay:
        writer.publish(info(a=value, b=value[1]))
        relay.run(NO_ML_DTYPES)
        relay.run(f"relay = traincast.TrainingInfoWriter({channel_name + '-far'!r})")
        message = traincast.TrainingInfoReader(channel_name).read_wire()
        relay.run(f"relay.publish_wire({message!r}); relay.update(c=1)")
        read = traincast.TrainingInfoReader(f"{channel_name}-far").read()
        assert_identical(read, info(a=value, b=value[1], c=1))
        relay.run(
            f"try: traincast._core.decode_wire({message!r})\nexcept ImportError as error: said = str(error)"
        )
        assert relay.value("said") == MISSING.format("float8_e4m3fn")


def test_an_old_package_is_an_error_with_the_upgrade_command(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=filled("float8_e3m4", 3)))
        other.run("import ml_dtypes; del ml_dtypes.float8_e3m4")
        other.run(f"""
try: traincast.TrainingInfoReader({channel_name!r}).read()
except ImportError as error: said = str(error)
""")
        needed = "an array of float8_e3m4 needs a newer ml_dtypes: pip install --upgrade ml_dtypes"
        assert other.value("said") == needed


def test_the_package_is_loaded_only_by_a_reader_that_meets_its_dtypes(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=np.ones(2)))
        other.run(f"import sys\nreader = traincast.TrainingInfoReader({channel_name!r})\nreader.read()")
        assert not other.value("'ml_dtypes' in sys.modules")
        writer.publish(info(a=filled("bfloat16", 2)))
        assert other.value("reader['a'].shape") == (2,)
        assert other.value("'ml_dtypes' in sys.modules")
