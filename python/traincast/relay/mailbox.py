"""What has come of a topic, to which several senders may put: the newest of each, by its own numbers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Mailbox", "Mark"]

Mark = Mapping[str, int]
"""Which value of each sender was taken last."""

_MOST_SENDERS = 4096
"""More of them are strangers."""


class _Letter(NamedTuple):
    arrival: int
    number: int
    value: bytes


class Mailbox:
    """Threads of the engine put into it, and one that waits takes out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._letters: dict[str, _Letter] = {}
        self._announced: dict[str, int] = {}  # of which there is more than was delivered
        self._fetched: dict[str, float] = {}  # since when something is under way from there
        self._arrivals = itertools.count()

    def deliver(self, sender: str, number: int, value: bytes) -> None:
        """Take a value; an older one than that which is here changes nothing."""
        with self._changed:
            before = self._letters.pop(sender, None)
            if before is None or number > before.number:
                before = _Letter(next(self._arrivals), number, value)
            self._letters[sender] = before
            while len(self._letters) > _MOST_SENDERS:
                del self._letters[next(iter(self._letters))]
            self._announced.pop(sender, None)
            self._changed.notify_all()

    def announce(self, sender: str, number: int) -> None:
        """Note that a sender has a value of that number, which did not come along."""
        with self._changed:
            letter = self._letters.get(sender)
            if (letter is None or number > letter.number) and len(self._announced) < _MOST_SENDERS:
                self._announced[sender] = number
                self._changed.notify_all()

    def to_fetch(self, patience: float) -> list[str]:
        """Return whose values are to be fetched now: one at a time from each, and each once until it came.

        `patience`: seconds after which a value counts as lost on the way.
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
        """Note that what was asked for has come, or will not."""
        with self._changed:
            self._fetched.pop(sender, None)
            self._changed.notify_all()

    def newer(self, mark: Mark) -> tuple[Mark, bytes] | None:
        """Return what came first of what `mark` does not know; None: nothing."""
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

    def _wanted(self) -> list[str]:
        return [sender for sender in self._announced if sender not in self._fetched]
