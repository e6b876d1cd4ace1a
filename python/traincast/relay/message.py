"""Messages between relays: what a source knows of the learner, with or without a snapshot in wire form.

A message is untrusted bytes. All of it is checked before any of it is used: the envelope here, the snapshot
by `publish_wire`. With a key, a message ends with an HMAC-SHA256 over all of it; without a key, with a
checksum of the envelope, which detects damage but not malice.

    bytes    0  magic                            72  number: counts the messages of this sender
             8  version of the form              80  when it was sent, CLOCK_MONOTONIC ns there
            16  channel, its digest              88  term, epoch, version of the newest snapshot
            32  life of the learner             112  process id of the learner
            40  node of the sender              120  host of the learner, 64 bytes
            48  sender: when it began, Unix ns  184  length of the snapshot
            56  incarnation, tasks of the       192  snapshot, then 32 bytes of HMAC, or CRC-32 and zeros
                learner's scoreboard; or zeros
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeVar

from traincast._warnings import warn_once

__all__ = [
    "HEAD_BYTES",
    "TAG_BYTES",
    "Gate",
    "Key",
    "Life",
    "Malformed",
    "Message",
    "Stamp",
    "channel_digest",
    "check_tag",
    "identity_of",
    "key_from_environment",
    "numbers_of",
    "start_of",
    "tag_of",
    "wire_header",
]

_MAGIC, _FORM = b"trainrly", 1
_HEAD = struct.Struct("<8sQ16sQQQQQQQ3QQ64sQ")
HEAD_BYTES, TAG_BYTES = 192, 32
_START = struct.Struct("<8sQ16sQQQQQ")

_WIRE = struct.Struct("<32x3QQQQ24x24x64s")  # the fields of the wire form that are used here: docs/layout.md
assert _HEAD.size == HEAD_BYTES
assert _WIRE.size == 192


M = TypeVar("M")


class Life(IntEnum):
    """The state of the learner on its node."""

    ALIVE = 0
    CLOSED = 1
    """It has closed the channel."""
    LOST = 2
    """It ended without closing the channel."""


class Stamp(NamedTuple):
    """The order of a channel's snapshots: newer ones are larger."""

    term: int
    epoch: int
    version: int


class Key(NamedTuple):
    """Identifies a learner on any node. The learner with the larger key has the channel."""

    term: int
    epoch: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a source."""

    life: Life
    node: int
    """The machine and directory of the source. A node has at most one learner for a channel."""
    sender: int
    number: int
    sent_ns: int
    stamp: Stamp
    host: str
    pid: int
    wire: bytes = b""
    """The snapshot; empty in a sign of life."""
    board: int = 0
    """Incarnation of the scoreboard that the learner keeps; 0: none."""
    tasks: int = 0
    """How many tasks that scoreboard has."""

    @property
    def key(self) -> Key:
        """The learner that it is about."""
        return Key(self.stamp.term, self.stamp.epoch, self.host, self.pid)

    @property
    def published_ns(self) -> int:
        """When its snapshot was published, on the clock of the sender's machine."""
        return wire_header(self.wire).published_ns


def identity_of(wire: bytes) -> bytes:
    """Return bytes that identify the learner of a snapshot in wire form: the same for all its snapshots."""
    return wire[32:48] + wire[72:80] + wire[128:192]


class Malformed(ValueError):  # noqa: N818 - it describes bytes
    """The bytes are not a message of this channel."""


class WireHeader(NamedTuple):
    """Who published a snapshot in wire form, and when."""

    stamp: Stamp
    published_ns: int
    pid: int
    host: str


def wire_header(wire: bytes) -> WireHeader:
    """Return the header of a snapshot in wire form. Only the length is checked.

    Raises: `Malformed`.
    """
    if len(wire) < _WIRE.size:
        raise Malformed("its snapshot is too short")
    term, epoch, version, published_ns, _, pid, host = _WIRE.unpack_from(wire)
    return WireHeader(Stamp(term, epoch, version), published_ns, pid, _text(host))


def numbers_of(wire: bytes) -> bytes:
    """Return the fields of a snapshot in wire form that the envelope repeats as its bytes 88 to 184."""
    return wire[32:56] + wire[72:80] + wire[128:192]


def start_of(channel: str, life: int, node: int, sender: int) -> bytes:
    """Return bytes 0 to 72 of a message with a snapshot: they are the same in all messages of a source."""
    return _START.pack(_MAGIC, _FORM, channel_digest(channel), life, node, sender, 0, 0)


def key_from_environment() -> bytes | None:
    """Return the secret of `TRAINCAST_KEY`, which all nodes of a run must share; None without one."""
    return os.environb.get(b"TRAINCAST_KEY") or None


