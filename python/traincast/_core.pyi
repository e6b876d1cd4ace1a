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

# The type of a reader's dictionaries, for example a TypedDict.
_Info_co = TypeVar("_Info_co", bound=Mapping[Any, Any], default=dict[Any, Any], covariant=True)
_Path = TypeVar("_Path", bound=str | tuple[str | int, ...])
# The type of the value under a key.
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
        leftover: what to do with the channel of a writer that died without closing it: `"continue"` takes it
            over (versions go on, the epoch grows by one), `"replace"` starts anew, `"refuse"` raises.
        verify_every: how often, in seconds, `publish` checks that the channel still belongs to this writer.
            In between, it makes no system call unless a reader sleeps in `wait` or the file must grow. 0:
            at each publish; `math.inf`: never.
        default: called, as by `json.dumps`, with each value that `publish` would refuse. What it returns is
            published instead; if that would be refused as well, `default` is called with it in turn. If it
            returns the value itself, the value is refused. An exception in it ends the publish; a note on the
            exception says where the value is.
        supersede: take the channel from another writer of this process that still owns it, for example one
            that a notebook keeps although no variable refers to it. The old writer's `publish` then raises
            `ChannelLostError`, and its `close` removes nothing. A writer that nothing refers to any more does
            not stand in the way.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default.

    Raises:
        InvalidNameError: `name` or `policy_id` is not allowed.
        ChannelBusyError: a live writer owns the channel. If it is in this process, the message names the line
            that opened it.
        ChannelExistsError: a dead writer left the channel, and `leftover="refuse"`.
        CorruptChannelError: the channel's file is damaged.
        IncompatibleChannelError: the file is another program's, or of another layout version.
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

        All values are copied. A call that fails changes nothing. Readers get:

        | published | read |
        |---|---|
        | `None`, `bool`, `int` of any size, `float`, `str`, `bytes` | the same, to the bit |
        | member of an `Enum` | its value |
        | `dict`, any other `Mapping` | `dict`, in the same order |
        | `list`; `tuple`, namedtuple | `list`; `tuple` |
        | any other `Sequence` (deque, range, `array.array`) | `list` |
        | instance of a dataclass, unless it can be called | `dict` of its fields |
        | `bytearray`, `memoryview` | `bytes` |
        | numpy array (numbers, times, `S`, `U`, the dtypes of ml_dtypes) | the same, read-only |
        | numpy scalar | the same |
        | torch tensor on any device | CPU tensor, or array in an env without torch |
        | any other array with `__dlpack__` (JAX, CuPy) | numpy array |

        `.copy()` of a read-only array is writable.

        Keys are `str` or `int`, or become one: an `Enum` member, a numpy integer. Everything else goes
        through the writer's `default`, or is refused with a remedy: `info["a"][3]: pathlib.PosixPath is not
        supported; use str(...)`. `info` itself may be a mapping, a dataclass instance, or what `default`
        turns into a dictionary.

        An array that another thread changes during the call may arrive half old and half new, because numpy
        writes without the interpreter's lock. Let only the publishing thread write to it, or publish a copy
        made under a lock of your own.

        The code of values, such as a mapping's methods, and `default` may publish in turn. The snapshot that
        is stored last is the newest, so an inner call comes before the outer one. An inner `close` ends the
        outer call with `ChannelClosedError`.

        Raises:
            MissingKeyError: a required key is missing.
            UnsupportedTypeError: a value or key has a type that a snapshot cannot hold.
            Others: what the code of a value, or `default`, raises; a note says where the value is.
            InvalidSnapshotError: a cycle, more than 64 levels, a lone surrogate, or a key that occurs twice.
            PayloadTooLargeError: the snapshot does not fit `max_capacity`.
            StorageFullError: the channel had to grow, and there is no room.
            ChannelClosedError: this writer is closed.
            ChannelLostError: another process has the channel; this writer publishes nothing more.
            ForkedWriterError: this is a forked child's copy of the writer.

        Warns:
            TraincastWarning: once, if the channel's files were removed and cannot be put back. Envs that are
                attached go on reading. The snapshot has been published by then: where warnings are errors,
                the call raises, but `version` is the new one.
        """

    def update(self, **changes: Any) -> int:
        """Publish the last dictionary with these entries changed or added, and return its version.

        The last dictionary is the newest one at the moment when the changes have been encoded. A change
        replaces the whole value of an entry, even if that is a dictionary.
        `update(**{"reward_shaping.goal": 2.0})` adds an entry with a dot in its name: use `update_in` to
        change nested values.

        Raises: as `publish`.
        """

    @overload
    def update_in(self, path: str | tuple[str | int, ...], value: Any) -> int:
        """Publish the last dictionary with nested values changed, and return its version.

        `update_in("reward_shaping.goal", 2.0)` changes one value, `update_in({path: value, ...})` several in
        one publish. The other values stay as they are in the newest dictionary.

        Args:
            path: names with dots between them, or a tuple of keys, as for `TrainingInfoReader.key`; or a
                dictionary from such paths to their values.
            value: the new value. The last key of a path may be new to its dictionary; an item of a list or
                tuple can be replaced, but not added.

        Raises:
            MissingKeyError: what is above the last key is missing, or is not a dictionary, list or tuple.
            ValueError: a path is empty or has an empty name in it, or two paths would replace the same value.
            TypeError: a path is neither a string nor a tuple of `str` and `int`.
            Others as `publish`.

        Example:
            >>> with traincast.TrainingInfoWriter("docs-update-in") as writer:
            ...     writer.publish({"approx_total_training_steps": 0, "reward_shaping": {"goal": 1.0}})
            ...     writer.update_in("reward_shaping.goal", 2.0)
            1
            2
        """

    @overload  # a dictionary that is written in the call may have paths of both kinds
    def update_in(self, path: Mapping[str | tuple[str | int, ...], Any]) -> int: ...
    @overload
    def update_in(self, path: Mapping[_Path, Any]) -> int: ...
    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint should hold.

        A dictionary with `name`, `policy_id`, `version`, `epoch` and `training_info` (`None` before the first
        snapshot).
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the training information of a checkpoint.

        Versions go on above both the checkpoint's and the channel's own, so that no reader sees one twice. A
        state without training information sets the versions alone.

        Raises:
            KeyError: the state lacks `version`, `epoch` or `training_info`.
            Others as `publish`.
        """

    def publish_wire(self, message: bytes, /, *, published_ns: int | None = None) -> int | None:
        """Publish a snapshot from `read_wire` under the version and epoch of its origin; return its version.

        `published_ns`: when it was published, by this machine's `time.monotonic_ns`; None: now.

        Returns: `None` if this snapshot is already the newest.

        Raises:
            InvalidSnapshotError: the bytes are not a snapshot in wire form, or are damaged.
            OutdatedSnapshotError: the channel has a newer one.
            Others as `publish`.
        """

    def read_wire(self) -> bytes | None:
        """The newest snapshot in wire form, to be saved as a file, for example.

        Returns: `None` before the first snapshot, and after this writer was closed.
        """

    def leave(self, link: Literal["learner closed", "learner lost", "link lost"], /) -> None:
        """Let go of a channel whose learner runs on another machine; for relays.

        `"learner closed"` ends the channel as `close` does. Otherwise its file stays, as after a death:
        readers keep the last snapshot, `writer_alive` is false, and another writer may take the channel over.
        """

    def close(self) -> None:
        """End the channel.

        Its files are removed; readers keep the last snapshot and see `closed`. Closing twice is allowed. A
        normal exit of the interpreter closes the writers that are open.
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

    A reader is not a mapping, because each call looks at the channel anew: `reader[key]`, `key in reader`,
    `len(reader)` and `reader.get(key)` each answer from one `read`, and two of them may see two snapshots.
    For values that belong together, and to iterate, use `info = reader.read()`. A reader is always true, and
    equal only to itself.

    For type checkers, `TrainingInfoReader[MyTypedDict]("my-run")` gives dictionaries of that type. Nothing
    checks this at runtime.

    Args:
        name: the channel.
        policy_id: the policy that the channel is about, 0 to 65535.
        attach_timeout: seconds to wait for the channel's first snapshot.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default.

    Raises:
        ChannelNotFoundError: there is no such channel (yet).
        InvalidNameError: `name` or `policy_id` is not allowed.
        CorruptChannelError: the channel's file is damaged.
        IncompatibleChannelError: the file is another program's, or of another layout version.
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
        the process shares: write to an `array.copy()`. torch cannot protect a tensor, so do not write to one
        that this returns, but to its `tensor.clone()`.

        Raises:
            CorruptChannelError: something other than a writer has written to the file.
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
            default: what the callable returns while the path leads nowhere. With `...` it raises
                `MissingKeyError` instead, which says where the path ends and names similar keys: leave the
                default out where the value must exist.

        Raises:
            ValueError: the path is empty, or has an empty name in it.
            TypeError: the path is neither a string nor a tuple of `str` and `int`.
            ChannelClosedError: this reader is closed.
        """

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under a key of the newest dictionary, or `default`: from one `read`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until `changed`, for at most `timeout` seconds; None: without a limit.

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
        """The policy that the channel is about."""

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

    Each call looks at the channel, as `read` does, and returns the value in the newest snapshot; the same
    object while nothing changed. Two keys that are called one after the other may see two snapshots: take
    values that belong together from one `read`, or use the key of the dictionary that holds them.

    A call is not a read: the reader's `version`, `epoch`, `age`, `changed` and `read_if_changed` are about
    dictionaries. This key's own `version` says which snapshot its last value is from.

    What is not a `bool`, `int` or `float` is decoded by itself, with all that is below it. Arrays are
    read-only, as those of `read` are.

    Raises, when called:
        MissingKeyError: the newest snapshot has nothing under the path, and there is no default.
        CorruptChannelError: something other than a writer has written to the file.
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
        """The path that leads to the value: a dotted string where that is enough, otherwise a tuple."""

    @property
    def version(self) -> int:
        """The version of the snapshot that the last value is from; 0 before the first call."""

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

__version__: str

known_layouts: tuple[str, ...]
"""The types whose objects the module reads directly, by their memory layout.

Empty on versions of CPython whose layouts it does not know, and with the environment variable
`TRAINCAST_OFFICIAL_API=1`: then it uses the official C API alone.
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

        Numbers may be numpy's, or tensors of one element, on a GPU, too.

        Args:
            task: the number of the task, from 0.
            success: whether the episode succeeded.
            episode_return: the sum of its rewards.
            length: how many steps it had.
            score: what `last_score` shows; None: the return.

        Returns: `False`, with nothing counted, while there is no scoreboard: the learner has not created it
            yet, or has ended it.

        Raises:
            ValueError: there is no such task, or a number is not finite.
        """

@final
class ScoreCounters:
    """The counters of a channel's scoreboard, as bytes; `traincast.scores.Scoreboard` makes arrays of them.

    With `tasks`: the learner's own scoreboard, created if there is none. Without: a look at an existing one.
    With `part_of`: a relay's part, on this machine, of the scoreboard with that incarnation, which a learner
    on another machine keeps.
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
        """A number drawn when the file was created; in a file with another one all counts began at zero."""

    def collect(self) -> bytes:
        """Return what was added to the counters since the last call: six 64-bit words for each task.

        They are episodes, successes, the sums of returns and of squared returns, the sum of lengths, and the
        last score.
        """

    def resume(self, collected: bytes | None = None, counted: bytes | None = None) -> None:
        """Resume from what `collected` and `counted` returned.

        `collected=None` begins the sums at zero; `counted=None` keeps the counters as they were last read.
        """

    def collected(self) -> bytes:
        """The sum of all that `collect` has returned."""

    def counted(self) -> bytes:
        """The counters as they were last read; they grow from the creation of the file on."""

    def blocks(self) -> list[tuple[bool, int, int]]:
        """For each process that has recorded: whether it lives, its pid, the episodes of its block."""

    @property
    def ended(self) -> bool:
        """Whether nobody collects any more."""

    def totals(self) -> bytes:
        """Return seven words for each task that has episodes: its number and its six counters; for relays."""

    def finish(self) -> bytes:
        """End the scoreboard, and return its final `totals`."""

    def close(self) -> None:
        """End the scoreboard, if it belongs to this object. Closing twice is allowed."""

@final
class RemoteScores:
    """The scoreboard of a learner on this machine, to which its relay adds what other machines have counted.

    Raises:
        ChannelNotFoundError: no learner on this machine keeps one.
    """

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    @property
    def incarnation(self) -> int:
        """The incarnation of the scoreboard: see `ScoreCounters`."""

    @property
    def tasks(self) -> int:
        """How many tasks there are."""

    @property
    def ended(self) -> bool:
        """Whether the learner has ended it."""

    def take(self, node: int, totals: bytes, /) -> int:
        """Take the totals of another machine's scoreboard, as `ScoreCounters.totals` gives them.

        `node` is its incarnation. Returns for how many tasks the numbers were newer. The same numbers again,
        and older ones, change nothing.

        Raises:
            ValueError: the bytes are not totals.
            StorageFullError: the file had to grow, and there is no room.
        """

@final
class RelayLock:
    """The right to be a channel's relay on this machine: see `traincast.relay`.

    Ends with `close`, or with the process.

    Raises:
        ChannelBusyError: another relay serves the channel here.
    """

    def __new__(
        cls, name: str, policy_id: int = 0, *, directory: str | PathLike[str] | None = None
    ) -> Self: ...
    def keep(self) -> None:
        """Make sure that the lock is still held; take it again if it was dropped or its file removed.

        Raises:
            ChannelBusyError: another relay has taken it meanwhile, so this one should end.
        """

    def announce(self, status: str, /) -> None:
        """Store the status that `list_channels` shows as `relay`: JSON of at most a megabyte."""

    def close(self) -> None:
        """Release the lock. Closing twice is allowed."""

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
        """Return the newest snapshot, if it is not the one that this returned last.

        Otherwise sleeps until there is one, for at most `timeout` seconds and never longer than half a
        second, and returns `None` if there is none by then.
        """

    @property
    def link(self) -> str:
        """The state of the link to the learner: `"local"` where it writes the file itself."""

    @property
    def closed(self) -> bool:
        """Whether the learner closed the channel."""

    @property
    def writer_alive(self) -> bool:
        """Whether the learner lives."""

def close_writers() -> None:
    """Close the writers of this process: what happens at its normal exit."""

def decode_wire(message: bytes, /) -> dict[str, Any]:
    """Return what a snapshot in wire form holds: `version`, `epoch` and `training_info`.

    Raises:
        InvalidSnapshotError: the bytes are not a snapshot in wire form, or are damaged.
    """

def directory() -> str:
    """The directory in which a new channel would be created; checked if it exists."""

def directories() -> list[str]:
    """The directories in which channels are looked for: `$TRAINCAST_DIR` alone, or the two default ones."""

def displace(
    name: str, policy_id: int, /, host: str, pid: int, *, directory: str | PathLike[str] | None = None
) -> bool:
    """Stop this machine's learner from publishing: one on another machine has won the channel; for relays.

    Its next `publish` raises `ChannelLostError`, which names `host` and `pid`. Returns `False` if there is no
    file.
    """

def list_channels(*, directory: str | PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Return a dictionary for each channel file of the directory; a broken one has a `reason`.

    Each of its `readers` says how many versions it is `behind`, and by how many seconds the snapshot that it
    last saw is older than the newest one (`seconds_behind`; `None` if it has seen none).
    """

def leftovers(*, directory: str | PathLike[str] | None = None) -> list[dict[str, Any]]:
    """The files that dead writers left: `path`, `size` in bytes, `why`. Never one of a live channel."""

def relay_status(name: str, policy_id: int, /, *, directory: str | PathLike[str] | None = None) -> str | None:
    """What the channel's relay on this machine says of itself, as JSON; `None` if no relay serves it."""

def remove_leftover(path: str, /, *, directory: str | PathLike[str] | None = None) -> bool:
    """Remove one of `leftovers()`, after another check under the channel's lock.

    Returns `False`, and removes nothing, if it is no longer a leftover.
    """
