"""Snapshots that follow one another: the usual messages, sealed and opened in few steps.

On a busy machine no cache has anything of a relay when a snapshot comes, and time goes by what is touched. So
what is the same for all snapshots of a learner is made once, and compared as bytes. The form is that of
`message`; whatever is not the usual case goes through that.
"""

from __future__ import annotations

import hmac
import struct

from traincast.relay.message import HEAD_BYTES, TAG_BYTES, Life, Message, numbers_of, start_of, tag_of

__all__ = ["Opener", "Sealer", "published_ns_of"]

_NUMBERS = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")


class Sealer:
    """Puts snapshots of one learner into messages."""

    def __init__(self, channel: str, key: bytes | None, life: Life, node: int, sender: int) -> None:
        self._start, self._key = start_of(channel, life, node, sender), key

    def seal(self, number: int, sent_ns: int, wire: bytes) -> bytes:
        """Put a snapshot in wire form into bytes."""
        numbers, length = _NUMBERS.pack(number, sent_ns), _LENGTH.pack(len(wire))
        head = b"".join((self._start, numbers, numbers_of(wire), length))
        return b"".join((head, wire, tag_of(head, wire, self._key)))


class Opener:
    """Knows a message with a snapshot, and the later ones of the same learner from the same sender."""

    def __init__(self, channel: str, key: bytes | None, message: Message) -> None:
        self._start, self._key = start_of(channel, message.life, message.node, message.sender), key
        numbers = numbers_of(message.wire)
        self._life, self._learner = numbers[:16], numbers[24:]
        self._last = message.number, message.stamp.version

    def open(self, data: bytes) -> bytes | None:
        """Return the snapshot in a message; None if it is not a later one, or not whole."""
        head, wire, tag = data[:HEAD_BYTES], data[HEAD_BYTES:-TAG_BYTES], data[-TAG_BYTES:]
        numbers = head[88:184]
        usual = (
            head[:72] == self._start
            and numbers[:16] == self._life
            and numbers[24:] == self._learner
            and numbers == numbers_of(wire)
            and head[184:] == _LENGTH.pack(len(wire))
            and hmac.compare_digest(tag, tag_of(head, wire, self._key))
        )
        if not usual:
            return None
        order = int.from_bytes(head[72:80], "little"), int.from_bytes(numbers[16:24], "little")
        if order[0] <= self._last[0] or order[1] <= self._last[1]:
            return None
        self._last = order
        return wire


def published_ns_of(wire: bytes) -> int:
    """Return when a snapshot in wire form was published, on the clock of its machine."""
    return int.from_bytes(wire[56:64], "little")
