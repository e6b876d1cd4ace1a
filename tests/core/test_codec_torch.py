"""torch tensors: every dtype, every layout with plain memory; arrays of equal values without torch."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from processes import Process
from snapshots import assert_identical, assert_identical_tensors, info, round_trip

import traincast

NUMPY_DTYPES = [
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]
OTHER_DTYPES = [
    name
    for name in (
        "bfloat16",
        "complex32",
        "bcomplex32",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    )
    if hasattr(torch, name)
]
SHAPES = [(256,), (16, 4, 4), (), (0,), (2, 0, 3)]


def filled(name: str, *shape: int) -> torch.Tensor:
    """Every byte pattern, as far as the dtype allows."""
    dtype = getattr(torch, name)
    count = int(np.prod(shape, dtype=int))
    if dtype is torch.bool:
        return (torch.arange(count) % 3 == 0).reshape(shape)
    if not count:
        with warnings.catch_warnings():  # torch's own: complex32 is experimental
            warnings.simplefilter("ignore", UserWarning)
            return torch.empty(shape, dtype=dtype)
    size = count * dtype.itemsize
    codes = np.random.default_rng(3).permutation(np.arange(size) % 256).astype(np.uint8)
    return torch.from_numpy(codes).view(dtype).reshape(shape)


def test_every_dtype_of_torch_is_tested() -> None:
    """A new torch may bring new dtypes: each is carried or refused on purpose."""
    every = {
        str(dtype).removeprefix("torch.") for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)
    }
    unusual = {name for name in every if re.match(r"u?int[1-7]$|bits|qu?int|float4", name)}  # refused
    assert every - unusual == {*NUMPY_DTYPES, *OTHER_DTYPES}


@pytest.mark.parametrize("name", [*NUMPY_DTYPES, *OTHER_DTYPES])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_tensor_of_each_dtype_comes_back(channel_name: str, name: str, shape: tuple[int, ...]) -> None:
    tensor = filled(name, *shape)
    assert_identical(round_trip(channel_name, tensor), tensor)


base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
LAYOUTS = {
    "transposed": base.permute(2, 0, 1),
    "strided": base[:, ::2, 1:3],
    "expanded": torch.tensor([1.5, 2.5]).expand(3, 2),
    "offset": base[1, 1:],
    "channels last": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "0-d view": base[1, 2, 3],
    "strided bfloat16": base.to(torch.bfloat16)[:, :, ::3],
    "requires grad": torch.arange(3.0, requires_grad=True),
    "result of a graph": torch.arange(3.0, requires_grad=True) * 2,
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "conj view": torch.tensor([1 + 2j, 3 - 4j]).conj(),
    "imag of a conj view": torch.tensor([1 + 2j, 3 - 4j]).conj().imag,
    "strided complex32": filled("complex32", 4, 6)[:, ::2],
    "strided conj complex32": filled("complex32", 4, 6).T.conj(),
    "strided conj view": torch.tensor([[1 + 2j, 3 - 4j], [5j, 6]]).T.conj(),
    "inference tensor": torch.inference_mode()(lambda: torch.ones(3))(),
}


@pytest.mark.parametrize("tensor", LAYOUTS.values(), ids=LAYOUTS)
def test_a_tensor_of_any_layout_comes_back_contiguous(channel_name: str, tensor: torch.Tensor) -> None:
    back = round_trip(channel_name, tensor)
    assert_identical_tensors(back, tensor)
    assert type(back) is torch.Tensor
    assert not back.requires_grad
    assert back.is_contiguous()


def test_tensors_are_the_readers_own(channel_name: str) -> None:
    """They have no read-only flag, so each reader gets memory of its own."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=torch.zeros(4)))
        one, other = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        one["a"].fill_(7)
        assert torch.equal(other["a"], torch.zeros(4))
        assert torch.equal(traincast.TrainingInfoReader(channel_name)["a"], torch.zeros(4))
        writer.update(b=1)
        assert torch.equal(one["a"], torch.zeros(4))


def test_a_tensor_may_be_changed_after_the_publish(channel_name: str) -> None:
    tensor = torch.zeros(3)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=tensor))
        reader = traincast.TrainingInfoReader(channel_name)
        tensor.fill_(1)
        assert torch.equal(reader["a"], torch.zeros(3))


def test_update_keeps_tensors(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        snapshot = info(a=filled("bfloat16", 5), b=filled("complex32", 2, 2))
        writer.publish(snapshot)
        writer.update(c=1)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), {**snapshot, "c": 1})


