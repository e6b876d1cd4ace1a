"""What the two curricula share: they set attributes, show what they do, and can be written in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.core import ActType, ObsType
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs

from traincast.curriculum._attributes import AttributeSetter
from traincast.curriculum._infos import numbers_in, shown_in
from traincast.curriculum._specs import with_curriculum

__all__ = ["CurriculumWrapper"]


class CurriculumWrapper(gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], RecordConstructorArgs):
    """Base of the curricula.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        info_key: the key of `info` under which the curriculum shows what it does; None: nowhere.
        arguments: the other arguments of the subclass's constructor, for the spec.
    """

    def __init__(
        self, env: gymnasium.Env[ObsType, ActType], *, info_key: str | None, **arguments: Any
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,  # the values of a level may be large
            **arguments,
            info_key=info_key,
        )
        gymnasium.Wrapper.__init__(self, env)
        self._info_key = info_key
        self._setter = AttributeSetter()
        self._spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # read-only, as in gymnasium.Wrapper
        """The spec that makes this env; its `to_json` writes schedules and other arguments too."""
        if self._spec is None:
            spec = super().spec
            self._spec = None if spec is None else with_curriculum(spec)
        return self._spec

    def _shown_in(self, info: Any, values: Mapping[str, Any]) -> Any:
        """Return `info` with those of the values that are numbers under `info_key`."""
        return info if self._info_key is None else shown_in(info, self._info_key, numbers_in(values))
