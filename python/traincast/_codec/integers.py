"""Integers of more than 64 bits as bytes."""

from __future__ import annotations

__all__ = ["int_bytes", "int_from_bytes"]


def int_bytes(value: int) -> bytes:
    """Return an integer in two's complement, little endian, with room for the sign."""
    return int.to_bytes(value, int.bit_length(value) // 8 + 1, "little", signed=True)


def int_from_bytes(data: bytes) -> int:
    """Undo `int_bytes`."""
    return int.from_bytes(data, "little", signed=True)
