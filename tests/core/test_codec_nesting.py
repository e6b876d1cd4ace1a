"""Whatever is published as another object, in any nesting: readers get the other."""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from snapshots import assert_identical, round_trip
from strategies import examples, integers, plain

Pair = dataclasses.make_dataclass("Pair", ["first", "second"])


class Items(Sequence[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def member(value: Any) -> Any:
    return enum.Enum("Made", {"ONE": value}).ONE  # type: ignore[attr-defined]


# Each as what is published, and what readers get.
both = st.one_of(
    plain.map(lambda value: (value, value)), st.binary().map(lambda data: (bytearray(data), data))
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=4)
    keys = st.one_of(st.text(max_size=4), integers)
    pairs = st.dictionaries(keys, inner, max_size=4)
    return st.one_of(
        items.map(lambda both: (collections.deque(one for one, _ in both), [other for _, other in both])),
        items.map(lambda both: (Items([one for one, _ in both]), [other for _, other in both])),
        items.map(lambda both: (tuple(one for one, _ in both), tuple(other for _, other in both))),
        st.tuples(inner, inner).map(
            lambda both: (Pair(both[0][0], both[1][0]), {"first": both[0][1], "second": both[1][1]})
        ),
        pairs.map(
            lambda both: (
                collections.UserDict({key: one for key, (one, _) in both.items()}),
                {key: other for key, (_, other) in both.items()},
            )
        ),
        inner.map(lambda both: (member(both[0]), both[1])),
    )


numbers = count()


@examples(200)
@given(st.recursive(both, grown, max_leaves=12))
def test_any_nesting(channel_name: str, both: tuple[Any, Any]) -> None:
    value, expected = both
    assert_identical(round_trip(f"{channel_name}-{next(numbers)}", value), expected)
