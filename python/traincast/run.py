"""`Run`: the learner's handle on its training information, and on the envs that read it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, SupportsIndex, TypeVar
from weakref import WeakValueDictionary

from traincast._core import (
    TrainingInfoReader,
    TrainingInfoWriter,
    leftovers,
    list_channels,
    remove_leftover,
)
from traincast._names import base_of, is_unique, rank, unique_name
from traincast._warnings import warn_once
from traincast.errors import ForkedWriterError, TraincastError
from traincast.sinks import Sink, numbers_of
from traincast.wrappers.channel import Channel
from traincast.wrappers.kinds import wrap

__all__ = ["EnvFn", "Run"]

E = TypeVar("E")

_STEPS = "approx_total_training_steps"


class Run:
    """One training: publishes its training information, and wraps the envs that read it.

        >>> run = traincast.Run("ppo")  # doctest: +SKIP
        >>> envs = [run.wrap_env_fn(make_env) for _ in range(64)]  # doctest: +SKIP
        >>> run.publish(global_step, reward_shaping={"goal": 1.0})  # doctest: +SKIP

    A run has a unique name, so that two runs of one script, a sweep in one process and a notebook cell that
    is run again never meet. The first snapshot is published at once: no env resets before it. The run ends
    with `close`, as a context manager, or with the process.

    It pickles as a reference: what travels to worker processes in an env function or a callback can wrap envs
    there, but not publish. In the process that made the run, a copy is the run itself.

    Under torchrun, or whatever sets `RANK` and `WORLD_SIZE`, all ranks that make their runs in the same order
    share them. Rank 0 publishes; on the others `publish` does nothing, and envs wait for the first snapshot.

    When a run starts, it removes what dead runs left: channels with unique names that nobody serves or reads.

    Args:
        name: what the run is; the unique name begins with it. None: the name of the program. With
            `unique=False` this is the channel's name itself.
        policy_id: which policy the training information is about, 0 to 65535.
        start: the training steps at the start (`approx_total_training_steps`): the number to go on from where
            a framework resumes by itself.
        state: a `state_dict` of an earlier run: its training information is published at the start, and
            versions and steps go on from it.
        training_info: further entries of the first snapshot.
        unique: False for two programs that meet under a fixed name. Such a channel goes on from what a dead
            learner of that name left.
        supersede: with `unique=False`: take the place of a writer of this process that still has the channel.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default. A directory that was asked
            for in one of the two ways travels with the reference.
        options: further arguments of `TrainingInfoWriter`.

    Raises: as `TrainingInfoWriter`.
    """

    def __init__(
        self,
        name: str | None = None,
        policy_id: int = 0,
        *,
        start: int = 0,
        state: Mapping[str, Any] | None = None,
        training_info: Mapping[str, Any] | None = None,
        unique: bool = True,
        supersede: bool = False,
        directory: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if name is None and not unique:
            raise ValueError("unique=False needs a name that the other program knows too")
        if name is None and state is not None and "name" in state:
            name = base_of(state["name"])
        first = _first(_steps(start), state, training_info)
        asked = os.environ.get("TRAINCAST_DIR") if directory is None else os.fspath(directory)
        self._channel = Channel(
            unique_name(name) if unique or name is None else name,
            policy_id,
            os.path.abspath(asked) if asked else None,
        )
        self._sinks: list[_Log] = []
        self._follows = unique and rank() != 0
        self._writer: TrainingInfoWriter | None = None
        self._steps: int = first[_STEPS]
        if self._follows:
            return
        self._writer = TrainingInfoWriter(
            self.name,
            policy_id,
            directory=self._channel.directory,
            supersede=supersede,
            **options,
        )
        if state is None:
            self._writer.publish(first)
        else:
            self._writer.load_state_dict({**state, "training_info": first})
        self._pid = os.getpid()
        _living[self._channel] = self
        _remove_what_dead_runs_left(self._channel.directory)

    @property
    def name(self) -> str:
        """The name of the channel: what `TrainingInfoWrapper` and the shell take."""
        assert self._channel.name is not None
        return self._channel.name

    @property
    def policy_id(self) -> int:
        """Which policy the training information is about."""
        return self._channel.policy_id

    @property
    def channel(self) -> Channel:
        """Name, policy and directory: what a reader needs."""
        return self._channel

    @property
    def publishes(self) -> bool:
        """Whether this object publishes: false for references elsewhere, and on ranks other than 0."""
        return self._writer is not None

    @property
    def closed(self) -> bool:
        """Whether the run has ended, or another writer has its channel."""
        return self._writer is not None and self._writer.closed

    def publish(self, steps: SupportsIndex | float, /, **info: Any) -> int | None:
        """Publish the training steps so far and whatever else has changed; keys that are not given stay.

        Costs some hundred nanoseconds, and waits for nobody. Returns the version; None on a rank that does
        not publish.

        Raises: as `TrainingInfoWriter.update`; `ForkedWriterError` from a reference in another process.
        """
        writer = self._writer
        if writer is None:
            self._not_published()
            return None
        if type(steps) is not int:
            steps = _steps(steps)
        version = writer.update(approx_total_training_steps=steps, **info)
        if steps < self._steps:
            self._went_back(steps)
        self._steps = steps
        for log in self._sinks:
            log.write(steps, info)
        return version

    def log_to(self, sink: Sink, *, every: float = 0.0) -> None:
        """Log every publish: `sink(steps, {name: number})` gets all numbers of the training information.

        Dots lead into nested dictionaries (`"reward_shaping.goal"`). `every` is the least time between two
        calls, in seconds. An exception of the sink is raised by `publish`, which has published by then.
        `traincast.sinks.tensorboard` makes a sink of a `SummaryWriter`.
        """
        info = self.state_dict()["training_info"]
        log = _Log(sink, every, {key: numbers_of({key: value}) for key, value in info.items()})
        log.write(self._steps, {})
        self._sinks.append(log)

    def wrap_env(self, env: Any, **options: Any) -> Any:
        """Wrap an env that reads this run: Gymnasium's single and vector envs, PettingZoo's of both kinds.

        `options` are those of the wrapper, `TrainingInfoWrapper` for a Gymnasium env.
        """
        return wrap(env, self, **self._defaults | options)

    def wrap_env_fn(self, make_env: Callable[..., E], **options: Any) -> EnvFn[E]:
        """Return a function that makes a wrapped env; it pickles whenever `make_env` does."""
        return EnvFn(make_env, self, options)

    def wrap_eval_env(self, env: Any, training_info: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Wrap an env whose training information stays the same, whatever the training does.

        It sees `training_info`. Without one it keeps what is newest at its first reset, and warns if that is
        still the start of the training.
        """
        frozen = True if training_info is None else training_info
        return wrap(env, self, **self._defaults | {"frozen": frozen} | options)

    @property
    def _defaults(self) -> dict[str, Any]:
        # Rank 0 may be slower than we are.
        return {"on_missing": "wait"} if self._follows else {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold: name, policy_id, version, epoch, training_info.

        On a rank that does not publish, and from a reference: what was published last.
        """
        if self._writer is not None:
            return self._writer.state_dict()
        reader = TrainingInfoReader(self.name, self.policy_id, directory=self._channel.directory)
        with reader:
            info = reader.read()
            state = {"name": self.name, "policy_id": self.policy_id}
            return state | {"version": reader.version, "epoch": reader.epoch, "training_info": info}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the training information of a checkpoint, and go on from it."""
        writer = self._writer
        if writer is None:
            self._not_published()
            return
        info = _first(0, state, None)
        writer.load_state_dict({**state, "training_info": info})
        self._steps = info[_STEPS]

    def close(self) -> None:
        """End the run: its channel goes, and envs keep what they have. Closing twice is allowed."""
        if self._writer is not None:
            self._writer.close()

    def _not_published(self) -> None:
        if not self._follows:
            raise ForkedWriterError(
                f"this is a reference to run {self.name!r}: only the process that made the run publishes"
            )

    def _went_back(self, steps: int) -> None:
        warn_once(
            ("steps went back", self._channel),
            f"run {self.name!r} went from {self._steps} training steps back to {steps}: envs see their "
            "curricula go back too. A training that goes on, or is resumed, counts on: Run(start=...) or "
            "Run(state=...)",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[Channel, bool], Run], tuple[Channel, bool]]:
        return _referred, (self._channel, self._follows)

    def __repr__(self) -> str:
        of = "" if self.publishes else ", a reference" if not self._follows else f", rank {rank()}"
        closed = ", closed" if self.closed else ""
        return f"<Run {self.name!r} policy_id={self.policy_id}{of}{closed}>"


