"""Setting attributes where they are defined, however deep inside an env."""

from __future__ import annotations

from typing import Any

from traincast.unwrapping import defines, walk

__all__ = ["AttributeSetter"]


class AttributeSetter:
    """Sets attributes of an env as Gymnasium 1.x's `set_wrapper_attr` does, with 0.29 too.

    The attribute changes in the outermost object that defines it (in each branch, if the env holds several).
    A wrapper that only forwards the attribute of its inner env does not define it. Where nobody defines it,
    it is an error: a misspelt name would otherwise be a curriculum without effect.
    """

    def __init__(self) -> None:
        self._env: object = None
        self._owners: dict[str, list[object]] = {}

    def set(self, env: object, name: str, value: Any) -> None:
        """Set the attribute inside `env`; AttributeError if nothing there defines it."""
        if env is not self._env:
            self._env, self._owners = env, {}
        owners = self._owners.get(name)
        if owners is None:
            owners = list(walk(env, lambda candidate: defines(candidate, name)))
            if not owners:
                raise AttributeError(f"nothing in {env} defines an attribute {name!r}")
            self._owners[name] = owners
        for owner in owners:
            setattr(owner, name, value)
