"""`ProgressCurriculum`: env attributes follow the progress of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from traincast._optional import missing
from traincast.curriculum._attributes import AttributeSetter
from traincast.errors import MissingKeyError
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import set_training_info

try:
    import gymnasium
    from gymnasium.core import ActType, ObsType
    from gymnasium.utils import RecordConstructorArgs
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.curriculum.ProgressCurriculum") from None

__all__ = ["ProgressCurriculum"]


class ProgressCurriculum(
    gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], TrainingInfoInterface, RecordConstructorArgs
):
    """Sets attributes of the env from schedules over the training progress, before each reset.

    It is a `TrainingInfoInterface`: put `TrainingInfoWrapper` around it (Sample Factory feeds it by
    `traincast.integrations.sample_factory`). What it receives it hands on to an interface further in.

    An attribute changes where it is defined, however deep, as with Gymnasium's `set_wrapper_attr`; if nothing
    defines it, `reset` raises `AttributeError`.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        schedules: for each attribute a `Schedule`, or another callable that takes the progress.
        key: the training information that is the progress.
        default: the progress while there is no training information; None: attributes stay as they are until
            there is.

    Example:
        >>> env = ProgressCurriculum(env, {"gravity": Linear(1.0, 9.8, 1_000_000)})  # doctest: +SKIP
        >>> env = TrainingInfoWrapper(env, "my-run")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[ObsType, ActType],
        schedules: Mapping[str, Callable[[float], Any]],
        *,
        key: str = "approx_total_training_steps",
        default: float | None = 0,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, _disable_deepcopy=True, schedules=dict(schedules), key=key, default=default
        )
        gymnasium.Wrapper.__init__(self, env)
        TrainingInfoInterface.__init__(self)
        self.values: dict[str, Any] = {}
        """The attributes and what the last reset set them to."""
        self._schedules = dict(schedules)
        self._key = key
        self._default = default
        self._setter = AttributeSetter()

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        """Receive the newest training information; the next reset acts on it."""
        self.training_info = training_info
        set_training_info(self.env, training_info)

    @property
    def progress(self) -> float | None:
        """What the schedules are called with at the next reset."""
        if not self.training_info:
            return self._default
        try:
            progress: float = self.training_info[self._key]
        except KeyError:
            raise MissingKeyError(
                f"the training information has no {self._key!r} for the curriculum to follow, only "
                f"{sorted(map(str, self.training_info))}"
            ) from None
        return progress

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Set the attributes, then reset the env."""
        progress = self.progress
        if progress is not None:
            for name, schedule in self._schedules.items():
                value = schedule(progress)
                self._setter.set(self.env, name, value)
                self.values[name] = value
        return self.env.reset(seed=seed, options=options)


ProgressCurriculum.__module__ = "traincast.curriculum"  # users, pickles and env specs take it from there
