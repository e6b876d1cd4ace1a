"""Finding the object that implements an interface, somewhere inside an env."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partialmethod
from types import MemberDescriptorType, ModuleType
from typing import Any, TypeVar, cast

from traincast.interfaces import RewardShapingInterface, TrainingInfoInterface

__all__ = [
    "find_reward_shaping_interface",
    "find_training_info_interface",
    "find_wrapper_interface",
    "set_training_info",
]

T = TypeVar("T")

# Where wrappers keep the wrapped env: Gymnasium and most others, PettingZoo's aec_to_parallel_wrapper,
# SuperSuit (the next two), Stable-Baselines3's VecEnvWrapper, skrl and TorchRL's GymWrapper, dm_env and Acme,
# Dopamine, TF-Agents, rlkit and D4RL.
_INNER = (
    *("env", "aec_env", "par_env", "gym_env", "venv", "_env", "_environment"),
    *("environment", "_gym_env", "_wrapped_env"),
)
# Where vector envs keep their envs: Gymnasium's SyncVectorEnv and most others, SuperSuit's ConcatVecEnv.
_INNERS = ("envs", "vec_envs")
# More general names, which other classes use for other things: so no property is run for these. tianshou's
# vector envs keep `workers`, and TorchRL's SerialEnv `_envs`. Its TransformedEnv is a torch module, which
# keeps its submodules, the base env among them, in the dictionary `_modules`.
_STORED_INNER = "base_env"
_STORED_INNERS = ("workers", "_envs", "_modules")
_ABSENT = object()


def find_wrapper_interface(env: object, interface: type[T]) -> T | None:
    """Return the first object in `env`, from outside in, that implements `interface`; None if there is none.

    The search follows the attributes in which wrappers keep the wrapped env (`env`, `aec_env`, `par_env`,
    `venv`, `base_env`, `_env`, `_environment`, ...), goes into the `envs` or `workers` of vector envs, one
    after the other, and into the submodules of an env that is a torch module. It looks at every object once.

    An object implements a class without bases, or a protocol, if it has all public methods of it; it
    implements any other class if it inherits from it. The object's type and its own attributes decide, not
    what it forwards from another object, nor its `==`.
    """
    return next(_implementers(env, interface), None)


def find_training_info_interface(env: object) -> TrainingInfoInterface | None:
    """Return the first object in `env`, from outside in, that has `set_training_info`, or None."""
    return find_wrapper_interface(env, TrainingInfoInterface)


def find_reward_shaping_interface(env: object) -> RewardShapingInterface | None:
    """Return the first object in `env`, from outside in, that is a `RewardShapingInterface`, or None."""
    return find_wrapper_interface(env, RewardShapingInterface)


def set_training_info(env: object, training_info: Mapping[str, Any], *, copy_arrays: bool = False) -> int:
    """Pass `training_info` to the interface in `env`; in a vector env, to that of every sub-env.

    Each interface receives a copy of its own. Read-only arrays are shared, unless `copy_arrays` is set, so
    that each receives writable ones. Returns how many interfaces received it: 0 if nothing in `env`
    implements the interface, or if its sub-envs live in other processes (with `AsyncVectorEnv`, put
    `TrainingInfoWrapper` around each env). `env` may be None, or the interface itself.
    """
    interfaces = find_all(env, TrainingInfoInterface)
    for found in interfaces:
        found.set_training_info(own_copy(training_info, copy_arrays=copy_arrays))
    return len(interfaces)


def find_all(env: object, interface: type[T]) -> list[T]:
    """Return the outermost implementer in each branch of `env`: one per sub-env of a vector env."""
    return list(_implementers(env, interface))


def own_copy(info: Mapping[str, Any], *, copy_arrays: bool = False) -> dict[str, Any]:
    """Copy training information so deeply that changing one copy never shows in another.

    Read-only arrays are shared, unless `copy_arrays` asks for arrays that may be written to.
    """
    return {key: _copied(value, copy_arrays) for key, value in info.items()}


def _copied(value: Any, copy_arrays: bool) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _copied(item, copy_arrays) for key, item in value.items()}
    if kind is list:
        return [_copied(item, copy_arrays) for item in value]
    if kind is tuple:
        return tuple([_copied(item, copy_arrays) for item in value])
    flags = getattr(value, "flags", None)
    if flags is not None and getattr(flags, "writeable", True) is False and not copy_arrays:
        return value  # a read-only array: nobody can change it
    return deepcopy(value)


def walk(env: object, matches: Callable[[object], bool]) -> Iterator[object]:
    """Yield the objects in `env` that match, from outside in, one branch after the other, outermost only.

    Every object is looked at once. Objects are compared by identity, because an env's `==` may return an
    array, and wrappers may form a cycle.
    """
    seen: dict[int, object] = {}  # holds the objects, so that no id is used twice
    stack = [env]
    while stack:
        current = stack.pop()
        # A class has the methods of its instances, but `self.env = MyEnv` (a factory) is not an env. Nor is a
        # Python module: `_modules` and `workers` may hold some, and ours has a function `set_training_info`.
        if current is None or issubclass(type(current), type | ModuleType) or id(current) in seen:
            continue
        seen[id(current)] = current
        if matches(current):
            yield current
        else:
            stack.extend(reversed(list(_inner(current))))


def everything_in(env: object) -> list[object]:
    """Return all objects that the search looks at, in its order."""
    seen: list[object] = []

    def note(inner: object) -> bool:
        seen.append(inner)
        return False

    list(walk(env, note))
    return seen


def layers(env: object) -> Iterator[object]:
    """Give the env and what it wraps, from outside in; not what is inside of a vector env."""
    seen: set[int] = set()
    while env is not None and id(env) not in seen:
        seen.add(id(env))
        yield env
        inner = (_own_attribute(env, name) for name in _INNER)
        env = next((found for found in inner if found is not None), None)


def defines(owner: object, name: str) -> bool:
    """Tell if the instance or its type has the attribute, rather than an inner object."""
    return _static_attribute(owner, name) is not _ABSENT


def instance_attributes(owner: object) -> dict[str, Any]:
    """Return the `__dict__` of the instance itself, even if it is a proxy that forwards attributes."""
    try:
        attributes: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    except AttributeError:  # only slots
        return {}
    return attributes


def _implementers(env: object, interface: type[T]) -> Iterator[T]:
    methods = _public_methods(interface)
    return cast("Iterator[T]", walk(env, lambda candidate: _implements(candidate, interface, methods)))


def _public_methods(interface: type) -> tuple[str, ...]:
    """Return the methods that make an object implement `interface`; empty if it must inherit from it."""
    if interface.__bases__ != (object,) and not getattr(interface, "_is_protocol", False):
        return ()
    return tuple(
        name for name, value in vars(interface).items() if not name.startswith("_") and _is_method(value)
    )


def _implements(candidate: object, interface: type, methods: tuple[str, ...]) -> bool:
    if methods:
        return all(_is_method(_static_attribute(candidate, name)) for name in methods)
    return issubclass(type(candidate), interface)  # not isinstance, which trusts a forwarded `__class__`


def _is_method(value: object) -> bool:
    return callable(value) or isinstance(value, classmethod | partialmethod)


def _inner(wrapper: object) -> Iterator[object]:
    for name in _INNER:
        yield _own_attribute(wrapper, name)
    yield _stored_attribute(wrapper, _STORED_INNER)
    for name in _INNERS:
        yield from _several(_own_attribute(wrapper, name))
    for name in _STORED_INNERS:
        yield from _several(_stored_attribute(wrapper, name))


def _several(inners: object) -> Iterable[object]:
    if isinstance(inners, Mapping):
        return inners.values()
    if isinstance(inners, Sequence) and not isinstance(inners, str | bytes):
        return inners
    return ()


def _static_attribute(owner: object, name: str) -> object:
    """A faster `inspect.getattr_static`, which takes tens of microseconds for each wrapper."""
    attributes = instance_attributes(owner)
    if name in attributes:
        return attributes[name]
    for kind in type(owner).__mro__:
        if name in kind.__dict__:
            return kind.__dict__[name]
    return _ABSENT


def _own_attribute(owner: object, name: str) -> object:
    """Return an attribute that the instance or its type defines, such as a property or a slot, or None."""
    return getattr(owner, name, None) if defines(owner, name) else None


def _stored_attribute(owner: object, name: str) -> object:
    """Return an attribute stored in the instance, its type or a slot, without running a property; or None."""
    value = _static_attribute(owner, name)
    if isinstance(value, MemberDescriptorType):
        return getattr(owner, name, None)
    return None if value is _ABSENT else value