Run.__module__ = "traincast"  # users and pickles take it from the package

_living: WeakValueDictionary[Channel, Run] = WeakValueDictionary()


def _referred(channel: Channel, follows: bool) -> Run:
    """Return the run in the process that made it, elsewhere a reference."""
    living = _living.get(channel)
    if living is not None and living._pid == os.getpid() and not living.closed:
        return living
    reference = Run.__new__(Run)
    reference._channel = channel
    reference._follows = follows
    reference._writer = None
    reference._sinks = []
    reference._steps = 0
    return reference


@dataclass(frozen=True)
class EnvFn(Generic[E]):
    """A function that makes an env and wraps it: what `Run.wrap_env_fn` returns."""

    make_env: Callable[..., E]
    run: Run
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make an env; the arguments are those of `make_env`."""
        return self.run.wrap_env(self.make_env(*args, **kwargs), **self.options)


@dataclass
class _Log:
    """A sink, and all numbers of the training information by key."""

    sink: Sink
    every: float
    numbers: dict[str, dict[str, float]]
    next_at: float = 0.0

    def write(self, steps: int, changed: Mapping[str, Any]) -> None:
        for key, value in changed.items():
            self.numbers[key] = numbers_of({key: value})
        self.numbers[_STEPS] = {_STEPS: float(steps)}
        now = time.monotonic()
        if now >= self.next_at:
            self.next_at = now + self.every
            self.sink(steps, {name: number for of in self.numbers.values() for name, number in of.items()})


def _steps(steps: SupportsIndex | float) -> int:
    if isinstance(steps, float) and steps.is_integer():
        return int(steps)
    try:
        return index(steps)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"the training steps must be a whole number, not {steps!r}") from None


def _first(
    start: int, state: Mapping[str, Any] | None, training_info: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a run begins with."""
    saved: Mapping[str, Any] = {}
    if state is not None:
        missing = [key for key in ("version", "epoch", "training_info") if key not in state]
        if missing:
            raise ValueError(f"state must be what Run.state_dict() returned; it lacks {', '.join(missing)}")
        saved = state["training_info"] or {}
    info = {_STEPS: 0, **saved, **(training_info or {})}
    if start or state is None:
        info[_STEPS] = start
    return info


def _remove_what_dead_runs_left(directory: str | None) -> None:
    # Whatever stands in the way of this, the run starts.
    with suppress(TraincastError, OSError):
        left = leftovers(directory=directory)
        of = {file["path"]: Path(file["path"]).name.lstrip(".").partition("@")[0] for file in left}
        dead = set(filter(is_unique, of.values()))
        if not dead:
            return
        for channel in list_channels(directory=directory):
            if any(reader["alive"] for reader in channel["readers"]):
                dead.discard(channel["name"])  # its envs may be waiting for somebody to look after them
        for path, name in of.items():
            if name in dead:
                remove_leftover(path, directory=directory)
