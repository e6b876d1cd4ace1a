"""Dictionaries whose structure keeps changing, while their size stays within bounds.

What is remembered of a structure (shapes, templates, keys, dtypes) must be bounded too: most structures
here come once and never again.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

STEPS = "approx_total_training_steps"
KNOWN = 200  # structures that come again and again: more than any cache holds
LARGE = 128 << 10  # bytes of the array that is there once; of the others, a tenth

DTYPES = ("f8", "f4", "f2", "i8", "i4", "u2", "i1", "?", "c16", "M8[s]", "m8[us]")


def plain(steps: int) -> dict[str, Any]:
    return {STEPS: steps, "reward_shaping": {"goal": 1.0, "step": steps * 0.5}, "level": steps % 10}


def largest(steps: int) -> dict[str, Any]:
    """None is bigger: once this was published, the channel need not grow again."""
    return {STEPS: steps, "large": np.full(LARGE // 8, steps), "rest": bytes(LARGE)}


def known(steps: int) -> dict[str, Any]:
    return _tree(steps, random.Random(steps % KNOWN), "k")


def new(steps: int) -> dict[str, Any]:
    """Keys, types, depths, lengths and dtypes that no other number has."""
    return _tree(steps, random.Random(steps), f"{steps}-")


def _tree(steps: int, chance: random.Random, prefix: str) -> dict[str, Any]:
    found = {f"{prefix}{j}": _value(chance, f"{prefix}{j}.", 0) for j in range(chance.randrange(1, 12))}
    return {STEPS: steps, **found}


def _value(chance: random.Random, prefix: str, depth: int) -> Any:
    kind = chance.randrange(10 if depth < 5 else 7)
    if kind == 0:
        return chance.getrandbits(chance.choice((3, 30, 62)))
    if kind == 1:
        return chance.random()
    if kind == 2:
        return chance.choice((None, True, False, -1))
    if kind == 3:
        return chance.choice("aé€") * chance.randrange(300)
    if kind == 4:
        return bytes(chance.randrange(3000))
    if kind in (5, 6):
        return _array(chance)
    inner = [_value(chance, f"{prefix}{j}.", depth + 1) for j in range(chance.randrange(4))]
    if kind == 7:
        return inner
    if kind == 8:
        return tuple(inner)
    return {f"{prefix}{j}": value for j, value in enumerate(inner)}


def _array(chance: random.Random) -> Any:
    dtype = chance.choice((*DTYPES, f"U{chance.randrange(1, 90)}", f"S{chance.randrange(1, 90)}"))
    shape = [chance.randrange(1, 5) for _ in range(chance.randrange(4))]
    if chance.randrange(500) == 0:
        return np.zeros(chance.randrange(LARGE // 10), "u1")
    return np.zeros(shape, dtype)
