"""Integers beyond 64 bits as bytes."""

from __future__ import annotations

__all__ = ["int_bytes", "int_from_bytes"]


def int_bytes(value: int) -> bytes:
    """An integer's two's complement, little endian, as short as it goes."""
    return int.to_bytes(value, int.bit_length(value) // 8 + 1, "little", signed=True)


def int_from_bytes(data: bytes) -> int:
    """The integer of `int_bytes`."""
    return int.from_bytes(data, "little", signed=True)
