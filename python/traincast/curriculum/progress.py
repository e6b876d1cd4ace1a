"""`ProgressCurriculum`: env attributes follow the progress of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan
from typing import Any, Literal, SupportsFloat

from traincast._optional import missing
from traincast._warnings import warn_once
from traincast.errors import MissingKeyError
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import set_training_info

try:
    import gymnasium

    from traincast._specs import A, O
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.curriculum.ProgressCurriculum") from None

from traincast._infos import is_finished, number_of
from traincast.curriculum._json import read_argument
from traincast.curriculum._unfed import StillWatch, UnfedWatch
from traincast.curriculum._wrapper import CurriculumWrapper

__all__ = ["ProgressCurriculum"]

_ON_MISSING = ("warn", "ignore")


class ProgressCurriculum(CurriculumWrapper[O, A], TrainingInfoInterface):
    """Sets attributes of the env from schedules over the training progress, before each reset.

    It is a `TrainingInfoInterface`: put `TrainingInfoWrapper` around it (with Sample Factory,
    `traincast.integrations.sample_factory` feeds it). It passes what it receives on to an interface further
    inside.

    An attribute changes wherever it is defined inside the env, as with Gymnasium's `set_wrapper_attr`. A name
    with dots is a path: the first name is found in this way, and the others are attributes of what was found
    (`"unwrapped.model.opt.gravity"`; `unwrapped` is the innermost env). A method, such as `"set_gravity"`, is
    called with the value. If nothing defines the attribute, or it cannot be set, `reset` raises
    `AttributeError`.

    At each reset, and in the last step of an episode, `info["curriculum"]` is a dictionary of floats:
    `progress`, and the value of each attribute in this episode, if it is a number. Nested curricula share the
    dictionary; if two use the same key, the value of the outer one counts. There is no such entry while the
    attributes are left unchanged.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        schedules: for each attribute a `Schedule`, or another callable that takes the progress.
        key: the key of the training information that holds the progress.
        default: the progress while there is no training information; None: attributes stay unchanged until
            there is.
        info_key: another key of `info` for these values; None: do not show them.
        on_missing: `"warn"` (a `TraincastWarning`, once per process) if nothing feeds the curriculum, after
            100 resets or 5 seconds; at the first reset, if `TrainingInfoWrapper` is inside of it by mistake;
            and if nothing has come after the first training information in 5 minutes and 100 resets.
            `"ignore"` if it is meant to stay at `default`.

    Raises: MissingKeyError at a reset, if the training information has no such key; AttributeError, see
        above.

    Example:
        >>> env = ProgressCurriculum(env, {"gravity": Linear(1.0, 9.8, 1_000_000)})  # doctest: +SKIP
        >>> env = TrainingInfoWrapper(env, "my-run")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[O, A],
        schedules: Mapping[str, Callable[[float], Any]],
        *,
        key: str = "approx_total_training_steps",
        default: float | None = 0,
        info_key: str | None = "curriculum",
        on_missing: Literal["warn", "ignore"] = "warn",
    ) -> None:
        if on_missing not in _ON_MISSING:
            raise ValueError(f"on_missing must be one of {_ON_MISSING}, not {on_missing!r}")
        schedules = dict(read_argument(schedules))
        for name, schedule in schedules.items():
            if not callable(schedule):
                raise TypeError(
                    f"the schedule of {name!r} cannot be called with the progress: {schedule!r}; "
                    "use Constant(...) to make a schedule of a value"
                )
        super().__init__(
            env, schedules=schedules, key=key, default=default, on_missing=on_missing, info_key=info_key
        )
        TrainingInfoInterface.__init__(self)
        self.values: dict[str, Any] = {}
        """The attributes and what the last reset set them to."""
        self._schedules = schedules
        self._key = key
        self._default = default
        self._followed = default  # the progress of the last reset
        self._shown: dict[str, Any] | None = None  # the progress and the values of this episode
        self._unfed: UnfedWatch | StillWatch | None = UnfedWatch() if on_missing == "warn" else None

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        """Receive the newest training information; the next reset acts on it."""
        self.training_info = training_info
        self._unfed = StillWatch() if isinstance(self._unfed, UnfedWatch) else None
        set_training_info(self.env, training_info)

    @property
    def progress(self) -> float | None:
        """The progress that the schedules are called with at the next reset; None: they are not called."""
        if not self.training_info:
            return self._default
        try:
            progress: float = self.training_info[self._key]
        except KeyError:
            raise MissingKeyError(
                f"the training information has no {self._key!r} for the curriculum to follow, only "
                f"{sorted(map(str, self.training_info))}"
            ) from None
        if progress is None or isnan(number_of(progress) or 0.0):  # the average of no episodes, say
            warn_once(
                ("no progress", self._key),
                f"the training information has {progress} under {self._key!r}, which is no progress: {self} "
                f"stays where it was, at {self._followed}. Publish a number.",
            )
            return self._followed
        return progress

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[O, dict[str, Any]]:
        """Set the attributes, then reset the env."""
        if self._unfed is not None:
            self._unfed.at_reset(self)
        progress = self.progress
        if progress is not None:
            for name, schedule in self._schedules.items():
                value = schedule(progress)
                self._setter.set(self.env, name, value)
                self.values[name] = value
            self._followed = progress
            self._shown = {"progress": progress, **self.values}
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info if self._shown is None else self._shown_in(info, self._shown)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env; at the end of an episode, show its progress and values in the info."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._shown is not None and is_finished(terminated, truncated):
            info = self._shown_in(info, self._shown)
        return observation, reward, terminated, truncated, info


ProgressCurriculum.__module__ = "traincast.curriculum"  # where users, pickles and env specs find it
