"""Keys follow their channel: into bigger files, to other writers, through kills and forks, beside threads."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import Process, forked
from snapshots import STEPS, assert_identical, info

import traincast
from traincast import _core

SETTLED = 0.05  # it looks for the successor of a file that has ended every 10 ms


def test_a_key_follows_into_a_bigger_file(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(info(a=0, b="0"))
        reader = traincast.TrainingInfoReader(channel_name)
        number, text = reader.key("a"), reader.key("b")
        assert (number(), text()) == (0, "0")
        for i, size in enumerate((10**4, 10**5, 10**6, 10), start=1):
            writer.publish(info(a=i, b=str(i), large=bytes(size)))
            assert (number(), text()) == (i, str(i))
            assert number.version == text.version == 2 * i
            writer.publish(info(a=-i, b=str(-i), large=bytes(size)))
            assert (number(), text()) == (-i, str(-i))


@pytest.mark.parametrize("leftover", ["continue", "replace"])
def test_a_key_follows_a_takeover(channel_name: str, leftover: str) -> None:
    keys: list[Any] = []
    for life in range(4):
        with Process() as learner:
            learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}, leftover={leftover!r})")
            for i in range(3):
                learner.call("writer.publish", info(value=[life, i], number=life * 10 + i))
                if not keys:
                    reader = traincast.TrainingInfoReader(channel_name)
                    keys = [reader.key("value"), reader.key("number")]
                time.sleep(SETTLED)
                assert [key() for key in keys] == [[life, i], life * 10 + i]
        assert [key() for key in keys] == [[life, 2], life * 10 + 2]  # the learner is dead


def test_a_key_follows_into_the_next_life_of_its_channel(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        key = traincast.TrainingInfoReader(channel_name).key("a")
        assert key() == 1
    assert key() == 1
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=2))  # the same version as before
        time.sleep(SETTLED)
        assert key() == 2


@pytest.mark.parametrize("number", [True, False])
def test_a_key_finds_the_new_file_after_somebody_removed_the_old_one(channel_name: str, number: bool) -> None:
    def life(i: int) -> dict[str, Any]:
        return info(life=i if number else str(i))

    with Process() as first, Process() as second:
        first.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        first.call("writer.publish", life(1))
        key = traincast.TrainingInfoReader(channel_name).key("life")
        assert key() == life(1)["life"]
        for file in Path(_core.directory()).glob(f"{channel_name}@*"):
            file.unlink()
        second.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        second.call("writer.publish", life(2))
        time.sleep(1.2)  # it looks at the name once a second
        assert any(key() == life(2)["life"] for _ in range(16))
        second.call("writer.publish", life(3))
        assert key() == life(3)["life"]


def test_a_key_finds_its_value_in_shapes_that_take_turns(channel_name: str) -> None:
    rng = random.Random(7)
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        writer.publish({"x": {"y": -1}})
        reader = traincast.TrainingInfoReader[Any](channel_name)
        key, default = reader.key("x.y", default="none"), reader.key("x.y", default="none")
        for i in range(600):
            value = rng.choice([i, i + 0.5, str(i), [i], None, True, 2**64 + i])
            entries = [(f"k{j}", rng.choice([i, "text", [1, 2], {"y": 0}])) for j in range(rng.randrange(12))]
            has = rng.random() < 0.9
            entries.append(("x", {"z": i, "y": value} if has else {"z": value}))
            rng.shuffle(entries)
            writer.publish(dict(entries))
            if rng.random() < 0.3:
                reader.read()
            if rng.random() < 0.8:
                assert_identical(key(), value if has else "none")
                assert key.version == i + 2
            assert_identical(default(), reader.read()["x"].get("y", "none"))


PAIRS = """
def publish(count, size=0):
    start = writer.version
    for i in range(start + 1, start + count + 1):
        fill = {"fill": bytes(size and i * 7 % size), **{f"k{j}": i for j in range(i % 3)}}
        value = {"pair": [i, -i], "nested": {"n": float(i)}, "text": str(i)}
        writer.publish({"approx_total_training_steps": i, **value, **fill})
