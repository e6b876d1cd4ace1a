"""SIGKILL at any moment, while readers in other processes read."""

from __future__ import annotations

import random
import time
from pathlib import Path

from processes import Process
from snapshots import STEPS, info

import traincast
from traincast import _core

# A snapshot that proves itself: every part is derived from `i`. Its structure and size change with `i`.
PROOF = """
def snapshot(i):
    return {
        "approx_total_training_steps": i,
        "text": str(i) * (i % 50),
        "nested": {"list": [i, -i, [i + 0.5]], "same": (i, str(i))},
        "bytes": bytes([i % 256]) * (i % 3000),
        **{f"k{j}": i for j in range(i % 4)},
    }
"""
exec(PROOF)


def assert_whole(read: dict) -> int:
    i = read[STEPS]
    assert read == snapshot(i)  # noqa: F821  # defined by PROOF
    return i


def test_a_writer_killed_at_random_moments_leaves_whole_snapshots(
    channel_name: str, traincast_dir: Path
) -> None:
    """Readers see whole snapshots, never older ones; the next writer takes over at once."""
    rng = random.Random(5)
    reader = None
    seen = epoch = 0
    with Process() as follower:
        follower.run(PROOF)
        follower.run("import time\nstop = False\nseen = reads = 0")
        for kill in range(12):
            with Process() as learner:
                learner.run(PROOF)
                learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r}, capacity=4096)")
                assert learner.value("writer.epoch") == kill + 1
                start = learner.value("writer.version")
                assert start >= seen
                learner.run(f"writer.publish(snapshot({start} + 1))")
                if reader is None:
                    reader = traincast.TrainingInfoReader(channel_name)
                    follower.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
                follower.start("""
end = time.monotonic() + 0.15
while time.monotonic() < end:
    read = reader.read()
    i = read["approx_total_training_steps"]
    assert read == snapshot(i), read
    assert i >= seen and i == reader.version, (i, seen, reader.version)
    seen, reads = i, reads + 1
""")
                learner.start("while True: writer.publish(snapshot(writer.version + 1))")
                end = time.monotonic() + rng.uniform(0.005, 0.05)
                while time.monotonic() < end:
                    i = assert_whole(reader.read())
                    assert i >= seen
                    seen = i
                learner.kill()
                follower.finish()
            # The writer is dead: the newest snapshot stays, whole, for old readers and new ones.
            last = assert_whole(reader.read())
            assert last >= seen
            assert reader.epoch == kill + 1 > epoch
            seen, epoch = last, reader.epoch
            assert not reader.writer_alive
            assert assert_whole(traincast.TrainingInfoReader(channel_name).read()) == last
            assert follower.value("reader['approx_total_training_steps']") == last
        assert follower.value("reads") > 100
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert writer.version == seen
    assert list(traincast_dir.iterdir()) == []


def test_a_reader_killed_at_random_moments_disturbs_nobody(channel_name: str, traincast_dir: Path) -> None:
    """Nobody else notices, whether it read, slept or attached."""
    rng = random.Random(6)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        survivor = traincast.TrainingInfoReader(channel_name)
        for _ in range(8):
            with Process() as reader:
                name = repr(channel_name)
                reader.run(f"reader = traincast.TrainingInfoReader({name})")
                reader.start(
                    rng.choice(
                        [
                            "while True: reader.read()",
                            "while True: reader.wait(0.001)",
                            "while True: reader.wait(); reader.read()",
                            f"while True: traincast.TrainingInfoReader({name}).read()",
                        ]
                    )
                )
                end = time.monotonic() + rng.uniform(0.005, 0.03)
                while time.monotonic() < end:
                    i = writer.update(i=writer.version + 1)
                    assert survivor["i"] == i
                reader.kill()
            i = writer.update(i=writer.version + 1)
            assert survivor["i"] == i
            assert survivor.writer_alive
        others = [entry for entry in _core.list_channels()[0]["readers"] if entry["alive"]]
        assert len(others) == 1  # this process
    assert list(traincast_dir.iterdir()) == []


def test_a_writer_killed_while_opening_or_closing_leaves_only_what_clean_removes(
    channel_name: str, traincast_dir: Path
) -> None:
    """Opening, growing and closing are cut off too; `clean` finds all that is left."""
    rng = random.Random(7)
    script = f"""
while True:
    writer = traincast.TrainingInfoWriter({channel_name!r}, capacity=4096, leftover="replace")
    for size in (0, 5000, 50000): writer.publish({info()!r} | dict(size=size, a=bytes(size)))
    writer.close()
"""
    for _ in range(10):
        with Process() as other:
            other.start(script)
            end = time.monotonic() + rng.uniform(0.01, 0.06)
            while time.monotonic() < end:
                try:
                    read = traincast.TrainingInfoReader(channel_name).read()
                except traincast.ChannelNotFoundError:
                    continue
                assert len(read["a"]) == read["size"]
            other.kill()
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info(size=0, a=b""))
            assert traincast.TrainingInfoReader(channel_name)["size"] == 0
        assert list(traincast_dir.iterdir()) == []
    with Process() as other:
        other.start(script)
        time.sleep(0.03)
    for entry in _core.leftovers():
        assert _core.remove_leftover(entry["path"])
    assert list(traincast_dir.iterdir()) == []
