"""Env specs whose arguments survive `to_json`, or refuse it.

Gymnasium writes the arguments of a wrapper by `dataclasses.asdict` and `json.dumps`: a schedule would become
a dictionary that nobody can call. The specs here keep the objects themselves, for `gymnasium.make(env.spec)`,
and convert them to their JSON form when the spec is written.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from typing_extensions import TypeVar  # comes with gymnasium

from traincast._json import write_argument

__all__ = ["WritableWrapper"]

O = TypeVar("O", default=Any)  # noqa: E741 - observations and actions, as gymnasium's
A = TypeVar("A", default=Any)


class WritableWrapper(gymnasium.Wrapper[O, A, O, A]):
    """Base class of our wrappers, whose spec can be written."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # read-only, as in gymnasium.Wrapper
        """The spec that makes this env; its `to_json` writes schedules, arrays and other arguments too."""
        if self._spec is None:
            spec = super().spec
            self._spec = None if spec is None else _writable(spec)
        return self._spec


def _writable(spec: EnvSpec) -> EnvSpec:
    """Return a copy of `spec`, whose outermost wrapper is one of ours, that can be written."""
    *inner, outermost = spec.additional_wrappers
    ours = WritableWrapperSpec(**_fields(outermost))
    return WritableEnvSpec(**_fields(spec) | {"additional_wrappers": (*inner, ours)})


class WritableWrapperSpec(WrapperSpec):
    """The spec of one of our wrappers; equal to the spec that is read back from its JSON."""

    def written(self) -> WrapperSpec:
        """Return the spec with its arguments in their JSON form; ValueError if one has none."""
        arguments = self.kwargs or {}
        forms = {key: write_argument(value, f"{self.name}: {key}") for key, value in arguments.items()}
        return WrapperSpec(self.name, self.entry_point, forms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WrapperSpec):
            return NotImplemented
        return _fields(_written(self)) == _fields(_written(other))

    __hash__ = None  # type: ignore[assignment]  # as of every spec

    def __deepcopy__(self, memo: Any) -> WritableWrapperSpec:
        """Share the arguments: outer wrappers copy the spec, and a curriculum's values may be large."""
        return WritableWrapperSpec(
            self.name, self.entry_point, None if self.kwargs is None else {**self.kwargs}
        )


class WritableEnvSpec(EnvSpec):
    """An env spec that can write our wrappers in it."""

    def to_json(self) -> str:
        """Convert the spec into JSON; ValueError if an argument of one of our wrappers cannot be written."""
        wrappers = tuple(_written(wrapper, strict=True) for wrapper in self.additional_wrappers)
        return EnvSpec(**_fields(self) | {"additional_wrappers": wrappers}).to_json()

    def __eq__(self, other: object) -> bool:
        return _fields(self) == _fields(other) if isinstance(other, EnvSpec) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _written(wrapper: WrapperSpec, *, strict: bool = False) -> WrapperSpec:
    if not isinstance(wrapper, WritableWrapperSpec):
        return wrapper
    try:
        return wrapper.written()
    except ValueError:
        if strict:
            raise
        return wrapper


def _fields(spec: EnvSpec | WrapperSpec) -> dict[str, Any]:
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec) if field.init}
