"""Swapping without compare-and-set: one of many wins, even while some ask, hang, or are cut off."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from traincast.relay.agreement import Register, Registers
from traincast.relay.mailbox import Mailbox


class Net:
    """Participants who read each other, after a while."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.all: list[Registers] = []
        self.strangers: list[Register] = []
        self.cut: set[str] = set()

    def participant(self) -> Registers:
        def read(key: str) -> list[Register]:
            found = []
            for other in self.chance.sample(self.all, len(self.all)):
                if other is not mine and (other.who in self.cut) == (mine.who in self.cut):
                    time.sleep(self.chance.random() * 0.002)
                    if (own := other.own(key)) is not None:
                        found.append(own)
            return found + self.strangers

        mine = Registers(read)
        self.all.append(mine)
        return mine


@pytest.mark.parametrize("seed", range(8))
def test_of_many_that_ask_at_once_one_wins_and_all_know_which(seed: int) -> None:
    net = Net(seed)
    parties = [net.participant() for _ in range(6)]
    start = threading.Barrier(len(parties))

    def swap(party: Registers) -> bytes:
        start.wait()
        return party.swap("claim", b"", party.who.encode())

    with ThreadPoolExecutor(len(parties)) as pool:
        found = set(pool.map(swap, parties))
    assert len(found) == 1
    (winner,) = found
    assert sum(party.who.encode() == winner for party in parties) == 1
    # The next one counts on from there, whoever asks.
    with ThreadPoolExecutor(len(parties)) as pool:
        found = set(
            pool.map(lambda party: party.swap("claim", winner, b"next " + party.who.encode()), parties)
        )
    assert len(found) == 1
    assert found.pop().startswith(b"next ")


def test_a_participant_that_is_gone_holds_nothing() -> None:
    net = Net(1)
    first, second = net.participant(), net.participant()
    assert first.swap("claim", b"", b"mine") == b"mine"
    assert second.swap("claim", b"", b"its") == b"mine"
    net.all.remove(first)
    assert second.swap("claim", b"", b"its") == b"its"


@pytest.mark.parametrize("who", ["", "z" * 16], ids=["smaller name", "larger name"])
def test_nobody_waits_for_a_participant_that_asks_for_ever(who: str) -> None:
    net = Net(1)
    net.strangers.append(Register(0, who, b"", True))
    party = net.participant()
    assert party.swap("claim", b"", b"mine") == b"mine"
    assert party.swap("claim", b"mine", b"-") == b"-"


def test_after_a_cut_both_sides_read_the_same_holder() -> None:
    net = Net(1)
    one, other = net.participant(), net.participant()
    net.cut.add(one.who)
    assert one.swap("claim", b"", b"one") == b"one"
    assert other.swap("claim", b"", b"other") == b"other"
    net.cut.clear()
    there = one.swap("claim", b"", b"one")
    assert there == other.swap("claim", b"", b"other")
    loser = b"one" if there == b"other" else b"other"
    party = one if loser == b"one" else other
    assert party.swap("claim", there, loser) == loser, "whoever is to have it takes it over"
    assert one.swap("claim", b"", b"one") == other.swap("claim", b"", b"other") == loser


def test_announced_news_is_fetched_once_and_old_news_changes_nothing() -> None:
    box = Mailbox()
    box.announce("a", 7)
    box.announce("a", 8)
    assert box.to_fetch(30) == ["a"]
    box.announce("a", 9)
    assert box.to_fetch(30) == [], "one at a time"
    box.deliver("a", 8, b"8")
    box.announce("a", 9)
    box.fetched("a")
    assert box.to_fetch(30) == ["a"]
    assert box.to_fetch(0) == [], "there is no more of it"
    mark, value = box.newer({}) or ({}, b"")
    assert (mark, value) == ({"a": 8}, b"8")
    box.deliver("a", 3, b"3")
    assert box.newer(mark) is None


def test_senders_beyond_the_limit_are_forgotten() -> None:
    box = Mailbox()
    for i in range(10_000):
        box.deliver(str(i), 1, b"x" * 100)
        box.announce(f"announced {i}", 1)
    mark: dict[str, int] = {}
    count = 0
    while (news := box.newer(mark)) is not None:
        mark, count = dict(news[0]), count + 1
    assert count <= 4096
    assert len(box.to_fetch(30)) <= 4096
