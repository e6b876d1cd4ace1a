"""Native core: the shared-memory channel of training information."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, final

__all__ = [
    "TrainingInfoReader",
    "TrainingInfoWriter",
    "close_writers",
    "directory",
    "known_layouts",
    "leftovers",
    "list_channels",
    "remove_leftover",
]

@final
class TrainingInfoWriter:
    """Publishes training information to any number of readers, in any process of this machine.

    One live writer owns a channel. Publishing never waits for a reader, and costs the same however many
    there are.

    Args:
        name: the channel, usually the run: 1 to 128 of `A-Z a-z 0-9 . _ -`, not starting with a dot.
        policy_id: which policy the information is about, 0 to 65535: each has a channel of its own.
        capacity: bytes of each of the ring's four slots at the start.
        max_capacity: bytes that a slot may grow to.
        required: keys that every snapshot must have, so that readers may rely on them; by default
            `approx_total_training_steps` alone.
        leftover: what to do with the channel of a writer that died without closing it: `"continue"`
            takes it over
            (versions go on, the epoch grows by one), `"replace"` starts anew, `"refuse"` raises.
        verify_every: seconds between two looks, within `publish`, whether the channel is still this
            writer's. In between, a publish makes no system call. 0 looks each time, `math.inf` never.

    Raises:
        InvalidNameError: `name` or `policy_id` is not allowed.
        ChannelBusyError: a live writer owns the channel.
        ChannelExistsError: a dead writer left the channel, and `leftover="refuse"`.
        CorruptChannelError: what stands under the channel's name is damaged.
        IncompatibleChannelError: it is another program's, or of another layout version.
        InsecureDirectoryError: the channel directory cannot be trusted.
        StorageFullError: there is no room for the channel.
    """

    def __new__(
        cls,
        name: str,
        policy_id: int = 0,
        *,
        capacity: int = 65536,
        max_capacity: int = 67108864,
        required: Sequence[str] = ...,  # ("approx_total_training_steps",)
        leftover: Literal["continue", "replace", "refuse"] = "continue",
        verify_every: float = 1.0,
    ) -> Self: ...
    def publish(self, info: Mapping[Any, Any]) -> int:
        """Publish a dictionary and return its version.

        What it holds is copied; a failed call changes nothing. An array that another thread writes to while
        it is published may arrive half old, half new: numpy writes without the interpreter's lock. Let only
        the publishing thread write to it, or publish a copy that was made under a lock of your own.

        Code of the values (a mapping's methods, say) may itself publish. What is stored last is the newest:
        an inner call comes before the outer one. An inner `close` ends the outer call with
        `ChannelClosedError`.

        Raises:
            MissingKeyError: a required key is not there.
            UnsupportedTypeError: a value or key has a type that a snapshot cannot hold.
            InvalidSnapshotError: a cycle, more than 64 levels, a lone surrogate, or a key that occurs twice.
            PayloadTooLargeError: the snapshot does not fit `max_capacity`.
            StorageFullError: the channel had to grow, and there is no room.
            ChannelClosedError: this writer is closed.
            ChannelLostError: another process has the channel; this writer publishes nothing more.
            ForkedWriterError: this is a forked child's copy of the writer.

        Warns:
            TraincastWarning: once, if the channel's files were removed and cannot be put back. Envs that are
                attached go on. The snapshot is published before: where warnings are errors the call raises,
                and `version` is the new one all the same.
        """

    def update(self, **changes: Any) -> int:
        """Publish the last dictionary with these entries changed or added, and return its version.

        The last dictionary is the one that is the newest when the changes have been encoded.

        Raises: as `publish`.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold.

        `name`, `policy_id`, `version`, `epoch`, `training_info` (`None` before the first).
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the training information of a checkpoint.

        Versions go on above both the checkpoint's and the channel's own, so that no reader sees one twice.
        """

    def publish_wire(self, message: bytes, /) -> int | None:
        """Publish a snapshot from `read_wire` under the numbers of its origin, and return its version.

        Returns: `None` if it is the newest already.

        Raises:
            InvalidSnapshotError: the bytes are no snapshot in wire form, or damaged.
            OutdatedSnapshotError: the channel has a newer one.
            Others as `publish`.
        """

    def close(self) -> None:
        """End the channel.

        Its files go, readers keep the last snapshot and see `closed`. Closing twice is allowed. A normal exit
        of the interpreter closes what is open.
        """

    @property
    def name(self) -> str:
        """The channel."""

    @property
    def policy_id(self) -> int:
        """Which policy the information is about."""

    @property
    def version(self) -> int:
        """The channel's newest version; 0 before its first snapshot."""

    @property
    def epoch(self) -> int:
        """1 for the channel's first writer, one more for each that took it over."""

    @property
    def closed(self) -> bool:
        """Whether this writer was closed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None: ...

@final
class TrainingInfoReader:
    """Reads the newest training information of a channel.

    Reading never waits for the writer and never writes to the channel. When the writer dies or closes, the
    last snapshot
    stays; when another one opens the channel, the reader moves over by itself. Readers are pickled by name.

    Args:
        name: the channel.
        policy_id: which policy's.
        attach_timeout: seconds to wait for the channel's first snapshot.

    Raises:
        ChannelNotFoundError: there is no such channel (yet).
        InvalidNameError: `name` or `policy_id` is not allowed.
        CorruptChannelError: the channel's file is damaged.
        IncompatibleChannelError: it is another program's, or of another layout version.
        InsecureDirectoryError: the channel directory cannot be trusted.
    """

    def __new__(cls, name: str, policy_id: int = 0, *, attach_timeout: float = 0.0) -> Self: ...
    def read(self) -> dict[Any, Any]:
        """The newest dictionary; the same object while nothing changed.

        The dictionary is this reader's own. Its arrays are read-only views on memory that the process shares.

        Raises:
            CorruptChannelError: something else than a writer has written to the file.
            ChannelClosedError: this reader is closed.
        """

    def changed(self) -> bool:
        """Whether `read` would give a newer dictionary than the last one."""

    def read_if_changed(self) -> dict[Any, Any] | None:
        """The newest dictionary if it is newer than the last one that this reader gave, else `None`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until `changed`, for at most `timeout` seconds.

        Returns: `changed`; `False` at once if the channel is closed and has no successor.
        """

    def read_wire(self) -> bytes:
        """The newest snapshot in wire form: what a relay carries to `publish_wire` on another node."""

    def close(self) -> None:
        """Let go of the channel; `read` then raises. Closing twice is allowed."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __getnewargs_ex__(self) -> tuple[tuple[str, int], dict[str, float]]: ...
    @property
    def name(self) -> str:
        """The channel."""

    @property
    def policy_id(self) -> int:
        """Which policy's."""

    @property
    def version(self) -> int:
        """The version of the snapshot read last; 0 before the first read."""

    @property
    def epoch(self) -> int:
        """The writer epoch of the snapshot read last; 0 before the first read."""

    @property
    def closed(self) -> bool:
        """Whether the writer closed the channel and none has opened it since, or this reader was closed."""

    @property
    def writer_alive(self) -> bool:
        """Whether a live process owns the channel."""

    @property
    def age(self) -> float:
        """Seconds since the snapshot read last was published; before the first read, since the newest was.

        Publish times are rounded down to a tick of the kernel (1 to 10 ms), so a young snapshot may seem
        that much older.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None: ...

known_layouts: tuple[str, ...]
"""The types whose objects the module reads directly.

There are none on versions of CPython that it does not know, and none with the environment variable
`TRAINCAST_OFFICIAL_API=1`: then it asks the interpreter.
"""

def close_writers() -> None:
    """Close the writers of this process: what happens at its normal exit."""

def directory() -> str:
    """The channel directory, `$TRAINCAST_DIR` or the default one; checked if it is there."""

def list_channels() -> list[dict[str, Any]]:
    """One dictionary for each channel file of the directory, the broken ones with their reason.

    Each of its `readers` says how far it is `behind` in versions, and by how many seconds what it has last
    seen is older than the newest snapshot (`seconds_behind`; `None` if it has seen none).
    """

def leftovers() -> list[dict[str, Any]]:
    """The files that dead writers left: `path`, `size` in bytes, `why`. Never one of a live channel."""

def remove_leftover(path: str, /) -> bool:
    """Remove one of `leftovers()`, looked at once more under the channel's lock.

    `False` if it is one no longer.
    """
