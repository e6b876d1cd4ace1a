"""`swap` for an engine without compare-and-set: each participant has a register that it alone writes.

A register says what value its owner holds, and whether the owner asks for a swap. A participant that wants to
swap first publishes that it asks, and then reads the others' registers. So of two that ask at the same time
at least one sees the other, as in Lamport's bakery algorithm ("A New Solution of Dijkstra's Concurrent
Programming Problem", 1974). One that sees an asker with a larger name gives way; one that sees an asker with
a smaller name waits until that one has given way, or holds the value. So exactly one of them succeeds. Each
swap increases the count of the value that it replaces, and the value with the largest count is the current
one.

This works while all participants reach each other. While the network is cut, each side has a holder of its
own. Afterwards all read the same value: that with the larger count, and of equal counts that of the larger
name. What the two holders then do is up to them (`Speech`: the learner with the higher term stays).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Register", "Registers"]

_PAUSE = 0.003
_PATIENCE = 0.8
"""Seconds after which others that still ask are ignored: they are dead, or do not keep to the rules."""


class Register(NamedTuple):
    """What a participant says under one key. The value of the largest register is the current one."""

    swaps: int
    """How often the value was swapped; 0: this participant holds nothing."""
    who: str
    value: bytes
    asks: bool


class Registers:
    """The registers of this process, and `swap` by means of these and everybody else's."""

    def __init__(self, read: Callable[[str], Iterable[Register]]) -> None:
        """`read` returns the others' registers under a key, as they are during the call or later."""
        self.who = secrets.token_hex(8)
        self._read = read
        self._own: dict[str, Register] = {}
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    def own(self, key: str) -> Register | None:
        """Return the register that the others may read under a key; None if there is none."""
        with self._lock:
            own = self._own.get(key)
        return own if own is not None and (own.swaps or own.asks) else None

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """Replace the value of a key by `new` if it is `expected` (empty: none), and return the value now."""
        deadline = time.monotonic() + _PATIENCE
        with self._one_at_a_time:
            try:
                while True:
                    others = list(self._read(key))
                    own = self._own.get(key) or Register(0, self.who, b"", False)
                    newest = max((*others, own), key=lambda register: register[:2])
                    if newest.value != expected:
                        return newest.value
                    askers = [other.who for other in others if other.asks]
                    if time.monotonic() > deadline:
                        askers = []
                    if own.asks and not askers:
                        self._say(key, Register(newest.swaps + 1, self.who, new, False))
                        return new
                    # An asker that this one waits for must not wait for this one.
                    asks = not any(who > self.who for who in askers)
                    if asks == own.asks:
                        time.sleep(_PAUSE)
                    self._say(key, own._replace(asks=asks))
            finally:
                if key in self._own:
                    self._say(key, self._own[key]._replace(asks=False))

    def _say(self, key: str, register: Register) -> None:
        with self._lock:
            self._own[key] = register
