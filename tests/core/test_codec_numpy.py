"""numpy arrays and scalars: same dtype, same shape, same bits, read-only."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from snapshots import assert_identical, info, round_trip

import traincast

SIMPLE = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
NUMERIC = [*SIMPLE, *(f">{code}" for code in SIMPLE[3:]), *"qQlLgG"]
TIMES = [
    f"{kind}8[{unit}]" for kind in "mM" for unit in ("Y", "M", "D", "h", "s", "ms", "us", "ns", "as", "25s")
]
TEXTS = ["S1", "S7", "S8", "S100", "U1", "U7", ">U3", "S0", "U0"]
DTYPES = [*NUMERIC, *TIMES, "m8", ">m8[s]", ">M8[us]", *TEXTS]


def filled(dtype: Any, *shape: int) -> np.ndarray[Any, Any]:
    """An array with every byte set, as far as the dtype allows: NaN payloads, denormals, NaT."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.kind == "U":
        texts = ["aé€\U0001f40d"[: dtype.itemsize // 4 or 1] * (index % 3) for index in range(count)]
        return np.array(texts, dtype).reshape(shape)
    if dtype.char in "gG":
        return np.linspace(-1, 1, count).astype(dtype).reshape(shape) / 3
    if dtype.kind == "b":
        return (np.arange(count) % 3 == 0).reshape(shape)
    data = np.random.default_rng(7).bytes(count * dtype.itemsize)
    return np.ndarray(shape, dtype, data or b"\0").copy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 2, 1, 2), (), (0,), (3, 0, 2)], ids=str)
def test_an_array_of_each_dtype_comes_back(channel_name: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = filled(dtype, *shape)
    assert_identical(round_trip(channel_name, array), array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scalar_of_each_dtype_comes_back(channel_name: str, dtype: str) -> None:
    for scalar in filled(dtype, 4):
        assert_identical(round_trip(channel_name, scalar), scalar)


def test_scalars_keep_their_classes(channel_name: str) -> None:
    """`np.float64` is also a `float`, `np.str_` a `str`, `np.bytes_` a `bytes`: they stay what they were."""
    scalars = [
        np.float64("nan"),
        np.float64(-0.0),
        np.str_("text"),
        np.bytes_(b"bytes"),
        np.bool_(True),
        np.longdouble("0.1"),
        np.clongdouble(0.1 - 1j),
        np.datetime64("2024-02-29T12:00", "m"),
        np.datetime64("NaT", "s"),
        np.timedelta64(-3, "W"),
        np.intc(1),
        np.int64(2),
        np.str_(""),
        np.bytes_(b""),
        np.uint8(255),
        np.half(0.1),
    ]
    back = round_trip(channel_name, scalars)
    for one, other in zip(back, scalars, strict=True):
        assert_identical(one, other)
        assert type(one) is type(other)


def test_python_and_numpy_numbers_may_take_turns(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(x=1.0))
        reader = traincast.TrainingInfoReader(channel_name)
        for x in (1.0, np.float64(1.0), np.float32(1.0), 1, np.int64(1), True, np.bool_(True), 1.0):
            writer.publish(info(x=x))
            assert_identical(reader["x"], x)


base = np.arange(60, dtype=np.int32).reshape(3, 4, 5)
LAYOUTS = {
    "fortran": np.asfortranarray(base),
    "transposed": base.T,
    "strided": base[::2, 1:3, ::-2],
    "negative stride": base[::-1],
    "broadcast": np.broadcast_to(np.float32(1.5), (4, 3)),
    "broadcast rows": np.broadcast_to(np.arange(3), (4, 3)),
    "column": base[:, 1, 2],
    "swapped bytes, strided": base.astype(">i4")[:, ::2],
    "unaligned": np.frombuffer(b"\0" + bytes(range(24)), np.float64, 3, offset=1),
    "field": np.array([(1, 2.5), (3, 4.5)], [("a", "i2"), ("b", "f8")])["b"],
    "read-only": np.frombuffer(b"12345678", np.int64),
    "0-d view": base[1, 2, 3, ...],
    "0-d fortran": np.asfortranarray(np.float64(2)),
    "empty, strided": base[::2, 4:],
    "many dimensions": np.arange(4).reshape((1,) * 14 + (4,) + (1,) * 17),
    "subclass": np.arange(6).view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_an_array_of_any_layout_comes_back_contiguous(channel_name: str, array: np.ndarray[Any, Any]) -> None:
    back = round_trip(channel_name, array)
    assert type(back) is np.ndarray
    assert_identical(back, np.ascontiguousarray(array).reshape(array.shape).view(np.ndarray))
    assert back.flags.c_contiguous


@pytest.mark.parametrize(
    "array", [np.arange(5), np.array(1.5), np.zeros((0, 3)), np.array(["a", "bc"])], ids=repr
)
def test_arrays_are_read_only(channel_name: str, array: np.ndarray[Any, Any]) -> None:
    """Readers of one process share the bytes, so there is no way to make them writeable."""
    back = round_trip(channel_name, array)
    assert not back.flags.writeable
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True of this array"):
        back.flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        back[...] = array
    if array.size:
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True of this array"):
            back.view().setflags(write=True)
        view = memoryview(back) if array.dtype.kind != "U" else memoryview(back.view(np.uint8))
        assert view.readonly
    assert back.copy().flags.writeable


def test_arrays_are_aligned_to_cache_lines(channel_name: str) -> None:
    """To a cache line, whatever stands before them."""
    value = {f"{i}": ("x" * i, np.arange(i + 1, dtype=np.float64)) for i in range(20)}
    for _, array in round_trip(channel_name, value).values():
        assert array.flags.aligned
        assert array.ctypes.data % 64 == 0


def test_arrays_outlive_their_reader_and_writer(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=np.arange(1000)))
        reader = traincast.TrainingInfoReader(channel_name)
        kept = [reader["a"]]
        for i in range(1, 50):
            writer.publish(info(a=np.arange(1000) + i))
            kept.append(reader["a"])
        reader.close()
    for i, array in enumerate(kept):
        assert np.array_equal(array, np.arange(1000) + i)


def test_an_array_may_change_its_length_and_dtype(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=np.zeros(1)))
        reader = traincast.TrainingInfoReader(channel_name)
        for length in (0, 1, 3, 1000, 2, 0):
            for dtype in ("f8", "f4", ">i2", "U3"):
                array = filled(dtype, length)
                writer.publish(info(a=array, behind=("text", length)))
                assert_identical(reader.read(), info(a=array, behind=("text", length)))


def test_an_array_may_be_changed_after_the_publish(channel_name: str) -> None:
    array = np.zeros(3)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=array))
        reader = traincast.TrainingInfoReader(channel_name)
        array[:] = 1
        assert_identical(reader["a"], np.zeros(3))


