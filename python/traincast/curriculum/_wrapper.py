"""What the curricula that set attributes share: finding them, showing values in infos, writing a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from traincast._infos import numbers_in, shown_in
from traincast._specs import A, O, WritableWrapper
from traincast.curriculum._attributes import AttributeSetter
from traincast.wrappers.autoreset import warn_of_autoreset
from traincast.wrappers.kinds import check_single

__all__ = ["CurriculumWrapper"]


class CurriculumWrapper(WritableWrapper[O, A], RecordConstructorArgs):
    """Base class of the curricula that set attributes of an env.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        info_key: the key of `info` under which the curriculum shows what it does; None: nowhere.
        arguments: the other arguments of the subclass's constructor, for the spec.

    Raises: TypeError for an env of another kind, with what to do.
    """

    def __init__(self, env: gymnasium.Env[O, A], *, info_key: str | None, **arguments: Any) -> None:
        check_single(env, type(self).__name__)
        RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,  # the values for a level may be large
            **arguments,
            info_key=info_key,
        )
        gymnasium.Wrapper.__init__(self, env)
        warn_of_autoreset(self, env, "Put it around")
        self._info_key = info_key
        self._setter = AttributeSetter()

    def _shown_in(self, info: Any, values: Mapping[str, Any]) -> Any:
        """Return `info` with those values that are numbers added under `info_key`."""
        return info if self._info_key is None else shown_in(info, self._info_key, numbers_in(values))
