"""What a relay says of the episodes that the envs of its node have counted, in bytes.

As with snapshots (`message`), the bytes are untrusted: all of them are checked, and what the counters say, by
`RemoteScores`.

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
    """Totals of a node: all that its envs have counted, never what has come since."""

    node: int
    board: int
    """Which scoreboard of the learner they belong to."""
    part: int
    """Which scoreboard of the node they are of."""
    totals: bytes
    """As `ScoreCounters.totals` gives them."""


def seal_tallies(tallies: Tallies, channel: str, key: bytes | None) -> bytes:
    """Put totals into bytes. `channel` is its name and policy: `"run@0"`."""
    head = _HEAD.pack(_MAGIC, _FORM, channel_digest(channel), tallies.node, tallies.board, tallies.part)
    whole = head + tallies.totals
    return whole + tag_of(whole, b"", key)


def unseal_tallies(data: bytes, channel: str, key: bytes | None) -> Tallies:
    """Check bytes, and return the totals that they are.

    Raises: `Malformed`.
    """
    if len(data) < _HEAD.size + TAG_BYTES or data[:8] != _MAGIC:
        raise Malformed("it does not begin like one")
    whole, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    _, form, digest, node, board, part = _HEAD.unpack_from(whole)
    if form != _FORM:
        raise Malformed("it has another version of the form: all nodes need the same traincast")
    check_tag(tag, tag_of(whole, b"", key), key)
    if digest != channel_digest(channel):
        raise Malformed("it is for another channel")
    return Tallies(node, board, part, whole[_HEAD.size :])
