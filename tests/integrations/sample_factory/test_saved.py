"""The file beside the checkpoints, and values as JSON."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from traincast.integrations.sample_factory import load_training_info
from traincast.integrations.sample_factory.plain import from_plain, to_plain
from traincast.integrations.sample_factory.saved import info_file, load_state, save_state

DTYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(),
    npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
    npst.byte_string_dtypes(min_len=1),
    npst.unicode_string_dtypes(min_len=1),
)
ARRAYS = DTYPES.flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0)))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    ARRAYS,
    ARRAYS.map(lambda a: a[()]),
)
KEYS = st.one_of(st.text(), st.integers(), st.just("$"))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(first: Any, second: Any) -> bool:
    """Equal in type and to the bit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray | np.generic):
        return (
            first.dtype == second.dtype
            and first.shape == second.shape
            and np.asarray(first).tobytes() == np.asarray(second).tobytes()
        )
    if isinstance(first, float):
        return struct.pack("d", first) == struct.pack("d", second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    return bool(first == second)


@given(VALUES)
def test_every_value_survives_json(value: Any) -> None:
    text = json.dumps(to_plain(value), allow_nan=False)
    assert same(from_plain(json.loads(text)), value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        -math.inf,
        struct.unpack("d", b"\1\0\0\0\0\0\xf4\x7f")[0],
        1 << 100_000,
        -(1 << 63),
        1 << 63,
    ],
    ids=["-0.0", "inf", "-inf", "nan-payload", "huge", "least", "just-too-big"],
)
def test_numbers_that_json_has_no_word_for(value: Any) -> None:
    assert same(from_plain(json.loads(json.dumps(to_plain(value), allow_nan=False))), value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_tensors(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape).to(dtype)
    back = from_plain(json.loads(json.dumps(to_plain(tensor))))
    assert back.dtype == dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


def test_plain_values_stay_readable() -> None:
    info = {"approx_total_training_steps": 4096, "reward_shaping": {"goal": 1.5}, "levels": ["a", None, True]}
    assert to_plain(info) == info


def test_a_type_that_a_channel_does_not_carry() -> None:
    with pytest.raises(TypeError, match="set is not supported"):
        to_plain([{1, 2}])


def test_arrays_of_objects_are_not_read() -> None:
    plain = {"$": "array", "dtype": "|O", "shape": [1], "base64": "AAAAAAAAAAA="}
    with pytest.raises(ValueError, match="objects"):
        from_plain(plain)


@pytest.fixture
def cfg(configuration: Any) -> Any:
    return configuration("--env=informed", "--experiment=here")


def test_nothing_saved(cfg: Any) -> None:
    assert load_state(cfg, 0) is None
    assert load_training_info(cfg) is None


def test_saved_and_loaded(cfg: Any) -> None:
    state = {"version": 7, "epoch": 2, "training_info": {"steps": (1, 2), 3: b"x"}}
    save_state(cfg, 1, state)
    assert load_state(cfg, 1) == state
    assert load_training_info(cfg, 1) == state["training_info"]
    assert load_training_info(cfg, 0) is None
    assert [path.name for path in Path(info_file(cfg, 1)).parent.iterdir()] == ["training_info.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"format": 99, "version": 1, "epoch": 1, "training_info": {}}',
        '{"format": 1, "version": "x", "epoch": 1, "training_info": {}}',
        '{"format": 1, "version": 1, "epoch": 1, "training_info": {"a": {"$": "pickle"}}}',
        '{"format": 1, "version": 1, "epoch": 1, "training_info": {"a": {"$": "array"}}}',
        '{"format": 1, "version": 1, "epoch": 1, "training_info": []}',
    ],
)
def test_a_damaged_file_is_named(cfg: Any, content: str) -> None:
    path = Path(info_file(cfg, 0))
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"training_info\.json does not hold saved training information .* remove it"
    ):
        load_training_info(cfg)


def test_a_failed_save_leaves_the_file_before_it(cfg: Any) -> None:
    state = {"version": 1, "epoch": 1, "training_info": {"steps": 1}}
    save_state(cfg, 0, state)
    with pytest.raises(TypeError):
        save_state(cfg, 0, state | {"training_info": {"steps": {1}}})
    assert load_state(cfg, 0) == state
    assert [path.name for path in Path(info_file(cfg, 0)).parent.iterdir()] == ["training_info.json"]
