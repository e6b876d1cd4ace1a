"""A channel's file, as a process sees it that may write to it and breaks the rules.

The numbers are those of `rust/core/src/layout.rs`: a change there must be made here, and fails these tests.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Self

HEAD, FUTEX, FIRST_SLOT, SLOTS = 64, 65, 512, 4
SEQ, POSITION, TERM, EPOCH, VERSION, PUBLISHED, PUBLISHED_UNIX, TAKEOVER = range(8)
SHAPE_ID, SHAPE_LEN, VALUES_LEN, BLOB_WORDS = range(8, 12)
PAYLOAD = 16
MASK = 2**64 - 1


class SegmentFile:
    """The file, mapped for writing; words by index."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        self.words = memoryview(self._map).cast("Q")
        self.stride = self.words[3] // 8

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.words.release()
        self._map.close()

    def slot(self, position: int) -> int:
        """Where the slot of a position begins."""
        return FIRST_SLOT + position % SLOTS * self.stride

    def newest(self) -> int:
        return self.words[HEAD] >> 2

    def put(self, shape: bytes, values: list[int], blobs: bytes, shape_id: int) -> None:
        """Publishes what no writer would, with valid words around it."""
        position = self.newest() + 1
        before, slot = self.slot(position - 1), self.slot(position)
        payload = _words(shape) + [value & MASK for value in values] + _words(blobs)
        self.words[slot + SEQ] = 2 * position + 1
        self.words[slot + POSITION] = position
        for index in (TERM, EPOCH, PUBLISHED, PUBLISHED_UNIX, TAKEOVER):
            self.words[slot + index] = self.words[before + index]
        self.words[slot + VERSION] = self.words[before + VERSION] + 1
        self.words[slot + SHAPE_ID] = shape_id
        self.words[slot + SHAPE_LEN] = len(shape)
        self.words[slot + VALUES_LEN] = len(values)
        self.words[slot + BLOB_WORDS] = len(_words(blobs))
        for at, word in enumerate(payload, slot + PAYLOAD):
            self.words[at] = word
        self.words[slot + SEQ] = 2 * position + 2
        self.words[HEAD] = position << 2


def _words(data: bytes) -> list[int]:
    data += bytes(-len(data) % 8)
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


def number(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def leaf(tag: int, name: bytes, itemsize: int, ndim: int | None = None) -> bytes:
    """A scalar (10), array (11) or tensor (12) of a dtype."""
    return bytes([tag]) + (b"" if ndim is None else bytes([ndim])) + number(itemsize) + text(name)


def root(*nodes: bytes) -> bytes:
    """A dictionary with the keys k0, k1, ..."""
    return (
        b"\x09"
        + number(len(nodes))
        + b"".join(b"\0" + text(b"k%d" % at) + node for at, node in enumerate(nodes))
    )
