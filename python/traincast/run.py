"""`Run`: the learner's handle on its training information, and on the envs that read it."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, SupportsIndex, TypeVar, overload
from weakref import WeakValueDictionary

from traincast._beginning import STEPS_KEY, first_info, whole_steps
from traincast._companions import Companion, Companions
from traincast._core import TrainingInfoWriter
from traincast._leftovers import remove_what_dead_runs_left
from traincast._names import base_of, rank, unique_name
from traincast._oversights import warn_if_in_a_starting_worker, warn_of_going_back, warn_of_silence
from traincast.errors import ChannelClosedError, ForkedWriterError
from traincast.sinks import Log, Sink, log_due
from traincast.wrappers.channel import Channel, place_of
from traincast.wrappers.kinds import wrap

__all__ = ["EnvFn", "Run"]

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.vector import VectorEnv

    from traincast.wrappers.gymnasium import TrainingInfoWrapper
    from traincast.wrappers.vector import TrainingInfoVectorWrapper

E = TypeVar("E")
O = TypeVar("O")  # noqa: E741 - observations and actions, as gymnasium's
A = TypeVar("A")


class Run:
    """One training: publishes its training information, and wraps the envs that read it.

        >>> run = traincast.Run("ppo")  # doctest: +SKIP
        >>> envs = [run.wrap_env_fn(make_env) for _ in range(64)]  # doctest: +SKIP
        >>> run.publish(global_step, reward_shaping={"goal": 1.0})  # doctest: +SKIP

    A run has a unique name, so that the runs of one script, of a sweep in one process, or of a notebook cell
    never share a channel. The first snapshot is published at once: no env resets before it. The run ends with
    `close`, with its `with` block, or with the process.

    It pickles as a reference: a copy that an env function or a callback takes to a worker process can wrap
    envs there, but not publish. In the process that made the run, a copy is the run itself.

    If `RANK` and `WORLD_SIZE` are set, as by torchrun, all ranks that make their runs in the same order share
    them. Rank 0 publishes; on the others `publish` does nothing, and envs wait for the first snapshot.

    When a run starts, it removes what dead runs left: channels with unique names that nobody serves or reads.

    Args:
        name: how the unique name begins; None: the program's name. With `unique=False` the channel's name.
        policy_id: the policy that the training information is about, 0 to 65535.
        start: the training steps so far (`approx_total_training_steps`), if a framework resumes by itself.
        state: a `state_dict` of an earlier run: its training information is published at the start, and
            versions and steps go on from it.
        training_info: further entries of the first snapshot.
        curriculum: a `PooledCurriculum` or `TaskSampler`, as with `attach`.
        unique: False for two programs that meet under a fixed name. Versions go on after a dead learner of
            that name.
        per_rank: whether each rank trains by itself, and publishes to a run of its own.
        supersede: with `unique=False`: take the channel from a writer of this process that still owns it.
        directory: where the channel is; None: `$TRAINCAST_DIR`, or the default. If one of the first two is
            set, references keep that directory.
        options: further arguments of `TrainingInfoWriter`.

    Raises: as `TrainingInfoWriter`; ValueError if `start` is not a number of steps, or `state` not a state.
    """

    def __init__(
        self,
        name: str | None = None,
        policy_id: int = 0,
        *,
        start: SupportsIndex | float = 0,
        state: Mapping[str, Any] | None = None,
        training_info: Mapping[str, Any] | None = None,
        curriculum: Companion[Run] | None = None,
        unique: bool = True,
        per_rank: bool = False,
        supersede: bool = False,
        directory: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if name is None and not unique:
            raise ValueError(
                "unique=False needs a name that the other program knows: Run(name, unique=False)"
            )
        first = first_info(start, state, training_info)
        if name is None and state is not None and "name" in state:
            name = base_of(state["name"])
        asked = (os.environ.get("TRAINCAST_DIR") or None) if directory is None else directory
        self._channel = Channel(
            unique_name(name, per_rank=per_rank) if unique or name is None else name,
            index(policy_id),
            place_of(asked),
        )
        self._logs: list[Log] = []
        self._follows = rank() != 0 and not per_rank
        self._pid = os.getpid()
        self._steps: int = first[STEPS_KEY]
        self._writer: TrainingInfoWriter | None = None
        self._last_state: dict[str, Any] | None = None
        self._companions: Companions[Run] = Companions(state)
        first |= {} if curriculum is None else self._companions.add(curriculum, self._channel)
        if self._follows:
            return self._companions.begin(self)
        warn_if_in_a_starting_worker(self.name)
        if unique:  # an earlier launch with the same address and port may have left a channel of this name
            options = {"leftover": "replace"} | options
        writer = TrainingInfoWriter(
            self.name, self.policy_id, directory=self._channel.directory, supersede=supersede, **options
        )
        try:
            if state is None:
                writer.publish(first)
            else:
                writer.load_state_dict({**state, "training_info": first})
            self._writer = writer
            self._companions.begin(self)
        except BaseException:
            writer.close()  # a traceback may keep it alive
            raise
        self._first, self._since = writer.version, time.monotonic()
        _living[self._channel] = self
        remove_what_dead_runs_left(self._channel.directory)

    @property
    def name(self) -> str:
        """The name of the channel, for `TrainingInfoWrapper` and the command line."""
        assert self._channel.name is not None
        return self._channel.name

    @property
    def policy_id(self) -> int:
        """The policy that the training information is about."""
        return self._channel.policy_id

    @property
    def channel(self) -> Channel:
        """Name, policy and directory: what a reader needs."""
        return self._channel

    @property
    def steps(self) -> int:
        """The training steps that were published last; in other processes, read from the channel."""
        if self.publishes or self._follows:
            return self._steps
        return int(self.state_dict()["training_info"][STEPS_KEY])

    @property
    def publishes(self) -> bool:
        """Whether this object publishes: false in other processes, and on ranks other than 0."""
        return self._writer is not None and self._pid == os.getpid()

    @property
    def closed(self) -> bool:
        """Whether the run has ended, or has lost its channel to another writer."""
        return self._writer is not None and self._writer.closed

    def publish(self, steps: SupportsIndex | float, /, **info: Any) -> int | None:
        """Publish the training steps so far and other entries that have changed; all other entries stay.

        It takes a few hundred ns, and never waits. Returns the version; None if this rank does not publish.

        Raises: as `TrainingInfoWriter.update`; ValueError if the steps are not a whole number from 0 up;
            ForkedWriterError from a reference in another process.
        """
        writer = self._writer
        if writer is None:
            if not self._follows:
                self._published_here()
            return None
        if type(steps) is not int or steps < 0:
            steps = whole_steps(steps)
        version = writer.update(approx_total_training_steps=steps, **info)
        before, self._steps = self._steps, steps
        if self._logs:
            self._log(self._logs)
        if steps < before:
            warn_of_going_back(self._channel, before, steps)
        return version

    def attach(self, curriculum: Companion[Run]) -> None:
        """Publish the entry of a learner's curriculum, and save and restore the curriculum with the run.

        `PooledCurriculum(run, ...)` does so by itself, and integrations do. ValueError: the run has another.
        """
        if not self._follows:
            self._published_here()
        self.publish(self._steps, **self._companions.attach(curriculum, self, self._channel))

    def log_to(self, sink: Sink, *, every: float = 0.0) -> None:
        """Log every publish: `sink(steps, {name: number})` gets all numbers of the training information.

        Dots lead into nested dictionaries (`"reward_shaping.goal"`). `every` is the shortest time between two
        calls, in seconds. `publish` raises an exception of the sink, but has published by then.
        `traincast.sinks.tensorboard` turns a `SummaryWriter` into a sink. Only a rank that publishes logs.

        Raises: TypeError for a sink that cannot be called; ValueError if `every` is negative; as `publish`.
        """
        log = Log(sink, every)
        if not self._follows:
            self._published_here()
            self._logs.append(log)
            self._log([log])

    def _log(self, logs: list[Log]) -> None:
        log_due(logs, self._steps, lambda: self.state_dict()["training_info"])

    if TYPE_CHECKING:

        @overload
        def wrap_env(self, env: gymnasium.Env[O, A], **options: Any) -> TrainingInfoWrapper[O, A]: ...
        @overload
        def wrap_env(self, env: VectorEnv[Any, Any, Any], **options: Any) -> TrainingInfoVectorWrapper: ...
        @overload
        def wrap_env(self, env: Any, **options: Any) -> Any: ...

    def wrap_env(self, env: Any, **options: Any) -> Any:
        """Wrap an env so that it reads this run: a single or vector env of Gymnasium, or one of PettingZoo.

        `options` are those of the wrapper, `TrainingInfoWrapper` for a Gymnasium env. TypeError for others.
        """
        return wrap(env, self, **self._defaults | options)

    if TYPE_CHECKING:

        @overload
        def wrap_env_fn(
            self, make_env: Callable[..., gymnasium.Env[O, A]], **options: Any
        ) -> EnvFn[TrainingInfoWrapper[O, A]]: ...
        @overload
        def wrap_env_fn(
            self, make_env: Callable[..., VectorEnv[Any, Any, Any]], **options: Any
        ) -> EnvFn[TrainingInfoVectorWrapper]: ...
        @overload
        def wrap_env_fn(self, make_env: Callable[..., Any], **options: Any) -> EnvFn[Any]: ...

    def wrap_env_fn(self, make_env: Callable[..., Any], **options: Any) -> EnvFn[Any]:
        """Return a function that makes a wrapped env; it pickles whenever `make_env` does."""
        if not callable(make_env):
            raise TypeError(
                f"wrap_env_fn takes a function that makes an env, not {make_env!r}; wrap_env takes an env"
            )
        return EnvFn(make_env, self, options)

    if TYPE_CHECKING:

        @overload
        def wrap_eval_env(
            self,
            env: gymnasium.Env[O, A],
            training_info: Mapping[str, Any] | None = None,
            **options: Any,
        ) -> TrainingInfoWrapper[O, A]: ...
        @overload
        def wrap_eval_env(
            self,
            env: VectorEnv[Any, Any, Any],
            training_info: Mapping[str, Any] | None = None,
            **options: Any,
        ) -> TrainingInfoVectorWrapper: ...
        @overload
        def wrap_eval_env(
            self, env: Any, training_info: Mapping[str, Any] | None = None, **options: Any
        ) -> Any: ...

    def wrap_eval_env(self, env: Any, training_info: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Wrap an env for an evaluation: its training information stays the same, whatever the training does.

        It sees `training_info`; without that, what is newest at its first reset. If that is still the start
        of the training, it warns.
        """
        frozen = True if training_info is None else training_info
        return wrap(env, self, **self._defaults | {"frozen": frozen} | options)

    @property
    def _defaults(self) -> dict[str, Any]:
        # Rank 0 may be slower than this rank, and an earlier launch may have left a channel of this name.
        return {"on_missing": "wait", "leftover": "ignore"} if self._follows else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: name, policy_id, version, epoch, training_info (and curricula).

        A closed run still has its last state. On a rank that does not publish, and in another process, it is
        what was published last, without curricula.
        """
        if self._writer is not None and self.publishes:
            state = self._writer.state_dict()
            if state["training_info"] is None:  # closed, or lost
                if self._last_state is None:
                    raise ChannelClosedError(f"run {self.name!r} has lost its channel, and has no state left")
                state = self._last_state
            return state | self._companions.states()
        with self._channel.open() as reader:
            info = reader.read()
            state = {"name": self.name, "policy_id": self.policy_id}
            return state | {"version": reader.version, "epoch": reader.epoch, "training_info": info}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Publish the training information of a checkpoint, and go on from it."""
        if self._follows:
            return
        writer = self._published_here()
        first = first_info(0, state, None) | self._companions.restore(state, self._channel)
        writer.load_state_dict({**state, "training_info": first})
        self._steps = first[STEPS_KEY]
        self._log(self._logs)

    def close(self) -> None:
        """End the run: its channel is removed, and envs keep what they have. Closing twice is allowed."""
        writer = self._writer
        if writer is None:
            return
        silent = False
        if self.publishes and not writer.closed:
            self._last_state = writer.state_dict()
            silent = writer.version == self._first
        writer.close()
        self._companions.end()
        if silent:
            warn_of_silence(self._channel, self._steps, time.monotonic() - self._since)

    def _published_here(self) -> TrainingInfoWriter:
        if self._writer is None or not self.publishes:
            raise ForkedWriterError(
                f"this is a reference to run {self.name!r}: only the process that made the run publishes"
            )
        return self._writer

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


Run.__module__ = "traincast"  # where users and pickles find it

_living: WeakValueDictionary[Channel, Run] = WeakValueDictionary()


@atexit.register
def _end_all() -> None:
    """End what still lives at a normal exit: with its state, for those who ask for it later in the exit."""
    for run in list(_living.values()):
        if run.publishes:
            run.close()


def _referred(channel: Channel, follows: bool) -> Run:
    """Return the run itself in the process that made it, and a reference elsewhere."""
    living = _living.get(channel)
    if living is not None and living._pid == os.getpid():
        return living
    reference = Run.__new__(Run)
    reference._channel = channel
    reference._follows = follows
    reference._pid = os.getpid()
    reference._writer = None
    reference._logs = []
    reference._companions = Companions()
    reference._steps = 0
    return reference


@dataclass(frozen=True)
class EnvFn(Generic[E]):
    """A function that makes an env and wraps it: what `Run.wrap_env_fn` returns."""

    make_env: Callable[..., Any]
    run: Run
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **kwargs: Any) -> E:
        """Make an env; the arguments are those of `make_env`."""
        wrapped: E = self.run.wrap_env(self.make_env(*args, **kwargs), **self.options)
        return wrapped
