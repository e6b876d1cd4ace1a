"""Native core: the shared-memory channel of training information."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import GenericAlias, TracebackType
from typing import Any, Generic, Literal, Self, final, overload

from _typeshed import DataclassInstance
from typing_extensions import TypeVar, disjoint_base

__all__ = [
    "RelayLock",
    "RelaySource",
    "RemoteScores",
    "ScoreCounters",
    "ScoreWriter",
    "TrainingInfoKey",
    "TrainingInfoReader",
    "TrainingInfoWriter",
    "__version__",
    "close_writers",
    "decode_wire",
    "directories",
    "directory",
    "displace",
    "known_layouts",
    "leftovers",
    "list_channels",
    "relay_status",
    "remove_leftover",
]

# What a reader's dictionaries are: a TypedDict, say.
_Info_co = TypeVar("_Info_co", bound=Mapping[Any, Any], default=dict[Any, Any], covariant=True)
_Path = TypeVar("_Path", bound=str | tuple[str | int, ...])
# What stands under a key.
_Value_co = TypeVar("_Value_co", default=Any, covariant=True)

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
        required: keys that every snapshot must have, so that readers may rely on them.
        leftover: what to do with the channel of a writer that died without closing it: `"continue"`
            takes it over
            (versions go on, the epoch grows by one), `"replace"` starts anew, `"refuse"` raises.
        verify_every: seconds between two looks, within `publish`, whether the channel is still this
            writer's. In between, a publish makes no system call. 0 looks each time, `math.inf` never.
        default: called with each value that would be refused (see `publish`), as by `json.dumps`; what it
            returns is published in its place, and may be anything that `publish` takes, or another value for
            it to be called with. An exception in it ends the publish; its note says where the value stood.
            One that returns the value itself has it refused.
        supersede: take the place of a writer of this process that still has the channel: one that a notebook
            keeps and nobody has a name for, say. The old one's `publish` then raises `ChannelLostError`, and
            its `close` removes nothing. Writers that nothing refers to any more are out of the way anyway.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default.

    Raises:
        InvalidNameError: `name` or `policy_id` is not allowed.
        ChannelBusyError: a live writer owns the channel. One of this process: with the line that opened it.
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
        required: Sequence[str] = ["approx_total_training_steps"],
        leftover: Literal["continue", "replace", "refuse"] = "continue",
        verify_every: float = 1.0,
        default: Callable[[Any], Any] | None = None,
        supersede: bool = False,
        directory: str | PathLike[str] | None = None,
    ) -> Self: ...
    def publish(self, info: Mapping[Any, Any] | DataclassInstance) -> int:
        """Publish a dictionary and return its version.

        What it holds is copied; a failed call changes nothing. Readers get:

        | published | read |
        |---|---|
        | `None`, `bool`, `int` of any size, `float`, `str`, `bytes` | the same, to the bit |
        | member of an `Enum` | its value |
        | `dict`, any other `Mapping` | `dict`, in the same order |
        | `list`; `tuple`, namedtuple | `list`; `tuple` |
        | any other `Sequence` (deque, range, `array.array`) | `list` |
        | instance of a dataclass | `dict` of its fields |
        | `bytearray`, `memoryview` | `bytes` |
        | numpy array (numbers, times, `S`, `U`, the dtypes of ml_dtypes) | the same, read-only |
        | numpy scalar | the same |
        | torch tensor on any device | CPU tensor, or array in an env without torch |
        | any other array with `__dlpack__` (JAX, CuPy) | numpy array |

        `.copy()` of a read-only array gives one to write to.

        Keys are `str` or `int`, or become one: an `Enum` member, a numpy integer. Everything else goes
        through the writer's `default`, or is refused with a remedy: `info["a"][3]: pathlib.PosixPath is not
        supported; use str(...)`. `info` itself may be a mapping, a dataclass instance, or what `default`
        makes a dictionary of.

        An array that another thread writes to while it is published may arrive half old, half new: numpy
        writes without the interpreter's lock. Let only the publishing thread write to it, or publish a copy
        that was made under a lock of your own.

        Code of the values (a mapping's methods, say), and `default`, may itself publish. What is stored last
        is the newest: an inner call comes before the outer one. An inner `close` ends the outer call with
        `ChannelClosedError`.

        Raises:
            MissingKeyError: a required key is not there.
            UnsupportedTypeError: a value or key has a type that a snapshot cannot hold.
            Others: what the code of a value, or `default`, raises; a note says where it stood.
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

        The last dictionary is the one that is the newest when the changes have been encoded. A change
        replaces the whole value of an entry, also where that is a dictionary.
        `update(**{"reward_shaping.goal": 2.0})` adds an entry of that name, with the dot in it: what is
        further down is changed by `update_in`.

        Raises: as `publish`.
        """

    @overload
    def update_in(self, path: str | tuple[str | int, ...], value: Any) -> int:
        """Publish the last dictionary with values changed further down, and return its version.

        `update_in("reward_shaping.goal", 2.0)` changes one value, `update_in({path: value, ...})` several in
        one publish. The other values stay as they are in the newest dictionary.

        Args:
            path: names with dots between them, or a tuple of keys, as for `TrainingInfoReader.key`; or a
                dictionary from such paths to their values.
            value: what to put there, in the place of what is there. The last key of a path may be new to its
                dictionary; an item of a list or tuple can be replaced, not added.

        Raises:
            MissingKeyError: what is above the last key is not there, or is no dictionary, list or tuple.
            ValueError: it is no path, or two paths would replace the same value.
            TypeError: a path is neither a string nor a tuple of `str` and `int`.
            Others as `publish`.

        Example:
            >>> with traincast.TrainingInfoWriter("docs-update-in") as writer:
            ...     writer.publish({"approx_total_training_steps": 0, "reward_shaping": {"goal": 1.0}})
            ...     writer.update_in("reward_shaping.goal", 2.0)
            1
            2
        """

    @overload
    def update_in(self, path: Mapping[_Path, Any]) -> int: ...
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold.

        `name`, `policy_id`, `version`, `epoch`, `training_info` (`None` before the first).
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the training information of a checkpoint.

        Versions go on above both the checkpoint's and the channel's own, so that no reader sees one twice.
        """

    def publish_wire(self, message: bytes, /, *, published_ns: int | None = None) -> int | None:
        """Publish a snapshot from `read_wire` under the numbers of its origin, and return its version.

        `published_ns`: when it was published, on this machine's `time.monotonic_ns`; None: now.

        Returns: `None` if it is the newest already.

        Raises:
            InvalidSnapshotError: the bytes are no snapshot in wire form, or damaged.
            OutdatedSnapshotError: the channel has a newer one.
            Others as `publish`.
        """

    def read_wire(self) -> bytes | None:
        """The newest snapshot in wire form, for a checkpoint's file.

        Returns: `None` before the first, and once this writer is closed.
        """

    def leave(self, link: Literal["learner closed", "learner lost", "link lost"], /) -> None:
        """Let go of a channel whose learner runs on another machine; for relays.

        `"learner closed"` ends the channel as `close` does. Otherwise its file stays, as after a death:
        readers keep the last snapshot, `writer_alive` is false, and another writer may take the channel over.
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
    def directory(self) -> Path:
        """Where the channel is."""

    @property
    def closed(self) -> bool:
        """Whether this writer was closed, or has lost its channel."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None: ...

@final
class TrainingInfoReader(Generic[_Info_co]):
    """Reads the newest training information of a channel.

    Reading never waits for the writer and never writes to the channel. When the writer dies or closes, the
    last snapshot stays; when another one opens the channel, the reader moves over by itself. Readers are
    pickled by name.

    A reader is no mapping, for each call looks at the channel anew: `reader[key]`, `key in reader`,
    `len(reader)` and `reader.get(key)` each answer from one `read`, and two of them may see two snapshots.
    For values that belong together, and to iterate, take `info = reader.read()`. A reader is true, and equal
    to itself alone, whatever it reads.

    For type checkers, `TrainingInfoReader[MyTypedDict]("my-run")` gives dictionaries of that type. That is
    taken at its word: nothing is compared with it at runtime.

    Args:
        name: the channel.
        policy_id: which policy's.
        attach_timeout: seconds to wait for the channel's first snapshot.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default.

    Raises:
        ChannelNotFoundError: there is no such channel (yet).
        InvalidNameError: `name` or `policy_id` is not allowed.
        CorruptChannelError: the channel's file is damaged.
        IncompatibleChannelError: it is another program's, or of another layout version.
        InsecureDirectoryError: the channel directory cannot be trusted.

    Example:
        >>> with traincast.TrainingInfoWriter("docs-reader") as writer:
        ...     writer.publish({"approx_total_training_steps": 4096, "level": 3})
        ...     reader = traincast.TrainingInfoReader("docs-reader")
        ...     reader.read()
        1
        {'approx_total_training_steps': 4096, 'level': 3}
    """

    def __new__(
        cls,
        name: str,
        policy_id: int = 0,
        *,
        attach_timeout: float = 0.0,
        directory: str | PathLike[str] | None = None,
    ) -> Self: ...
    def read(self) -> _Info_co:
        """The newest dictionary; the same object while nothing changed.

        The dictionary is this reader's own, and may be changed. Its arrays are read-only views on memory that
        the process shares: `array.copy()` is one to write to (and `tensor.clone()`: torch cannot protect a
        tensor, so do not write to what this gives).

        Raises:
            CorruptChannelError: something else than a writer has written to the file.
            ChannelClosedError: this reader is closed.
        """

    def changed(self) -> bool:
        """Whether `read` would give a newer dictionary than the last one."""

    def read_if_changed(self) -> _Info_co | None:
        """The newest dictionary if it is newer than the last one that this reader gave, else `None`."""

    def key(self, path: str | tuple[str | int, ...], default: Any = ...) -> TrainingInfoKey[Any]:
        """A callable that gives one value of the newest snapshot, without a dictionary of the others.

        Args:
            path: names with dots between them: `"reward_shaping.goal"`; or a tuple of keys, for names with a
                dot in them and for `int` keys: `("reward_shaping", 7)`. In a list or tuple a number is an
                index: `"layers.0.lr"`, `("layers", -1, "lr")`.
            default: what to give while the path leads nowhere. With `...` that is an error, which says where
                it ends and what is similar: so leave it out where the value must be there.

        Raises:
            ValueError: it is no path: empty, or with an empty name in it.
            TypeError: it is neither a string nor a tuple of `str` and `int`.
            ChannelClosedError: this reader is closed.
        """

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under a key of the newest dictionary, or `default`: from one `read`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until `changed`, for at most `timeout` seconds.

        Returns: `changed`; `False` at once if the channel is closed and has no successor.
        """

    def read_wire(self) -> bytes:
        """The newest snapshot in wire form: what a relay carries to `publish_wire` on another node."""

    def close(self) -> None:
        """Let go of the channel; `read` then raises. Closing twice is allowed."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __contains__(self, key: Any, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    __iter__: None
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __getnewargs_ex__(self) -> tuple[tuple[str, int], dict[str, Any]]: ...
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
    def directory(self) -> Path:
        """Where the channel is."""

    @property
    def closed(self) -> bool:
        """Whether the writer closed the channel and none has opened it since, or this reader was closed."""

    @property
    def served(self) -> bool:
        """Whether the channel is served: by its writer, or by a relay that waits for the learner.

        A learner that took the channel over does so from its first snapshot on.
        """

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

@final
class TrainingInfoKey(Generic[_Value_co]):
    """Gives one value of a reader's channel: `reader.key(path)` makes it, and it is called without arguments.

    Each call looks at the channel, as `read` does, and gives the value of one snapshot, the newest; the same
    object while nothing changed. Two keys that are called one after the other may see two snapshots: take
    values that belong together from one `read`, or by the key of the dictionary that holds them.

    A call is not a read: the reader's `version`, `epoch`, `age`, `changed` and `read_if_changed` are about
    dictionaries. This key's own `version` says which snapshot its last value is from.

    What is not a `bool`, `int` or `float` is decoded by itself, with all that is below it. Arrays are
    read-only, as those of `read` are.

    Raises, when called:
        MissingKeyError: the newest snapshot has nothing under the path, and there is no default.
        CorruptChannelError: something else than a writer has written to the file.
        ChannelClosedError: the reader is closed.

    Example:
        >>> with traincast.TrainingInfoWriter("docs-key") as writer:
        ...     writer.publish({"approx_total_training_steps": 0, "reward_shaping": {"goal": 1.0}})
        ...     goal = traincast.TrainingInfoReader("docs-key").key("reward_shaping.goal")
        ...     goal()
        ...     writer.update_in("reward_shaping.goal", 2.0)
        ...     goal()
        1
        1.0
        2
        2.0
    """

    def __new__(
        cls, reader: TrainingInfoReader[Any], path: str | tuple[str | int, ...], default: Any = ...
    ) -> Self: ...
    def __call__(self) -> _Value_co:
        """The value in the newest snapshot."""

    @property
    def path(self) -> str | tuple[str | int, ...]:
        """The path that leads to the value: a dotted string where that says all, else a tuple."""

    @property
    def version(self) -> int:
        """The version of the snapshot that the last value is from; 0 before the first call."""

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

__version__: str

known_layouts: tuple[str, ...]
"""The types whose objects the module reads directly.

There are none on versions of CPython that it does not know, and none with the environment variable
`TRAINCAST_OFFICIAL_API=1`: then it asks the interpreter.
"""

@disjoint_base
class ScoreWriter:
    """Counts the episodes of this process on a channel's scoreboard: see `traincast.scores`."""

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    def record(
        self,
        task: int,
        *,
        success: bool = False,
        episode_return: float = 0.0,
        length: int = 0,
        score: float | None = None,
    ) -> bool:
        """Count an episode of a task, whole or not at all; exactly once, whatever is killed afterwards.

        Numbers may be numpy's, or tensors of one element, on a GPU too. `score` is what `last_score` shows;
        None: the return. Returns False, and counts nothing, while there is no scoreboard: the learner has not
        made one yet, or has ended it.

        Raises: ValueError if there is no such task, or a number is not finite.
        """

@final
class ScoreCounters:
    """The counters of a channel's scoreboard, as bytes; `traincast.scores.Scoreboard` makes arrays of them.

    With `tasks`: the one that the learner keeps, made if there is none. Without: a look at somebody's.
    With `part_of`: the one that a relay keeps as a part of a learner's elsewhere, which has that incarnation.
    """

    def __new__(
        cls,
        name: str,
        policy_id: int = 0,
        tasks: int | None = None,
        *,
        part_of: int = 0,
        directory: str | PathLike[str] | None = None,
    ) -> Self: ...
    @property
    def tasks(self) -> int:
        """How many tasks there are."""

    @property
    def incarnation(self) -> int:
        """Drawn when the file was made: the counts of another one begin at zero."""

    def collect(self) -> bytes:
        """Look at all counters; what has come to them since the last time, six words for each task."""

    def resume(self, collected: bytes | None = None, counted: bytes | None = None) -> None:
        """Go on from what `collected` and `counted` returned. None: from nothing, and as counted last."""

    def collected(self) -> bytes:
        """All that `collect` has returned, added up."""

    def counted(self) -> bytes:
        """What the counters were when they were looked at last, since the file was made."""

    def blocks(self) -> list[tuple[bool, int, int]]:
        """For each process that has recorded: whether it lives, its pid, the episodes of its block."""

    @property
    def ended(self) -> bool:
        """Whether nobody collects any more."""

    def totals(self) -> bytes:
        """Look at all counters; for each task with episodes seven words, its number first; for relays."""

    def finish(self) -> bytes:
        """End the scoreboard, and return its totals then."""

    def close(self) -> None:
        """End the scoreboard, if it is this object's to end. Closing twice is allowed."""

@final
class RemoteScores:
    """The scoreboard of a learner of this machine, for its relay: takes what other machines have counted.

    Raises: ChannelNotFoundError if no learner of this machine keeps one.
    """

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    @property
    def incarnation(self) -> int:
        """Which scoreboard it is: see `ScoreCounters`."""

    @property
    def tasks(self) -> int:
        """How many tasks there are."""

    @property
    def ended(self) -> bool:
        """Whether the learner has ended it."""

    def take(self, node: int, totals: bytes, /) -> int:
        """Take the totals of another machine's scoreboard, as `ScoreCounters.totals` gives them.

        `node` is its incarnation. Returns how many tasks have newer numbers now; the same ones again, and
        older ones, change nothing.

        Raises: ValueError: these are no totals. StorageFullError.
        """

@final
class RelayLock:
    """The right to be a channel's relay on this machine: see `traincast.relay`.

    Ends with `close`, or with the process.

    Raises: ChannelBusyError if another relay serves the channel here.
    """

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    def keep(self) -> None:
        """Make sure that the lock is still held; take it again where it was dropped or its file removed.

        Raises: ChannelBusyError if another relay came meanwhile: this one should end.
        """

    def announce(self, status: str, /) -> None:
        """Write down what `list_channels` shows as `relay`: JSON of at most a megabyte."""

    def close(self) -> None:
        """Let go. Closing twice is allowed."""

    @property
    def directory(self) -> Path:
        """Where the channel is."""

@final
class RelaySource:
    """Reads a channel in wire form, for the relay of the learner's machine; nothing is decoded.

    Raises: ChannelNotFoundError and others, as `TrainingInfoReader`.
    """

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    def wait(self, timeout: float, /) -> bytes | None:
        """The newest snapshot if it is another one than the last that this gave.

        Sleeps for at most `timeout` seconds, and half a second, until there is one; `None` if there is none.
        """

    @property
    def link(self) -> str:
        """How the learner stands to the file: `"local"` where it writes the file itself."""

    @property
    def closed(self) -> bool:
        """Whether the learner closed the channel."""

    @property
    def writer_alive(self) -> bool:
        """Whether the learner lives."""

def close_writers() -> None:
    """Close the writers of this process: what happens at its normal exit."""

def decode_wire(message: bytes, /) -> dict[str, Any]:
    """What a snapshot in wire form holds: `version`, `epoch` and `training_info`, as in a `state_dict`.

    Raises:
        InvalidSnapshotError: the bytes are no snapshot in wire form, or damaged.
    """

def directory() -> str:
    """The directory in which a new channel would be made; checked if it is there."""

def directories() -> list[str]:
    """The directories in which channels are looked for: `$TRAINCAST_DIR` alone, or the two default ones."""

def displace(
    name: str, policy_id: int, /, host: str, pid: int, *, directory: str | PathLike[str] | None = None
) -> bool:
    """End the publishing of this machine's learner: that of another machine has won the channel; for relays.

    Its next `publish` raises `ChannelLostError`, which names `host` and `pid`. Returns False if there is no
    file.
    """

def list_channels(*, directory: str | PathLike[str] | None = None) -> list[dict[str, Any]]:
    """One dictionary for each channel file of the directory, the broken ones with their reason.

    Each of its `readers` says how far it is `behind` in versions, and by how many seconds what it has last
    seen is older than the newest snapshot (`seconds_behind`; `None` if it has seen none).
    """

def leftovers(*, directory: str | PathLike[str] | None = None) -> list[dict[str, Any]]:
    """The files that dead writers left: `path`, `size` in bytes, `why`. Never one of a live channel."""

def relay_status(name: str, policy_id: int, /, *, directory: str | PathLike[str] | None = None) -> str | None:
    """What the channel's relay on this machine says of itself, as JSON; `None` if no relay serves it."""

def remove_leftover(path: str, /, *, directory: str | PathLike[str] | None = None) -> bool:
    """Remove one of `leftovers()`, looked at once more under the channel's lock.

    `False` if it is one no longer.
    """