"""


def watch(reader: traincast.TrainingInfoReader[Any], stop: threading.Event, seconds: float) -> int:
    """Calls keys: no value is older than the one before, none is mixed, each is its version's own."""
    steps, pair = reader.key(STEPS), reader.key("pair")
    number, text = reader.key("nested.n"), reader.key(("text",))
    seen = calls = 0
    until = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < until:
        for key in (steps, pair, number, text):
            value = key()
            if key is pair:
                one, other = value
                assert other == -one
                value = one
            assert int(value) == key.version
            assert int(value) >= seen, (key, value, seen)
            seen = int(value)
            calls += 1
    return calls


@pytest.mark.parametrize("size", [0, 200_000], ids=["small", "growing"])
def test_values_never_go_back_and_are_never_mixed(channel_name: str, size: int) -> None:
    with Process() as learner:
        learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}, capacity=4096){PAIRS}")
        learner.run("publish(1)")
        reader = traincast.TrainingInfoReader(channel_name)
        learner.start(f"publish({2_000 if size else 100_000}, {size})")
        assert watch(reader, threading.Event(), 1.5) > 100
        learner.finish()
        assert reader.key(STEPS)() == learner.value("writer.version")


def test_a_key_follows_a_learner_that_is_killed_again_and_again(channel_name: str) -> None:
    rng = random.Random(3)
    reader = None
    for _ in range(6):
        with Process() as learner:
            learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}, capacity=4096){PAIRS}")
            learner.run("publish(1)")
            if reader is None:
                reader = traincast.TrainingInfoReader(channel_name)
            learner.start("publish(10**9, 3000)")
            killer = threading.Timer(rng.uniform(0.02, 0.2), learner.kill)
            killer.start()
            watch(reader, threading.Event(), 0.3)
            killer.join()


def test_many_threads_may_share_a_key(channel_name: str) -> None:
    with Process() as learner:
        learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}){PAIRS}")
        learner.run("publish(1)")
        reader = traincast.TrainingInfoReader(channel_name)
        keys = [reader.key("pair"), reader.key("nested.n"), reader.key("text"), reader.key("zz", default=0)]
        learner.start("publish(60_000)")
        failures: list[BaseException] = []

        def call() -> None:
            seen = [0] * len(keys)
            try:
                for _ in range(3000):
                    for index, key in enumerate(keys):
                        value = key()
                        if index == 0:
                            assert value[1] == -value[0]
                            value = value[0]
                        assert int(value) >= seen[index]
                        seen[index] = int(value)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        learner.finish()
        assert failures == []


def test_a_reader_may_be_closed_while_threads_call_its_keys(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1, b="text"))
        for _ in range(50):
            reader = traincast.TrainingInfoReader(channel_name)
            keys = [reader.key("a"), reader.key("b")]
            closed = threading.Event()

            def call(keys: list[Any] = keys, closed: threading.Event = closed) -> None:
                try:
                    while not closed.is_set():
                        assert [key() for key in keys] == [1, "text"]
                except traincast.ChannelClosedError:
                    closed.set()

            threads = [threading.Thread(target=call) for _ in range(2)]
            for thread in threads:
                thread.start()
            reader.close()
            for thread in threads:
                thread.join()
            for key in keys:
                with pytest.raises(traincast.ChannelClosedError):
                    key()


def test_keys_work_in_forked_children(channel_name: str) -> None:
    with Process() as learner:
        learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        learner.call("writer.publish", info(a=0, b="0"))
        reader = traincast.TrainingInfoReader(channel_name)
        called, new = reader.key("a"), reader.key("b")
        assert called() == 0
        for i in range(1, 5):
            learner.call("writer.publish", info(a=i, b=str(i)))
            assert forked(lambda: (called(), new(), called(), called.version)) == (i, str(i), i, i + 1)
            assert called() == i
        assert forked(lambda: reader.close()) is None
        learner.call("writer.publish", info(a=9, b="9"))
        assert (called(), new()) == (9, "9")


def test_a_process_that_only_calls_keys_is_up_to_date_for_ls(channel_name: str) -> None:
    with Process() as env, traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=0))
        env.run(f"key = traincast.TrainingInfoReader({channel_name!r}).key('a')")
        for i in range(1, 5):
            writer.publish(info(a=i))
            assert env.value("key()") == i
            (channel,) = _core.list_channels()
            assert [(line["pid"], line["behind"]) for line in channel["readers"]] == [(env.pid, 0)]
