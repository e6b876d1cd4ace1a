"""The fast path for messages with snapshots that follow one another: sealed and opened in few steps.

On a busy machine nothing of a relay is in a cache when a snapshot comes, and the time depends on how much
memory it touches. So the parts that are the same for all snapshots of a learner are made once, and compared
as bytes. The form is that of `message`, which handles all other cases.
"""

from __future__ import annotations

import hmac
import struct

from traincast.relay.message import HEAD_BYTES, TAG_BYTES, Life, Message, numbers_of, start_of, tag_of

__all__ = ["Opener", "Sealer", "published_ns_of"]

_NUMBERS = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")


class Sealer:
    """Seals messages with the snapshots of one learner."""

    def __init__(self, channel: str, key: bytes | None, life: Life, node: int, sender: int) -> None:
        self._start, self._key = start_of(channel, life, node, sender), key

    def seal(self, number: int, sent_ns: int, wire: bytes) -> bytes:
        """Return the bytes of a message with a snapshot in wire form."""
        numbers, length = _NUMBERS.pack(number, sent_ns), _LENGTH.pack(len(wire))
        head = b"".join((self._start, numbers, numbers_of(wire), length))
        return b"".join((head, wire, tag_of(head, wire, self._key)))


class Opener:
    """Opens messages that follow a given one: later snapshots of the same learner from the same sender."""

    def __init__(self, channel: str, key: bytes | None, message: Message) -> None:
        self._start, self._key = start_of(channel, message.life, message.node, message.sender), key
        numbers = numbers_of(message.wire)
        self._life, self._learner = numbers[:16], numbers[24:]
        self._last = message.number, message.stamp.version

    def open(self, data: bytes) -> bytes | None:
        """Return the snapshot in a message; None if it does not follow the last one, or is damaged."""
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
    """Return when a snapshot in wire form was published, in ns of its machine's monotonic clock."""
    return int.from_bytes(wire[56:64], "little")
