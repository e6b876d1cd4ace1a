"""The interfaces that an env implements to receive information about its training.

The two interfaces have the names, methods and constructors of Sample Factory's
(`sample_factory.envs.env_utils`, described in its documentation under "Passing Info from RL Algo to Env"), so
an env that was written for one works with the other. Inheriting from these classes is not needed: an object
with the methods is found as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, cast

__all__ = ["RewardShapingInterface", "TrainingInfoInterface"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    InfoT = TypeVar("InfoT", bound=Mapping[Any, Any], default=Any)

    class _For(Generic[InfoT]): ...

else:
    InfoT = Any

    class _For:
        """A generic base for type checkers only: a real one would conflict with a class's own `Generic`."""

        def __class_getitem__(cls, item: object) -> _For:
            return cls()

        def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[()]:
            return ()


class TrainingInfoInterface(_For[InfoT]):
    """An env (or a wrapper) that receives training information.

    `training_info` is the last dictionary received; `{}` until there is one. A subclass with a constructor of
    its own calls `TrainingInfoInterface.__init__(self)` in it.

    For type checkers, `TrainingInfoInterface[MyTypedDict]` receives dictionaries of that type. Without a type
    it receives any dictionary.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    def __init__(self) -> None:
        self.training_info: InfoT = cast("InfoT", {})

    def set_training_info(self, training_info: InfoT) -> None:
        """Receive the newest training information; called before a reset, if there is anything new.

        The dictionary belongs to this env, which may keep or change it: no other env holds it. It contains at
        least `approx_total_training_steps`, the env steps that the learner has trained on. Its arrays are
        read-only, because all envs of a process share their memory: change an `array.copy()`, or pass
        `copy_arrays=True` to the wrapper.
        """
        self.training_info = training_info


class RewardShapingInterface:
    """An env (or a wrapper) whose reward shaping can be changed during the training."""

    def get_default_reward_shaping(self) -> dict[str, Any] | None:
        """Return the coefficients that the env starts with, by name, or None if it has none.

        The return value stays the same for the life of the env.
        """
        raise NotImplementedError

    def set_reward_shaping(self, reward_shaping: dict[str, Any], agent_indices: int | slice) -> None:
        """Use these coefficients from now on, for one agent or for a range of agents.

        Call it with positional arguments: Sample Factory's envs name the second one `agent_idx` or
        `agent_indices`.
        """
        raise NotImplementedError


for _interface in (TrainingInfoInterface, RewardShapingInterface):
    _interface.__module__ = "traincast"  # users import them from the package
