"""What a reader has handed out belongs to whoever holds it: nothing that is read later changes it.

Readers share what is immutable among their dictionaries, so these tests hold all sorts of parts of what they
read.
"""

from __future__ import annotations

import copy
import gc
import pickle
import random
import struct
import weakref
from typing import Any

import pytest
from snapshots import STEPS, assert_identical, info

import traincast

# Where an int gets another digit, and where the interpreter keeps a single object of each.
EDGES = [0, 5, 256, 257, 2**11, 2**15, 2**30, 2**31, 2**45, 2**60, 2**62]


def some_int(draw: random.Random) -> int:
    value = draw.choice(EDGES) + draw.randrange(-3, 4)
    return -value if draw.random() < 0.2 else value


def some_float(draw: random.Random) -> float:
    special = [0.0, -0.0, float("inf"), float("nan"), 5e-324]
    return draw.choice(special) if draw.random() < 0.2 else draw.uniform(-1e9, 1e9)


def snapshot(draw: random.Random, before: dict[str, Any]) -> dict[str, Any]:
    """Some leaves are those of the one before."""

    def leaf(path: str, make: Any) -> Any:
        seen[path] = before[path] if path in before and draw.random() < 0.3 else make(draw)
        return seen[path]

    seen: dict[str, Any] = {}
    made = {
        STEPS: leaf("steps", some_int),
        "flag": leaf("flag", lambda draw: draw.random() < 0.5),
        "shaping": {key: leaf(key, some_float) for key in "abcdefgh"},
        "counts": [leaf(f"count {index}", some_int) for index in range(4)],
        "pair": (leaf("left", some_float), leaf("right", some_int)),
        "deep": {"er": {"float": leaf("float", some_float), "int": leaf("int", some_int)}},
        "list": [{"x": leaf("x", some_float)}, (leaf("y", some_int), [leaf("z", some_float)])],
    }
    before.clear()
    before.update(seen)
    return made


def parts(value: Any) -> list[Any]:
    """It, and all that is in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [value, *(part for item in inner for part in parts(item))]


def sound(value: Any) -> None:
    """An int or float is what its digits say in every respect."""
    if type(value) is int:
        other = int(str(value))
        assert (value, hash(value), value.bit_length(), value + 1) == (
            other,
            hash(other),
            other.bit_length(),
            other + 1,
        )
        assert value is other or not -5 <= value <= 256, "the interpreter has a single object of small ints"
    elif type(value) is float and value == value:
        other = struct.unpack("<d", struct.pack("<d", value))[0]
        assert (repr(value), hash(value)) == (repr(other), hash(other))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("text", [None, "stage"], ids=["numbers", "and a string"])
def test_held_values_never_change(channel_name: str, seed: int, text: str | None) -> None:
    """Several readers, of which any may lag; dictionaries, parts of them and leaves are held for any time."""
    draw = random.Random(seed)
    before: dict[str, Any] = {}
    held: list[tuple[Any, Any]] = []
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        readers = [traincast.TrainingInfoReader(channel_name) for _ in range(3)]
        for _ in range(1500):
            made = snapshot(draw, before)
            if text is not None:
                made["text"] = text * draw.randrange(3)
            writer.publish(made)
            expected = pickle.loads(pickle.dumps(made))
            for reader in draw.sample(readers, draw.randrange(1, 4)):
                read = reader.read()
                assert_identical(read, expected)
                chosen = draw.choice([[], [0], range(len(parts(read))), [draw.randrange(len(parts(read)))]])
                pairs = list(zip(parts(read), parts(expected), strict=True))
                held += [pairs[index] for index in chosen]
                del read, pairs
            draw.shuffle(held)
            del held[draw.choice([0, 5, 50, 200]) :]
            for actual, wanted in held:
                assert_identical(actual, wanted)
                sound(actual)


@pytest.mark.parametrize("kept", range(4))
def test_kept_dictionaries_never_change(channel_name: str, kept: int) -> None:
    """As an env does that stores what it is given."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        last: list[tuple[int, dict[str, Any]]] = []
        for step in range(300):
            writer.publish({STEPS: 1_000_000 + step, "shaping": dict.fromkeys("abcdefgh", step + 0.5)})
            last.append((step, reader.read()))
            del last[: len(last) - kept]
            for at, read in last:
                assert read == {STEPS: 1_000_000 + at, "shaping": dict.fromkeys("abcdefgh", at + 0.5)}


