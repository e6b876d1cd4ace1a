"""What the REPL shows: signatures with defaults that can be passed back, names, the version."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import traincast
from traincast import _core

STEPS = "approx_total_training_steps"
PUBLIC = ("traincast", "traincast.curriculum", "traincast.errors", "traincast._core")


def public_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, classes and their public methods. Of exceptions, what they add to the builtin ones."""
    for module in map(import_module, PUBLIC):
        for name in module.__all__ if hasattr(module, "__all__") else dir(module):
            found = getattr(module, name)
            if name.startswith("_") or not callable(found):
                continue
            if not (inspect.isclass(found) and issubclass(found, BaseException)):
                yield f"{module.__name__}.{name}", found
            for member in vars(found) if inspect.isclass(found) else ():
                if not member.startswith("_") and callable(getattr(found, member)):
                    yield f"{module.__name__}.{name}.{member}", getattr(found, member)


CALLABLES = dict(public_callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_defaults_are_values(name: str) -> None:
    """Ones that a user can write down."""
    for parameter in inspect.signature(CALLABLES[name]).parameters.values():
        if parameter.default is not inspect.Parameter.empty and parameter.default is not ...:
            assert isinstance(parameter.default, int | float | str | tuple | list | None), parameter
            assert not repr(parameter.default).startswith("<"), parameter


def with_defaults(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a function with every default that its signature shows."""
    given = inspect.signature(function).bind(*arguments, **named)
    given.apply_defaults()
    return function(*given.args, **given.kwargs)


def test_defaults_can_be_passed_back(channel_name: str) -> None:
    with with_defaults(traincast.TrainingInfoWriter, channel_name) as writer:
        with pytest.raises(traincast.MissingKeyError, match=STEPS):
            writer.publish({})
        writer.publish({STEPS: 5, "a": {"b": 1}})
        with with_defaults(traincast.TrainingInfoReader, channel_name) as reader:
            assert with_defaults(reader.get, STEPS) == 5
            assert with_defaults(reader.get, "missing") is None
            assert with_defaults(reader.key, "a.b")() == 1
            assert with_defaults(traincast.TrainingInfoKey, reader, "a.b")() == 1
            with pytest.raises(traincast.MissingKeyError):
                with_defaults(reader.key, "missing")()
            assert with_defaults(writer.update_in, {"a.b": 2}) == 2
            assert reader.read()["a"]["b"] == 2
        waiting = traincast.TrainingInfoReader(channel_name)
        assert with_defaults(waiting.wait)
    env = with_defaults(traincast.TrainingInfoWrapper, CartPoleEnv(), channel_name)
    env.reset(seed=0)
    env.close()


def test_required_shows_the_key_that_it_has() -> None:
    signature = inspect.signature(traincast.TrainingInfoWriter)
    assert signature.parameters["required"].default == [STEPS]


@pytest.mark.parametrize("name", ["traincast", "traincast.curriculum"])
def test_dir_lists_what_there_is(name: str) -> None:
    module = import_module(name)
    assert set(module.__all__) <= set(dir(module))
    for listed in dir(module):
        assert hasattr(module, listed)
        assert not listed.startswith("_") or listed == "__version__"


def test_the_version_is_the_packages() -> None:
    assert traincast.__version__ == _core.__version__
    assert traincast.__version__ == metadata.version("traincast")
    assert "__version__" in dir(traincast)
    star: dict[str, Any] = {}
    exec("from traincast import *", star)
    assert "__version__" not in star


def run_module(*arguments: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{prelude}\nimport runpy, sys\nsys.argv = {['traincast', *arguments]!r}\n"
    code += "runpy.run_module('traincast', run_name='__main__', alter_sys=True)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_package_runs_as_the_shell_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "traincast", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == f"traincast {traincast.__version__}\n"
    listed = run_module("ls")
    assert listed.returncode == 0, listed.stderr


def test_without_the_extra_it_names_the_install_command() -> None:
    hide = "import importlib.util as util\nfind = util.find_spec\n"
    hide += "util.find_spec = lambda name, *rest: None if name == 'typer' else find(name, *rest)"
    done = run_module("ls", prelude=hide)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "traincast: the command line needs typer; pip install 'traincast[cli]'\n"


def test_gymnasium_s_own_signature_survives_the_type_parameters() -> None:
    assert issubclass(traincast.TrainingInfoWrapper, gymnasium.Wrapper)
    assert traincast.TrainingInfoWrapper[Any, Any] is not None