STRUCTURED = np.dtype([("x", "f4"), ("y", "i4")])
REFUSED = {
    "object array": (
        np.array([object()]),
        "an array of dtype object is not supported; use a list, or an array of numbers or strings",
    ),
    "empty object array": (
        np.array([], object),
        "an array of dtype object is not supported; use a list, or an array of numbers or strings",
    ),
    "structured array": (
        np.zeros(2, STRUCTURED),
        f"an array of the structured dtype {STRUCTURED} is not supported; use a dictionary of arrays",
    ),
    "record array": (
        np.zeros(2, STRUCTURED).view(np.recarray),
        f"an array of the structured dtype {np.dtype((np.record, STRUCTURED))} is not supported; "
        "use a dictionary of arrays",
    ),
    "structured scalar": (
        np.zeros(1, STRUCTURED)[0],
        f"a scalar of the structured dtype {STRUCTURED} is not supported; use a dictionary of arrays",
    ),
    "void array": (
        np.zeros(2, "V3"),
        f"an array of dtype {np.dtype('V3')} is not supported; use a list, or an array of numbers or strings",
    ),
    "void scalar": (
        np.void(b"abc"),
        f"a scalar of dtype {np.dtype('V3')} is not supported; use a list, or an array of numbers or strings",
    ),
    "masked array": (
        np.ma.array([1, 2], mask=[0, 1]),
        "a masked array is not supported, since its mask would be lost; use .filled() or .data and .mask",
    ),
}
if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
    REFUSED["variable-length strings"] = (
        np.array(["a", "bcd"], np.dtypes.StringDType()),
        f"an array of dtype {np.dtypes.StringDType()} is not supported; use .astype(str)",
    )


@pytest.mark.parametrize(("value", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_unsupported_array_is_refused_with_the_remedy(
    channel_name: str, value: Any, sentence: str
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=np.arange(3)))
        reader = traincast.TrainingInfoReader(channel_name)
        with pytest.raises(
            traincast.UnsupportedTypeError, match=f'^{re.escape(f"""info["a"][1]: {sentence}""")}$'
        ):
            writer.publish(info(a=[0, value]))
        assert_identical(reader["a"], np.arange(3))
        writer.publish(info(a=np.arange(4)))
        assert_identical(reader["a"], np.arange(4))


def test_the_masked_constant_is_refused(channel_name: str) -> None:
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        pytest.raises(traincast.UnsupportedTypeError, match=r'^info\["a"\]: a masked array is not supported'),
    ):
        writer.publish(info(a=np.ma.masked))
