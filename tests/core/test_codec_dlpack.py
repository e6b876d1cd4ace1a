"""Arrays of other packages, which lend their memory by DLPack: they come back as numpy's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import Process
from snapshots import assert_identical, info, round_trip

import traincast


class Lends:
    """An array of which nothing is known but that it has `__dlpack__`."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class Device(Lends):
    """One that lies in the memory of an accelerator, and is copied on request."""

    def __dlpack__(self, *, dl_device: Any = None, copy: Any = None, **options: Any) -> Any:
        if dl_device != (1, 0):
            raise BufferError("it lies elsewhere")
        return self._array.copy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class Owner(Device):
    """As that of CuPy: neither lends nor converts by itself, and says what to do."""

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("it lies elsewhere")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("use .get()")


JAX_DTYPES = "bool int8 uint8 int16 uint16 int32 uint32 float16 float32 bfloat16 complex64 float8_e4m3fn int4"


@pytest.fixture(scope="module")
def with_jax() -> Iterator[Process]:
    """A process of its own: JAX has threads, and warns whoever forks from then on."""
    with Process(environment={"JAX_PLATFORMS": "cpu"}) as process:
        process.run("import jax, jax.numpy as jnp, numpy as np")
        yield process


@pytest.fixture
def learner(with_jax: Process, channel_name: str, traincast_dir: Path) -> Iterator[Process]:
    """It publishes with JAX."""
    with_jax.run(f"os.environ['TRAINCAST_DIR'] = {str(traincast_dir)!r}")
    with_jax.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}); writer.publish({info()!r})")
    yield with_jax
    with_jax.run("writer.close()")


@pytest.mark.parametrize("dtype", JAX_DTYPES.split())
def test_an_array_of_jax_comes_back_as_numpys(channel_name: str, learner: Process, dtype: str) -> None:
    for shape in [(3,), (2, 2), (), (0,), (2, 0)]:
        learner.run(f"a = jnp.arange({int(np.prod(shape))}).reshape({shape}).astype({dtype!r})")
        learner.run(f"writer.publish({info()!r} | dict(a=a, tree=[a.T, {{'b': (a,)}}]))")
        a = learner.value("np.asarray(a)")
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read, info(a=a, tree=[np.ascontiguousarray(a.T).reshape(a.T.shape), {"b": (a,)}]))
        assert not read["a"].flags.writeable


JAX_ERRORS = {
    "deleted": ("jnp.ones(4)", "value.delete()", "RuntimeError", "has been deleted"),
    "traced": ("jnp.ones(4)", "publish = jax.jit(publish)", "TracerArrayConversionError", "traced array"),
    "random keys": (
        "jax.random.key(0)",
        "",
        "UnsupportedTypeError",
        "is not supported; use numpy.asarray(...)",
    ),
    "compiled function": ("jax.jit(abs)", "", "UnsupportedTypeError", "is not supported; publish its name"),
}


@pytest.mark.parametrize(("value", "prepare", "kind", "sentence"), JAX_ERRORS.values(), ids=JAX_ERRORS)
def test_what_jax_cannot_export_is_an_error(
    learner: Process, value: str, prepare: str, kind: str, sentence: str
) -> None:
    learner.run(f"""
def publish(value):
    writer.publish({info()!r} | dict(a=[value]))
    return value
value = {value}
{prepare}
try: publish(value)
except Exception as error: said = type(error).__name__, str(error), getattr(error, "__notes__", [])
""")
    name, text, notes = learner.value("said")
    assert name == kind
    assert sentence in text
    assert 'info["a"][0]' in text or 'while publishing info["a"][0]' in notes
    assert learner.value("writer.version") == 1


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6)[::-2],
        np.arange(6).reshape(2, 3).T,
        np.zeros((0, 2), np.int8),
        torch.arange(3),
    ],
    ids=["2-d", "steps", "transposed", "empty", "of torch"],
)
@pytest.mark.parametrize("kind", [Lends, Device])
def test_any_object_with_dlpack_is_published_as_an_array(channel_name: str, array: Any, kind: Any) -> None:
    if kind is Device and isinstance(array, torch.Tensor):
        array = array.numpy()
    assert_identical(round_trip(channel_name, kind(array)), np.ascontiguousarray(array))


def test_an_array_may_be_changed_after_the_publish(channel_name: str) -> None:
    memory = np.zeros(3)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=Lends(memory)))
        memory[:] = 1
        assert_identical(traincast.TrainingInfoReader(channel_name)["a"], np.zeros(3))


def test_an_error_of_the_object_passes_through(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        for value, kind, sentence in (
            (Owner(np.ones(2)), TypeError, r"use \.get\(\)"),
            (Lends(None), AttributeError, "__dlpack"),
        ):
            with pytest.raises(kind, match=sentence) as raised:
                writer.publish(info(a=[value]))
            assert raised.value.__notes__ == ['while publishing info["a"][0]']
        assert writer.version == 1


def test_a_reader_needs_no_jax(channel_name: str, learner: Process) -> None:
    learner.run(f"writer.publish({info()!r} | dict(a=jnp.arange(3), b=jnp.ones(2, jnp.bfloat16)))")
    with Process() as other:
        other.run("import sys; sys.modules['jax'] = sys.modules['torch'] = None")
        read = other.value(f"traincast.TrainingInfoReader({channel_name!r}).read()")
    assert_identical(read, info(a=np.arange(3, dtype=np.int32), b=learner.value("np.ones(2, jnp.bfloat16)")))
