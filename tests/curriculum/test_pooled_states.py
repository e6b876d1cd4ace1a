"""States that are none of a pooled curriculum: refused, and nothing changes."""

from __future__ import annotations

import copy
import math

import pytest
from climbing import LEVELS, climbing

import traincast
from traincast.curriculum import TaskSampler
from traincast.scores import ScoreWriter


@pytest.fixture
def run(channel_name):
    with traincast.Run(channel_name, unique=False) as run:
        yield run


@pytest.mark.parametrize(
    "broken",
    [
        lambda state: TaskSampler(tasks=LEVELS).state_dict(),
        lambda state: {**state, "rule": {**state["rule"], "results": "many"}},
        lambda state: {**state, "rule": {**state["rule"], "results": [[0, 0.0]]}},
        lambda state: {**state, "rule": {**state["rule"], "results": [[1, math.nan]]}},
        lambda state: {**state, "rule": None},
        lambda state: {**state, "scores": {**state["scores"], "totals": [[1, 2]] * LEVELS}},
        lambda state: {**state, "scores": {**state["scores"], "counted": [[0] * 6]}},
        lambda state: {**state, "scores": {**state["scores"], "totals": None}},
        lambda state: {**state, "scores": {**state["scores"], "totals": [[2**80] * 6] * LEVELS}},
        lambda state: None,
    ],
    ids=[
        "a sampler's",
        "results",
        "an empty batch",
        "nan",
        "no rule",
        "short rows",
        "few rows",
        "no totals",
        "huge",
        "none",
    ],
)
def test_a_state_that_is_none_changes_nothing(run, broken):
    curriculum = climbing(initial_level=1)
    run.attach(curriculum)
    ScoreWriter(run).record(1, success=True)
    curriculum.update()
    before = curriculum.state_dict()
    with pytest.raises(ValueError, match="state"):
        curriculum.load_state_dict(broken(copy.deepcopy(before)))
    assert curriculum.state_dict() == before


def test_a_state_that_is_none_leaves_the_run_without_a_curriculum():
    with traincast.Run("before", curriculum=climbing()) as run:
        saved = copy.deepcopy(run.state_dict())
    saved["curricula"]["curriculum"]["rule"] = None
    with traincast.Run(state=saved) as run:
        with pytest.raises(ValueError, match="the state is not one of a PooledCurriculum"):
            run.attach(climbing())
        run.load_state_dict({**saved, "curricula": {}})
        again = climbing()
        run.attach(again)
        scores = ScoreWriter(run)
        for _ in range(8):
            scores.record(0, success=True)
        assert again.update()
    for curricula in ("many", [1]):
        with pytest.raises(ValueError, match="the curricula of the state must be"):
            traincast.Run(state={**saved, "curricula": curricula})
