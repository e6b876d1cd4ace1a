"""Setting attributes where they are defined, however deep inside an env."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import partialmethod
from types import BuiltinMethodType, MethodType, ModuleType
from typing import Any

from traincast.unwrapping import defines, instance_attributes, walk

__all__ = ["AttributeSetter"]


class AttributeSetter:
    """Sets attributes of an env as Gymnasium 1.x's `set_wrapper_attr` does, with 0.29 too.

    The attribute changes in the outermost object that defines it (in each branch, if the env holds several).
    A wrapper that only forwards the attribute of its inner env does not define it. If no object defines it,
    that is an error: otherwise a misspelt name would be a curriculum without effect.

    In a path with dots, `"unwrapped.model.opt.gravity"`, the first name is found in this way. The others are
    attributes of what was found, and are looked up anew each time. A method is called with the value.
    """

    def __init__(self) -> None:
        self._env: object = None
        self._owners: dict[str, list[object]] = {}

    def set(self, env: object, path: str, value: Any) -> None:
        """Set the attribute inside `env`; AttributeError if nothing there defines it, or it cannot be set."""
        if env is not self._env:
            self._env, self._owners = env, {}
        *way, last = path.split(".")
        first = way[0] if way else last
        for owner in self._owners.get(first) or self._find(env, first):
            target = owner
            for name in way:
                target = _attribute(target, name, path)
            _assign(target, last, value, path)

    def _find(self, env: object, name: str) -> list[object]:
        owners = list(walk(env, lambda candidate: defines(candidate, name)))
        if not owners:
            raise AttributeError(
                f"nothing in {env} defines an attribute {name!r}{_suggestion(name, _everything_in(env))}"
            )
        self._owners[name] = owners
        return owners


def _attribute(owner: object, name: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        raise _absent(owner, name, path) from error


def _assign(owner: object, name: str, value: Any, path: str) -> None:
    if not _holds(owner, name):
        raise _absent(owner, name, path)
    if _is_method(owner, name):
        getattr(owner, name)(value)
        return
    try:
        setattr(owner, name, value)
    except AttributeError as error:  # a property without a setter, a frozen dataclass
        raise AttributeError(f"{path!r} cannot be set in {type(owner).__name__}: {error}") from error


def _holds(owner: object, name: str) -> bool:
    """Tell if setting the attribute changes what is there, rather than hide what an inner object has."""
    if defines(owner, name):
        return True
    return type(owner).__setattr__ is not object.__setattr__ and hasattr(owner, name)


def _is_method(owner: object, name: str) -> bool:
    """Tell if the attribute is a method, rather than a callable that the instance keeps as a value."""
    own = instance_attributes(owner)
    if name in own:
        kept = own[name]
        return isinstance(kept, MethodType | BuiltinMethodType) and not isinstance(kept.__self__, ModuleType)
    for kind in type(owner).__mro__:
        if name in vars(kind):
            value = vars(kind)[name]
            # Extension modules have types of their own for methods: callables that bind to an instance.
            binds = callable(value) and hasattr(type(value), "__get__")
            return binds or isinstance(value, classmethod | partialmethod)
    return False


def _absent(owner: object, name: str, path: str) -> AttributeError:
    kind = type(owner).__name__
    return AttributeError(
        f"{path!r} cannot be set: {kind} defines no attribute {name!r}{_suggestion(name, _names(owner))}"
    )


def _suggestion(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, {other for other in names if not other.startswith("_")})
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _everything_in(env: object) -> set[str]:
    names: set[str] = set()

    def collect(candidate: object) -> bool:
        names.update(_names(candidate))
        return False  # so that the walk goes on

    any(walk(env, collect))
    return names


def _names(owner: object) -> Iterator[str]:
    """Do as `dir`, without running the object's code."""
    yield from instance_attributes(owner)
    for kind in type(owner).__mro__:
        yield from vars(kind)
