"""The mailbox of a Zenoh topic: what it keeps of each sender, and for how long."""

from __future__ import annotations

import time

import pytest

from traincast.relay import mailbox
from traincast.relay.mailbox import Mailbox, Mark


def taken(box: Mailbox) -> list[bytes]:
    """All that is there, in the order in which it came."""
    mark: Mark = {}
    values = []
    while (news := box.newer(mark)) is not None:
        mark, value = news
        values.append(value)
    return values


def test_it_keeps_the_newest_value_of_each_sender() -> None:
    box = Mailbox()
    for sender, number in (("a", 1), ("b", 1), ("a", 2), ("a", 1)):
        box.deliver(sender, number, f"{sender}{number}".encode())
    assert taken(box) == [b"b1", b"a2"]


def test_senders_that_are_silent_are_forgotten_and_those_that_repeat_their_news_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mailbox, "FORGET_AFTER", 0.3)
    box = Mailbox()
    box.deliver("stays", 1, b"stays")
    box.deliver("repeats", 1, b"repeats")
    for guest in range(50):
        box.deliver(f"guest {guest}", 1, b"guest")
    for _ in range(5):
        time.sleep(0.1)
        box.announce("repeats", 1)
        box.deliver("stays", 1, b"stays")
    box.deliver("late", 1, b"late")
    assert sorted(taken(box)) == [b"late", b"repeats", b"stays"]
    box.deliver("guest 7", 1, b"guest")
    assert b"guest" in taken(box), "one that comes back is new"


def test_however_many_senders_there_are_the_memory_is_bounded() -> None:
    box = Mailbox()
    for sender in range(5000):
        box.deliver(f"{sender}", 1, b"x")
        box.announce(f"other {sender}", 1)
    assert len(taken(box)) == 4096
    assert len(box.to_fetch(1.0)) == 4096
