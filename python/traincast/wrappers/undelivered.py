"""Warns when nothing in an env takes the training information, with the likely reason."""

from __future__ import annotations

from difflib import get_close_matches
from multiprocessing.process import BaseProcess
from types import ModuleType

from traincast._warnings import warn_once
from traincast.unwrapping import defines, everything_in, instance_attributes
from traincast.wrappers.channel import Channel

__all__ = ["warn"]

_SHOWN = 8


def warn(channel: Channel, env: object) -> None:
    """Warn that nothing in `env` takes training information, once per channel and kind of env."""
    looked_at = everything_in(env)
    names = [type(inner).__name__ for inner in looked_at][:_SHOWN]
    shown = " > ".join(names) + (" > ..." if len(looked_at) > _SHOWN else "")
    warn_once(
        ("undelivered", channel.here, *names),
        f"training information of {channel} reached nobody: nothing in {shown} has the method "
        f"set_training_info. {_remedy(looked_at)} If you read the wrapper's training_info yourself: "
        'on_undelivered="ignore".',
    )


def _remedy(looked_at: list[object]) -> str:
    for inner in looked_at:
        if _has_processes(inner):
            return (
                f"The envs of {type(inner).__name__} live in other processes: wrap each one in the "
                "functions that it is built from (run.wrap_env_fn)."
            )
    for inner in looked_at:
        near = _misspelt(type(inner))
        if near:
            return f"{near}: did you mean that?"
    for inner in looked_at:
        for name, kept in instance_attributes(inner).items():
            if not isinstance(kept, type | ModuleType) and defines(kept, "set_training_info"):
                kind = type(inner).__name__
                return (
                    f"The {name!r} of {kind} has it, but envs are not looked for under that name: give "
                    f"{kind} the method too, to call traincast.set_training_info(self.{name}, ...)."
                )
    return "Give the env that method; put wrappers that have it, and curricula, inside of this one."


def _has_processes(inner: object) -> bool:
    """Tell if an object keeps a list of processes, as AsyncVectorEnv and SuperSuit's ProcConcatVec do."""
    lists = (value for value in instance_attributes(inner).values() if isinstance(value, list | tuple))
    return any(isinstance(item, BaseProcess) for items in lists for item in items[:1])


def _misspelt(kind: type) -> str | None:
    """Return a class and its method whose name is nearly `set_training_info`, as text; None without one."""
    for owner in kind.__mro__:
        if owner.__module__.partition(".")[0] in ("builtins", "gymnasium", "pettingzoo"):
            continue
        methods = {name.lower(): name for name, value in vars(owner).items() if callable(value)}
        near = get_close_matches("set_training_info", methods, n=3, cutoff=0.75)
        for name in near:
            if not name.startswith("get") and methods[name] != "set_training_info":
                return f"{owner.__name__} has {methods[name]!r}"
    return None
