"""Tallies: the message with which a relay sends what the envs of its node have counted.

As with snapshots (`message`), the bytes are untrusted. All of them are checked here, and the values of the
counters by `RemoteScores`.

    bytes    0  magic                  40  incarnation of the learner's scoreboard
             8  version of the form    48  incarnation of this node's, which is a part of it
            16  channel, its digest    56  totals, 56 bytes for each task: its number, six counters
            32  node of the sender         then 32 bytes of HMAC, or CRC-32 of all and zeros
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from traincast.relay.message import TAG_BYTES, Malformed, channel_digest, check_tag, tag_of

__all__ = ["Tallies", "seal_tallies", "unseal_tallies"]

_MAGIC, _FORM = b"traintal", 1
_HEAD = struct.Struct("<8sQ16sQQQ")


class Tallies(NamedTuple):
    """The totals of a node: all that its envs have counted, never only what is new."""

    node: int
    board: int
    """The incarnation of the learner's scoreboard."""
    part: int
    """The incarnation of the node's scoreboard, which is a part of that one."""
    totals: bytes
    """What `ScoreCounters.totals` returns."""


def seal_tallies(tallies: Tallies, channel: str, key: bytes | None) -> bytes:
    """Return the bytes of totals. `channel` is the channel's name and policy: `"run@0"`."""
    head = _HEAD.pack(_MAGIC, _FORM, channel_digest(channel), tallies.node, tallies.board, tallies.part)
    whole = head + tallies.totals
    return whole + tag_of(whole, b"", key)


def unseal_tallies(data: bytes, channel: str, key: bytes | None) -> Tallies:
    """Check bytes, and return the totals in them.

    Raises: `Malformed`.
    """
    if len(data) < _HEAD.size + TAG_BYTES or data[:8] != _MAGIC:
        raise Malformed("it does not begin like a message of traincast")
    whole, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    _, form, digest, node, board, part = _HEAD.unpack_from(whole)
    if form != _FORM:
        raise Malformed("its form has another version: install the same traincast on all nodes")
    check_tag(tag, tag_of(whole, b"", key), key)
    if digest != channel_digest(channel):
        raise Malformed("it is for another channel")
    return Tallies(node, board, part, whole[_HEAD.size :])
