"""Exceptions of traincast.

Each one is a `TraincastError`, and most are also the builtin exception that a caller would catch::

    TraincastError
    ├── ChannelNotFoundError      (FileNotFoundError)
    ├── ChannelBusyError          (BlockingIOError)
    ├── ChannelExistsError        (FileExistsError)
    ├── CorruptChannelError
    ├── IncompatibleChannelError
    ├── ChannelClosedError        (ValueError)
    ├── ChannelLostError          (BlockingIOError)
    ├── PayloadTooLargeError      (ValueError)
    ├── UnsupportedTypeError      (TypeError)
    ├── InvalidSnapshotError      (ValueError)
    ├── OutdatedSnapshotError     (ValueError)
    ├── MissingKeyError           (KeyError)
    ├── InvalidNameError          (ValueError)
    ├── StorageFullError          (OSError, errno ENOSPC)
    ├── ForkedWriterError         (RuntimeError)
    └── InsecureDirectoryError    (PermissionError)

Problems that do not stop a training, but that its user should know of, are a `TraincastWarning`
(`UserWarning`).
"""

from __future__ import annotations

import errno

__all__ = [
    "ChannelBusyError",
    "ChannelClosedError",
    "ChannelExistsError",
    "ChannelLostError",
    "ChannelNotFoundError",
    "CorruptChannelError",
    "ForkedWriterError",
    "IncompatibleChannelError",
    "InsecureDirectoryError",
    "InvalidNameError",
    "InvalidSnapshotError",
    "MissingKeyError",
    "OutdatedSnapshotError",
    "PayloadTooLargeError",
    "StorageFullError",
    "TraincastError",
    "TraincastWarning",
    "UnsupportedTypeError",
]


class TraincastError(Exception):
    """Base of every exception that traincast raises."""

    def __str__(self) -> str:
        # KeyError shows repr(message) and OSError "[Errno n] ...": the sentence alone reads better.
        return str(self.args[-1]) if self.args else ""


class ChannelNotFoundError(TraincastError, FileNotFoundError):
    """There is no channel of that name and policy: its learner has not published yet, or has closed it."""


class ChannelBusyError(TraincastError, BlockingIOError):
    """Another live writer owns the channel."""


class ChannelExistsError(TraincastError, FileExistsError):
    """A dead writer left the channel behind, and `leftover="refuse"` was asked for."""


class CorruptChannelError(TraincastError):
    """The file under the channel's name is damaged, or is not a regular file."""


class IncompatibleChannelError(TraincastError):
    """The file is another program's, or was written with another layout version."""


class ChannelClosedError(TraincastError, ValueError):
    """This writer or reader object was closed."""


class ChannelLostError(TraincastError, BlockingIOError):
    """Another writer owns the channel, or has owned it meanwhile: this one publishes nothing more."""


class PayloadTooLargeError(TraincastError, ValueError):
    """The encoded snapshot is larger than `max_capacity`."""


class UnsupportedTypeError(TraincastError, TypeError):
    """A value or key has a type that a snapshot cannot hold; the message gives its path."""


class InvalidSnapshotError(TraincastError, ValueError):
    """There is a cycle, too deep a nesting, a key that occurs twice, or a string that is not valid Unicode.

    The message gives its path. From `publish_wire`: the bytes are not a snapshot in wire form.
    """


class OutdatedSnapshotError(TraincastError, ValueError):
    """A snapshot in wire form is older than what the channel has."""


class MissingKeyError(TraincastError, KeyError):
    """A snapshot lacks a key that the channel guarantees to its readers, or has nothing under a path."""


class InvalidNameError(TraincastError, ValueError):
    """A channel name or policy_id is not allowed."""


class StorageFullError(TraincastError, OSError):
    """The file system of the channel directory has no room left (`errno` is `ENOSPC`)."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.ENOSPC, message)

    def __reduce__(self) -> tuple[type[StorageFullError], tuple[str]]:
        return type(self), (str(self),)


class ForkedWriterError(TraincastError, RuntimeError):
    """A writer object was used in a forked child: only the process that made it may publish."""


class InsecureDirectoryError(TraincastError, PermissionError):
    """Someone else owns the channel directory, others may enter it, or it is not local."""


class TraincastWarning(UserWarning):
    """Something is wrong, but the training goes on.

    Not a `RuntimeWarning`: some frameworks turn those into errors.
    """


for _name in __all__:
    globals()[_name].__module__ = "traincast"  # users import them from the package
