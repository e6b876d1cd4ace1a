"""`swap` where nothing can compare and set: each participant has a register that it alone writes.

A register says what its owner holds, and whether it asks for something. Who swaps first makes its question
visible and then reads the others' registers, so of two that ask at once one at least sees the other (as in
Lamport's bakery). Who sees another one with a larger name gives way; who sees one with a smaller
name waits until that has given way, or holds. So one of many gets it. Each swap counts on from the value that
it replaces, and the largest count is what is there.

That works while all of them reach each other. Where the network is cut each side has its holder, and
after the cut both read the same value: the one with the larger count, and of equal ones that of the larger
name. What the two make of it is theirs to say (`Speech`: the learner with the higher term stays).
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
"""Seconds after which one that still asks is taken for dead, or for a stranger."""


class Register(NamedTuple):
    """What a participant says under one key. The largest one is what is there."""

    swaps: int
    """How often the value was swapped; 0: this one holds nothing."""
    who: str
    value: bytes
    asks: bool


class Registers:
    """The registers of this process, and what they say together with everybody else's."""

    def __init__(self, read: Callable[[str], Iterable[Register]]) -> None:
        """`read` returns what the others have under a key, not as it was before the call."""
        self.who = secrets.token_hex(8)
        self._read = read
        self._own: dict[str, Register] = {}
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    def own(self, key: str) -> Register | None:
        """Return what the others may read here; None: nothing."""
        with self._lock:
            own = self._own.get(key)
        return own if own is not None and (own.swaps or own.asks) else None

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """Put `new` under a key if `expected` is there (empty: nothing), and return what is there now."""
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
                    # Whoever is waited for must not wait for this one.
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