def seal(message: Message, channel: str, key: bytes | None) -> bytes:
    """Return the bytes of a message. `channel` is the channel's name and policy: `"run@0"`."""
    head = _HEAD.pack(
        _MAGIC,
        _FORM,
        channel_digest(channel),
        message.life,
        message.node,
        message.sender,
        message.board,
        message.tasks,
        message.number,
        message.sent_ns,
        *message.stamp,
        message.pid,
        message.host.encode()[:64],
        len(message.wire),
    )
    return b"".join((head, message.wire, tag_of(head, message.wire, key)))


def unseal(data: bytes, channel: str, key: bytes | None, *, checked: bool = False) -> Message:
    """Check bytes, and return the message in them. `checked`: the tag at their end was checked before.

    Raises: `Malformed`.
    """
    if len(data) < _HEAD.size + TAG_BYTES or data[:8] != _MAGIC:
        raise Malformed("it does not begin like a message of traincast")
    head, wire, tag = data[: _HEAD.size], data[_HEAD.size : -TAG_BYTES], data[-TAG_BYTES:]
    _, form, digest, life, node, sender, board, tasks, number, sent_ns, *rest = _HEAD.unpack(head)
    term, epoch, version, pid, host, length = rest
    if form != _FORM:
        raise Malformed("its form has another version: install the same traincast on all nodes")
    if not checked:
        check_tag(tag, tag_of(head, wire, key), key)  # a snapshot has a checksum of its own
    if digest != channel_digest(channel):
        raise Malformed("it is for another channel")
    numbered = term and epoch and version and bool(board) == bool(tasks)
    if length != len(wire) or life > Life.LOST or not numbered:
        raise Malformed("its numbers are impossible")
    stamp = Stamp(term, epoch, version)
    message = Message(Life(life), node, sender, number, sent_ns, stamp, _text(host), pid, wire, board, tasks)
    if wire and len(wire) < _WIRE.size:
        raise Malformed("its snapshot is too short")
    if wire and numbers_of(wire) != head[88:184]:
        raise Malformed("its snapshot has other numbers than its envelope")
    return message


class Gate:
    """Admits messages of one channel; drops and counts all others, and warns once."""

    def __init__(self, channel: str, key: bytes | None) -> None:
        self.channel = channel
        self.key = key
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()
        """How many messages were dropped, by reason."""

    def seal(self, message: Message) -> bytes:
        """Return the bytes of a message."""
        return seal(message, self.channel, self.key)

    def admit(self, data: bytes) -> Message | None:
        """Return the message in bytes; None if they are not a message of this channel."""
        return self.admit_as(unseal, data)

    def admit_as(self, unseal: Callable[[bytes, str, bytes | None], M], data: bytes) -> M | None:
        """Do the same for another kind of message."""
        try:
            return unseal(data, self.channel, self.key)
        except Malformed as error:
            self.drop(str(error))
            return None

    def drop(self, why: str, more: str = "") -> None:
        """Count a message that is not used. `why` is one of a few fixed reasons, each with a counter."""
        with self._lock:
            self.dropped[why] += 1
        warn_once(
            ("relay dropped", self.channel, why),
            f"a message for {self.channel} was dropped: {why}{more and f' ({more})'}. More of them are only "
            "counted: see `traincast ls --relays`",
        )


def check_tag(found: bytes, wanted: bytes, key: bytes | None) -> None:
    """Raise `Malformed` unless the tag at the end of a message is the one that is wanted."""
    if not hmac.compare_digest(found, wanted):
        what = "its checksum is wrong" if key is None else "it was not sealed with this node's TRAINCAST_KEY"
        raise Malformed(what)


@functools.cache
def channel_digest(channel: str) -> bytes:
    """Return 16 bytes that identify the channel of a message."""
    return hashlib.blake2b(channel.encode(), digest_size=16).digest()


def tag_of(head: bytes, body: bytes, key: bytes | None) -> bytes:
    """Return the tag at the end of a message: an HMAC over all of it; without a key, the head's CRC-32."""
    if key is None:
        return zlib.crc32(head).to_bytes(4, "little").ljust(TAG_BYTES, b"\0")
    mac = _mac(key).copy()
    mac.update(head)
    mac.update(body)
    return mac.digest()


@functools.cache
def _mac(key: bytes) -> hmac.HMAC:
    """Return an HMAC-SHA256 with its key set up: that takes longer than hashing a short message."""
    return hmac.new(key, digestmod=hashlib.sha256)


def _text(host: bytes) -> str:
    return host.rstrip(b"\0").decode("utf-8", "replace")
