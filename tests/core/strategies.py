"""Arbitrary snapshots for hypothesis, and what may be done to them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from snapshots import STEPS

MOST_EXAMPLES = int(os.environ.get("TRAINCAST_TEST_EXAMPLES", "1000"))


def examples(count: int, **more: Any) -> settings:
    """Settings for this many examples, or fewer, where tests run a second time."""
    return settings(
        max_examples=min(count, MOST_EXAMPLES),
        deadline=None,
        # Each example has a channel name of its own, so a shared directory does no harm; time is not tested.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
        **more,
    )


integers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**100, -(10**100)]),
)
plain = st.one_of(
    st.none(), st.booleans(), integers, st.floats(), st.text(max_size=20), st.binary(max_size=20)
)  # st.floats() includes infinities, -0.0, denormals and NaNs of any payload
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.byte_string_dtypes(endianness="?", min_len=1, max_len=5),
    hnp.unicode_string_dtypes(endianness="?", min_len=1, max_len=5),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Any dtype, any bits, up to 3 axes; some of them views that step."""
    dtype = draw(dtypes)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    size = int(np.prod(shape, dtype=int))
    if dtype.kind in "bU":
        array = draw(hnp.arrays(dtype, shape))
    else:
        bits = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
        array = np.ndarray(shape, dtype, bits or b"\0" * dtype.itemsize)
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[:: draw(st.sampled_from([-1, 2]))]
    return array


@st.composite
def scalars(draw: st.DrawFn) -> np.generic:
    dtype = draw(dtypes)
    return draw(hnp.arrays(dtype, (1,)))[0]


keys = st.one_of(st.text(max_size=8), st.integers(-3, 3), integers)
leaves = st.one_of(plain, plain, arrays(), scalars())


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(keys, children, max_size=4),
    )


values = st.recursive(leaves, _containers, max_leaves=12)
entries = st.dictionaries(st.text(max_size=6), values, max_size=5)


@st.composite
def snapshots(draw: st.DrawFn) -> dict[Any, Any]:
    """A dictionary with the guaranteed key somewhere in it."""
    before = draw(st.dictionaries(keys, values, max_size=3))
    after = draw(st.dictionaries(keys, values, max_size=3))
    return {**before, STEPS: draw(integers), **after}


@st.composite
def runs(draw: st.DrawFn) -> list[dict[Any, Any]]:
    """Snapshots in sequence: the structure mostly stays, as in training, or changes, or comes back."""
    run = [draw(snapshots())]
    for _ in range(draw(st.integers(1, 6))):
        match draw(st.sampled_from(["same", "leaf", "new", "earlier"])):
            case "same":
                run.append({**run[-1], STEPS: draw(integers)})
            case "leaf":
                key = draw(st.sampled_from(list(run[-1])))
                run.append({**run[-1], key: draw(values)})
            case "new":
                run.append(draw(snapshots()))
            case "earlier":
                run.append({**draw(st.sampled_from(run))})
    return run


def independent(value: Any) -> Any:
    """A copy that shares nothing, in the form in which readers get the value."""
    match value:
        case dict():
            return {key: independent(item) for key, item in value.items()}
        case list():
            return [independent(item) for item in value]
        case tuple():
            return tuple(independent(item) for item in value)
        case np.ndarray():
            return np.array(value, order="C", copy=True, subok=False)
        case _:
            return value


def editable(value: Any) -> Iterator[Any]:
    """All objects in a snapshot that could be changed by whoever holds them."""
    match value:
        case dict():
            yield value
            for item in value.values():
                yield from editable(item)
        case list():
            yield value
            for item in value:
                yield from editable(item)
        case tuple():
            for item in value:
                yield from editable(item)
        case np.ndarray():
            yield value  # its data is read-only, but its shape and dtype can be assigned


def spoil(snapshot: Any) -> None:
    """Changes everything in it that can be changed."""
    for found in list(editable(snapshot)):
        match found:
            case dict():
                found.clear()
                found["spoilt"] = True
            case list():
                found[:] = ["spoilt"] * (len(found) + 1)
            case np.ndarray():
                with warnings.catch_warnings():  # numpy 2.5 deprecates it
                    warnings.simplefilter("ignore", DeprecationWarning)
                    found.shape = (*found.shape, 1)
