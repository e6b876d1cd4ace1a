"""The recipe of the guide, as it stands there: its terms as functions, with an object in place of the env."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import traincast

GUIDE = Path(__file__).parents[3] / "docs" / "frameworks" / "isaac_lab.md"

TEACHER = """
import sys, traincast
run = traincast.Run("teacher", unique=False, training_info={"push_velocity": 0.0, "shaping": {"goal": 1.0}})
print("here", flush=True)
for line in sys.stdin:
    run.publish(run.steps + 1, push_velocity=float(line))
    print("published", flush=True)
"""


@pytest.fixture
def recipe():
    """What the first block of code defines."""
    block = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block
    names: dict = {}
    exec(block[1], names)
    return SimpleNamespace(**names)


@pytest.fixture
def env():
    push = SimpleNamespace(velocity=None)
    return SimpleNamespace(cfg=SimpleNamespace(push=push), num_envs=4)


def test_a_term_follows_a_learner_in_another_process(recipe, env):
    teacher = subprocess.Popen(
        [sys.executable, "-c", TEACHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
        text=True,
    )
    params = {"run": "teacher", "key": "push_velocity", "address": "cfg.push.velocity"}
    with teacher:
        assert teacher.stdin
        assert teacher.stdout
        assert teacher.stdout.readline() == "here\n"
        assert recipe.follow(env, [0, 1], **params) == 0.0
        for velocity in (0.5, 0.75):
            teacher.stdin.write(f"{velocity}\n")
            teacher.stdin.flush()
            teacher.stdout.readline()
            assert recipe.follow(env, slice(None), **params) == velocity  # what the manager logs
            assert env.cfg.push.velocity == velocity
        teacher.stdin.close()
    assert recipe.follow(env, [3], **params) == 0.75  # after its end


def test_a_modify_fn_returns_what_is_published(recipe, env):
    info = {"shaping": {"goal": 1.5}, "lin_vel_x": (-1.0, 1.0), "scale": np.arange(4.0)}
    with traincast.Run("walker", training_info=info) as run:
        assert recipe.published(env, [0], 0.0, run=run.name, key="shaping.goal") == 1.5
        assert recipe.published(env, [0], (0, 0), run=run.name, key="lin_vel_x") == (-1.0, 1.0)
        each = recipe.published(env, [0], None, run=run.name, key="scale")
        assert each.shape == (env.num_envs,)
        run.publish(1, lin_vel_x=(-2.0, 2.0))
        assert recipe.published(env, [0], (0, 0), run=run.name, key="lin_vel_x") == (-2.0, 2.0)


def test_a_term_without_its_learner_says_so(recipe, env):
    with pytest.raises(traincast.ChannelNotFoundError, match="nobody"):
        recipe.follow(env, [0], run="nobody", key="push_velocity", address="cfg.push.velocity")