REFUSED = {
    "sparse": (
        torch.eye(2).to_sparse(),
        "a tensor of layout torch.sparse_coo is not supported; use .to_dense()",
    ),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "a quantized tensor (torch.qint8) is not supported; use .dequantize() or .int_repr()",
    ),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "a nested tensor is not supported; use .unbind(), or .to_padded_tensor(...)",
    ),
    "jagged": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "a nested tensor is not supported; use .unbind(), or .to_padded_tensor(...)",
    ),
    "meta": (
        torch.empty(2, device="meta"),
        "a tensor on the meta device has no data; publish a real one",
    ),
    "sub-byte": (
        torch.empty(2, dtype=torch.uint8).view(torch.bits8),
        "a tensor of dtype torch.bits8 is not supported; convert it, for example with .to(torch.float32)",
    ),
}


@pytest.mark.filterwarnings("ignore:.*quantiz:DeprecationWarning")  # torch's own, about making such a tensor
@pytest.mark.filterwarnings("ignore:.*quantiz:UserWarning")
@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
@pytest.mark.parametrize(("tensor", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_unsupported_tensor_is_refused_with_the_remedy(
    channel_name: str, tensor: Any, sentence: str
) -> None:
    tensor = tensor() if not isinstance(tensor, torch.Tensor) else tensor
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=torch.ones(1)))
        reader = traincast.TrainingInfoReader(channel_name)
        with pytest.raises(
            traincast.UnsupportedTypeError, match=f'^{re.escape(f"""info["a"][0]: {sentence}""")}$'
        ):
            writer.publish(info(a=[tensor]))
        assert torch.equal(reader["a"], torch.ones(1))
        assert writer.publish(info(a=torch.ones(2))) == 2


NO_TORCH = "import sys; sys.modules['torch'] = None"


def expected_array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """What a reader without torch gets: numpy's dtype, else a wider one that holds each value."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name in NUMPY_DTYPES:
        return tensor.numpy()
    return tensor.to(torch.complex64 if tensor.is_complex() else torch.float32).numpy()


def test_a_reader_without_torch_gets_arrays(channel_name: str) -> None:
    tensors = {name: filled(name, 16, 16) for name in (*NUMPY_DTYPES, *OTHER_DTYPES)}
    tensors |= {f"0-d {name}": filled(name) for name in tensors}
    tensors |= {f"empty {name}": filled(name, 2, 0) for name in (*NUMPY_DTYPES, *OTHER_DTYPES)}
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(**tensors))
        other.run(NO_TORCH)
        arrays = other.value(f"traincast.TrainingInfoReader({channel_name!r}).read()")
        assert other.value("sys.modules['torch'] is None")
    assert list(arrays) == list(info(**tensors))
    for name, tensor in tensors.items():
        expected = expected_array(tensor)
        assert type(arrays[name]) is np.ndarray
        assert arrays[name].dtype == expected.dtype, name
        assert arrays[name].shape == expected.shape, name
        assert np.array_equal(arrays[name], expected, equal_nan=expected.dtype.kind in "fc"), name
        if expected.dtype.kind == "f":
            number = ~np.isnan(expected)
            assert np.array_equal(np.signbit(arrays[name])[number], np.signbit(expected)[number]), name


def test_arrays_without_torch_are_read_only(channel_name: str) -> None:
    tensors = {name: filled(name, 256) for name in (*NUMPY_DTYPES, *OTHER_DTYPES)}
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(**tensors))
        other.run(f"{NO_TORCH}\nread = traincast.TrainingInfoReader({channel_name!r}).read()")
        writeable = other.value(f"[name for name in {list(tensors)!r} if read[name].flags.writeable]")
    # Where numpy has the dtype the memory is shared by the readers; widened values are the reader's own.
    assert set(writeable) <= set(OTHER_DTYPES)


def test_a_reader_imports_torch_at_its_first_tensor(channel_name: str) -> None:
    """A reader imports it once it meets a tensor, as only then it is needed."""
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=1))
        other.run(
            f"import sys, warnings\nreader = traincast.TrainingInfoReader({channel_name!r})\nreader.read()"
        )
        assert not other.value("'torch' in sys.modules")
        other.run("warnings.simplefilter('default')")  # torch's import is not what is tested
        writer.publish(info(a=torch.arange(3)))
        assert other.value("str(reader['a'])") == "tensor([0, 1, 2])"


def test_a_writer_without_torch_passes_on_the_tensors_of_an_earlier_one(channel_name: str) -> None:
    """`update` after a takeover copies what it does not understand."""
    with Process() as first, Process() as second:
        first.run("import warnings; warnings.simplefilter('default')\nimport torch")
        first.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        first.run(f"writer.publish({info()!r} | dict(a=torch.arange(3).to(torch.bfloat16)))")
        first.kill()
        second.run(f"{NO_TORCH}\nwriter = traincast.TrainingInfoWriter({channel_name!r}); writer.update(b=2)")
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read, info(a=torch.arange(3).to(torch.bfloat16), b=2))
