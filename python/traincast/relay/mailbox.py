"""A mailbox for one topic with several senders, which keeps the newest value of each that is still heard."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["FORGET_AFTER", "Mailbox", "Mark"]

Mark = Mapping[str, int]
"""The number of the value that was last taken from each sender."""

_MOST_SENDERS = 4096
"""Senders beyond this number cannot all be relays."""

FORGET_AFTER = 30.0
"""Seconds of silence after which a sender counts as gone: those that are there are heard twice a second."""


class _Letter(NamedTuple):
    arrival: int
    number: int
    value: bytes


class Mailbox:
    """The engine's threads put values into it, and one thread waits for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._letters: dict[str, _Letter] = {}
        self._heard: dict[str, float] = {}
        self._looked_at = 0.0
        self._announced: dict[str, int] = {}  # senders with a newer value than was delivered, and its number
        self._fetched: dict[str, float] = {}  # senders that were asked for a value, and when
        self._arrivals = itertools.count()

    def deliver(self, sender: str, number: int, value: bytes) -> None:
        """Add a value; it is ignored if it is not newer than the sender's last one."""
        with self._changed:
            if sender not in self._letters:
                self._forget_silent()
            self._heard[sender] = time.monotonic()
            before = self._letters.pop(sender, None)
            if before is None or number > before.number:
                before = _Letter(next(self._arrivals), number, value)
            self._letters[sender] = before
            while len(self._letters) > _MOST_SENDERS:
                self._forget(next(iter(self._letters)))
            self._announced.pop(sender, None)
            self._changed.notify_all()

    def announce(self, sender: str, number: int) -> None:
        """Note that a sender has a value with this number, which must be fetched."""
        with self._changed:
            letter = self._letters.get(sender)
            if letter is not None:
                self._heard[sender] = time.monotonic()
            if (letter is None or number > letter.number) and len(self._announced) < _MOST_SENDERS:
                self._announced[sender] = number
                self._changed.notify_all()

    def to_fetch(self, patience: float) -> list[str]:
        """Return the senders from which to fetch now: from each only one value at a time.

        `patience`: seconds after which a value that was asked for counts as lost.
        """
        now = time.monotonic()
        with self._changed:
            self._fetched = {who: since for who, since in self._fetched.items() if now - since < patience}
            wanted = self._wanted()
            self._fetched.update(dict.fromkeys(wanted, now))
            for sender in wanted:
                del self._announced[sender]
            return wanted

    def fetched(self, sender: str) -> None:
        """Note that the value that was asked for has come, or will not come."""
        with self._changed:
            self._fetched.pop(sender, None)
            self._changed.notify_all()

    def newer(self, mark: Mark) -> tuple[Mark, bytes] | None:
        """Return the value that came first of those that `mark` does not have; None if there is none."""
        with self._changed:
            news = [
                (letter, sender)
                for sender, letter in self._letters.items()
                if letter.number != mark.get(sender)
            ]
            if not news:
                return None
            letter, sender = min(news)
            known = {sender: number for sender, number in mark.items() if sender in self._letters}
            return {**known, sender: letter.number}, letter.value

    def wait(self, mark: Mark, timeout: float) -> None:
        """Return once there is news, something to fetch, or `timeout` seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._wanted()) or self.newer(mark) is not None, timeout)

    def _forget_silent(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + FORGET_AFTER / 8:  # however many new ones come at once
            return
        self._looked_at, long_ago = now, now - FORGET_AFTER
        for sender in [sender for sender, heard in self._heard.items() if heard < long_ago]:
            self._forget(sender)

    def _forget(self, sender: str) -> None:
        del self._letters[sender], self._heard[sender]

    def _wanted(self) -> list[str]:
        return [sender for sender in self._announced if sender not in self._fetched]
