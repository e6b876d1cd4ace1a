"""What a node has counted, as a message, and in the learner's scoreboard: once, however often it comes."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast._core import RemoteScores, ScoreCounters
from traincast.relay.message import Malformed
from traincast.relay.tallies import Tallies, seal_tallies, unseal_tallies
from traincast.scores import Scoreboard, ScoreWriter

CHANNEL = "run@0"
NUMBERS = st.integers(0, 2**64 - 1)
KEYS = st.one_of(st.none(), st.binary(min_size=1))
TASKS = 3


@given(numbers=st.tuples(*[NUMBERS] * 3), totals=st.binary(max_size=300), key=KEYS)
def test_totals_arrive_as_they_were_sent(
    numbers: tuple[int, int, int], totals: bytes, key: bytes | None
) -> None:
    tallies = Tallies(*numbers, totals)
    assert unseal_tallies(seal_tallies(tallies, CHANNEL, key), CHANNEL, key) == tallies


@pytest.mark.parametrize("key", [None, b"secret"])
def test_every_flipped_bit_and_every_cut_is_noticed(key: bytes | None) -> None:
    sealed = seal_tallies(Tallies(1, 2, 3, bytes(range(112))), CHANNEL, key)
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            unseal_tallies(bytes(damaged), CHANNEL, key)
    for length in range(len(sealed)):
        with pytest.raises(Malformed):
            unseal_tallies(sealed[:length], CHANNEL, key)
    for other in (None, b"secret", b"x"):
        if other != key:
            with pytest.raises(Malformed):
                unseal_tallies(sealed, CHANNEL, other)
    with pytest.raises(Malformed, match="another channel"):
        unseal_tallies(sealed, "run@1", key)


@pytest.fixture
def board(traincast_dir: Path) -> Iterator[Scoreboard]:
    """The learner's."""
    with Scoreboard("run", TASKS, directory=traincast_dir / "here") as board:
        yield board


def relay_of(traincast_dir: Path) -> RemoteScores:
    """What the relay of the learner's node has. Not a fixture: pytest would keep it alive for too long."""
    return RemoteScores("run", directory=traincast_dir / "here")


def part(remote: RemoteScores, directory: Path) -> tuple[ScoreCounters, ScoreWriter]:
    """A node's part of it, and a process there that records."""
    counters = ScoreCounters("run", 0, remote.tasks, part_of=remote.incarnation, directory=directory)
    return counters, ScoreWriter("run", directory=directory)


def episodes(board: Scoreboard) -> list[int]:
    board.collect()
    return board.totals()["episodes"].tolist()


def test_totals_count_once_in_whatever_order_and_however_often_they_come(
    board: Scoreboard, traincast_dir: Path
) -> None:
    remote = relay_of(traincast_dir)
    parts = [part(remote, traincast_dir / name) for name in ("there", "elsewhere")]
    local = ScoreWriter("run", directory=traincast_dir / "here")
    said: list[tuple[int, bytes]] = []
    chance = random.Random(1)
    recorded = [0] * TASKS
    for _ in range(300):
        (counters, writer), task = chance.choice(parts), chance.randrange(TASKS)
        for who in (writer, local):
            assert who.record(task, success=True, episode_return=2.0, length=3)
            recorded[task] += 1
        said.append((counters.incarnation, counters.totals()))
        for node, totals in chance.choices(said, k=3):
            remote.take(node, totals)
        assert all(seen <= all_of_them for seen, all_of_them in zip(episodes(board), recorded, strict=True))
    for counters, _ in parts:
        remote.take(counters.incarnation, counters.totals())
    for node, totals in said:
        assert remote.take(node, totals) == 0
    board.collect()
    totals = board.totals()
    for field, each in (("episodes", 1), ("successes", 1), ("return_sum", 2), ("squared_return_sum", 4)):
        assert totals[field].tolist() == [each * count for count in recorded]
    assert totals["length_sum"].tolist() == [3 * count for count in recorded]


def test_a_relay_that_takes_over_counts_nothing_again(board: Scoreboard, traincast_dir: Path) -> None:
    remote = relay_of(traincast_dir)
    counters, writer = part(remote, traincast_dir / "there")
    for _ in range(3):
        writer.record(1)
    assert remote.take(counters.incarnation, counters.totals()) == 1
    successor = relay_of(traincast_dir)
    with pytest.raises(traincast.ChannelBusyError, match="another relay"):
        successor.take(counters.incarnation, counters.totals())
    del remote
    writer.record(1)
    assert successor.take(counters.incarnation, counters.totals()) == 1
    assert episodes(board) == [0, 4, 0]


def test_processes_of_the_learners_node_never_count_in_a_block_of_another_node(
    board: Scoreboard, traincast_dir: Path
) -> None:
    remote = relay_of(traincast_dir)
    counters, writer = part(remote, traincast_dir / "there")
    writer.record(0)
    remote.take(counters.incarnation, counters.totals())
    del remote  # its relay is gone: the block is locked by nobody
    local = ScoreWriter("run", directory=traincast_dir / "here")
    for _ in range(5):
        local.record(0)
    writer.record(0)
    relay_of(traincast_dir).take(counters.incarnation, counters.totals())
    assert episodes(board) == [7, 0, 0]


def test_a_learner_takes_the_place_of_the_part_on_its_node() -> None:
    kept = ScoreCounters("run", 0, TASKS, part_of=7)
    writer = ScoreWriter("run")
    assert writer.record(0)
    with pytest.raises(traincast.ChannelNotFoundError):
        RemoteScores("run")
    with Scoreboard("run", TASKS) as board:
        assert kept.ended
        assert writer.record(1)
        assert episodes(board) == [0, 1, 0]
        assert RemoteScores("run").tasks == TASKS


def test_a_part_goes_on_in_the_same_file_and_another_learners_begins_anew() -> None:
    first = ScoreCounters("run", 0, TASKS, part_of=7)
    ScoreWriter("run").record(0)
    again = ScoreCounters("run", 0, TASKS, part_of=7)
    assert again.incarnation == first.incarnation
    assert again.totals() == first.totals() != b""
    other = ScoreCounters("run", 0, TASKS, part_of=8)
    assert other.incarnation != first.incarnation
    assert first.ended
    assert other.totals() == b""


ROW = struct.Struct("<QQQddQd")
GOOD = (0, 2, 1, 1.0, 1.0, 5, 1.0)
BAD = {
    "half a row": ROW.pack(*GOOD)[:-8],
    "bytes behind it": ROW.pack(*GOOD) + b"x",
    "no such task": ROW.pack(TASKS, *GOOD[1:]),
    "a huge task": ROW.pack(2**63, *GOOD[1:]),
    "too many episodes": ROW.pack(0, 2**63, *GOOD[2:]),
    "more successes than episodes": ROW.pack(0, 2, 3, *GOOD[3:]),
    "a sum that is nan": ROW.pack(*GOOD[:3], float("nan"), *GOOD[4:]),
    "an infinite sum": ROW.pack(*GOOD[:4], float("inf"), *GOOD[5:]),
    "an infinite score": ROW.pack(*GOOD[:6], float("-inf")),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_totals_change_nothing(board: Scoreboard, traincast_dir: Path, case: str) -> None:
    remote = relay_of(traincast_dir)
    with pytest.raises(
        ValueError, match=r"these (bytes are not totals|cannot be the totals of another node)"
    ):
        remote.take(5, ROW.pack(*GOOD) + BAD[case])
    with pytest.raises(ValueError, match="these cannot be the totals of another node"):
        remote.take(0, ROW.pack(*GOOD))
    assert episodes(board) == [0, 0, 0]