def test_edits_stay_in_the_edited_dictionary(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader, other = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        for step in range(100):
            made = {
                STEPS: 10_000 + step,
                "shaping": dict.fromkeys("abcdefgh", step + 0.25),
                "list": [step / 7],
            }
            writer.publish(made)
            for one in (reader, other):
                read = one.read()
                assert_identical(read, made)
                read["shaping"]["a"] = read["shaping"].pop("b")
                read["list"].append(read[STEPS])
                read[STEPS] = None


class Reads:
    """Reads when it is destroyed, which happens in the middle of another read."""

    seen: list[dict[str, Any]]

    def __init__(self, reader: traincast.TrainingInfoReader, seen: list[dict[str, Any]]) -> None:
        self.reader, self.seen = reader, seen

    def __del__(self) -> None:
        self.seen.append(self.reader.read())


@pytest.mark.parametrize("who", ["itself", "another"])
def test_a_destructor_may_read_during_a_read(channel_name: str, who: str) -> None:
    """Releasing what a user has put into a dictionary may run any code."""
    seen: list[dict[str, Any]] = []
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader, other = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        for step in range(1, 100):
            made = {STEPS: 10_000 + step, "shaping": dict.fromkeys("abcdefgh", step + 0.125)}
            writer.publish(made)
            read = reader.read()
            assert_identical(read, made)
            for index in range(len(seen)):
                assert_identical(seen[index], made)
            assert len(seen) == min(step - 1, 1)
            seen.clear()
            read["mine"] = Reads(reader if who == "itself" else other, seen)
            del read
        assert reader.version == writer.version
        reader.read().clear()


def test_copies_made_by_the_copy_module_are_independent(channel_name: str) -> None:
    """A copy shares the numbers, and holds them as well."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        copies = []
        for step in range(100):
            writer.publish({STEPS: 1_000_000 + step, "shaping": dict.fromkeys("abcdefgh", step + 0.5)})
            read = reader.read()
            copies.append(copy.copy(read) if step % 2 else {**read["shaping"], STEPS: read[STEPS]})
        for step, one in enumerate(copies):
            assert one[STEPS] == 1_000_000 + step
            assert set((one["shaping"] if step % 2 else one).values()) - {one[STEPS]} == {step + 0.5}


class Probe:
    """Can be watched by a weak reference."""


@pytest.mark.parametrize("depth", range(4))
def test_the_garbage_collector_frees_cycles_through_dictionaries(channel_name: str, depth: int) -> None:
    """A cycle that a user makes is freed once nothing refers to it."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        for step in range(4):
            made: dict[str, Any] = {"leaf": 0.5, "other": {"leaf": 1.5}}
            for _ in range(depth):
                made = {"before": 1, "below": made, "after": 2.5}
            writer.publish({STEPS: step, **made})
            read = reader.read()
            inner, probe = read, Probe()
            while "below" in inner:
                inner = inner["below"]
            inner["other"]["cycle"], inner["other"]["probe"] = read, probe
            watched = weakref.ref(probe)
            writer.publish(info())
            reader.read()
            del read, inner, probe
            gc.collect()
            assert watched() is None


def test_a_reader_never_goes_back_after_a_newer_read_within_a_read(channel_name: str) -> None:
    """The inner read may find a newer snapshot than the outer one: a reader never goes back."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)

        class Publishes:
            def __del__(self) -> None:
                writer.publish(info(values=[0.5, 2]))
                inner.append(reader.read())

        inner: list[dict[str, Any]] = []
        for _ in range(5):
            reader.read()["mine"] = Publishes()
            writer.publish(info(values=[0.25, 1]))
            read = reader.read()
            assert_identical(read, info(values=[0.5, 2]))
            assert read is reader.read()
            assert read is inner.pop()
            assert reader.version == writer.version
            del read  # or it would be released later, not within the next read


MADE: dict[str, Any] = {
    "numbers": {"a": 1.5, "b": 10**6},
    "list": [10**7, {"deep": [2.5, "text"]}],
    "tuples": (1.5, ("x", 10**8)),
}


@pytest.mark.parametrize("few", [False, True], ids=["all new", "few new"])
def test_the_garbage_collector_does_not_list_private_copies(channel_name: str, few: bool) -> None:
    """Private copies are not among the objects that the garbage collector lists."""
    gc.collect()
    gc.freeze()  # what was there before is of no interest, and much
    try:
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info())
            reader = traincast.TrainingInfoReader(channel_name)
            for step in range(8):
                made = info(mark=1, step=step, **copy.deepcopy(MADE), other={} if few else {"x": step + 0.5})
                writer.publish(made)
                read = reader.read()
            mine = [*parts(made), *parts(read)]
            found = [each for each in gc.get_objects() if type(each) is dict and "mark" in each]
            assert [each for each in found if each is not made and each is not read] == []
            for part in parts(read):
                holders = [each for each in gc.get_referrers(part) if type(each) in (dict, list)]
                inside = [each for each in holders if each is not mine and any(each is one for one in mine)]
                assert len(holders) - len(inside) <= 3  # this list, and what the test itself holds
    finally:
        gc.unfreeze()


def test_a_collection_during_a_read_never_shows_a_template(channel_name: str) -> None:
    """A collection in the middle of a read (CPython 3.11) shows what is being built: never a template."""
    held: list[tuple[dict[Any, Any], str]] = []

    def look(phase: str, _: Any) -> None:
        for each in gc.get_objects(0) if phase == "start" else ():
            if type(each) is dict and "mark" in each and each is not made:
                held.append((each, ""))

    made: dict[str, Any] = {}
    with traincast.TrainingInfoWriter(channel_name) as writer:
        made |= info(mark=1, **{f"k{index}": float(index) for index in range(6)}, d={"x": 1.5})
        writer.publish(made)
        reader = traincast.TrainingInfoReader(channel_name)
        thresholds = gc.get_threshold()
        gc.callbacks.append(look)
        gc.set_threshold(1)
        try:
            for step in range(20):
                made["k0"] = step / 2
                writer.publish(made)
                held.append((reader.read(), ""))
                held[:] = [(each, before or repr(each)) for each, before in held]
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(look)
        assert [before for each, before in held if repr(each) != before] == []


def test_readers_and_writers_take_part_in_garbage_collection(channel_name: str) -> None:
    """They can be watched by weak references, and no cycle through them is kept."""

    class Key(str):
        owner: Any

    watched = []
    for turn in range(3):
        writer = traincast.TrainingInfoWriter(f"{channel_name}-{turn}", required=(Key("k"),))
        key = Key("k")
        key.owner = writer
        for _ in range(3):
            writer.publish({key: 1.0, "b": 2})
            writer.update(**{key: 2.0})
        reader = traincast.TrainingInfoReader(writer.name)
        reader.read()["me"] = reader
        watched += [weakref.ref(each) for each in (key, writer, reader)]
        del writer, reader, key
    gc.collect()
    assert [ref() for ref in watched] == [None] * 9
