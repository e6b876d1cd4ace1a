"""`import traincast` is light, and every public name is there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import traincast

HEAVY = ("numpy", "torch", "gymnasium", "pettingzoo", "sample_factory", "rich", "typer", "matplotlib")


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    script = (
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import traincast",
        "import traincast.unwrapping, traincast.interfaces",
        "import traincast\n"
        "with traincast.TrainingInfoWriter('light') as writer:\n"
        "    writer.publish({'approx_total_training_steps': 1, 'nested': {'a': [1.5, (None, b'x')]}})\n"
        "    assert traincast.TrainingInfoReader('light').read()['approx_total_training_steps'] == 1\n",
        "import traincast\n"
        "with traincast.Run('light') as run:\n"
        "    run.log_to(lambda step, numbers: None)\n"
        "    make = run.wrap_env_fn(dict)\n"
        "    run.publish(1, a=2.0)\n"
        "traincast.Run(state=run.state_dict())\n",
    ],
    ids=["import", "interfaces", "publish and read", "run"],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded_after(code).isdisjoint(HEAVY)


def test_gymnasium_is_loaded_with_the_wrapper() -> None:
    loaded = loaded_after("import traincast\ntraincast.TrainingInfoWrapper")
    assert "gymnasium" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("name", sorted(traincast.__all__))
def test_each_public_name_is_there_with_a_docstring(name: str) -> None:
    value = getattr(traincast, name)
    if isinstance(value, type):
        assert value.__doc__, f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No traincast attribute TrainingInfoWriterr"):
        traincast.TrainingInfoWriterr  # type: ignore[attr-defined]  # noqa: B018


def test_names_that_are_loaded_on_first_use_are_listed() -> None:
    loaded_after("import traincast\nassert set(traincast.__all__) <= set(dir(traincast))")


def test_the_names_of_the_curricula_are_listed_before_they_are_loaded() -> None:
    code = "from traincast import curriculum as c\nassert {'ProgressCurriculum'} < {*dir(c)} == {*c.__all__}"
    assert loaded_after(code).isdisjoint(HEAVY)
    assert all(getattr(traincast.curriculum, name).__doc__ for name in traincast.curriculum.__all__)
