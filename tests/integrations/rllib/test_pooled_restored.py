"""RLlib's own checkpoints have the curriculum of `TrainingInfoCallback`, whichever way they are restored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from climbing import LEVELS, climbing, make_level_env, sampling, tallies
from ray.rllib.algorithms.algorithm import Algorithm
from ray.tune import register_env
from tests.integrations.rllib.conftest import BATCH, Configure

Restore = Callable[[Any, Callable[[], Any], str], Any]
STEPS = "approx_total_training_steps"


def curriculum_of(algo: Any) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(
        json.dumps(algo.callbacks[0].run.state_dict()["curricula"]["curriculum"])
    )
    return state


def published(algo: Any) -> tuple[int, Any]:
    info = algo.callbacks[0].run.state_dict()["training_info"]
    return info[STEPS], info["curriculum"].get("level")


def from_checkpoint(algo: Any, build: Callable[[], Any], path: str) -> Any:
    algo.stop()
    return Algorithm.from_checkpoint(path)


def restored_anew(algo: Any, build: Callable[[], Any], path: str) -> Any:
    """As Tune's retries do."""
    algo.stop()
    fresh = build()
    fresh.restore(path)
    return fresh


def gone_back(algo: Any, build: Callable[[], Any], path: str) -> Any:
    """As population based training does."""
    algo.restore(path)
    return algo


def gone_back_from_path(algo: Any, build: Callable[[], Any], path: str) -> Any:
    algo.restore_from_path(path)
    return algo


@pytest.mark.parametrize(
    ("restore", "runners"),
    [(from_checkpoint, 1), (restored_anew, 1), (restored_anew, 0), (gone_back, 0), (gone_back_from_path, 0)],
)
def test_a_restored_algorithm_goes_on_at_the_level_and_with_the_results_of_its_checkpoint(
    configure: Configure, tmp_path: Path, restore: Restore, runners: int
) -> None:
    def build() -> Any:
        return configure("level", runners=runners, training_info=climbing()).build_algo()

    register_env("level", make_level_env)
    algo = build()
    algo.train()
    path = algo.save_to_path(tmp_path / "checkpoint")
    saved = curriculum_of(algo)
    assert saved["rule"]["level"] == 1
    for _ in range(3):
        algo.train()
    assert curriculum_of(algo)["rule"]["level"] == LEVELS - 1  # what is gone back from

    algo = restore(algo, build, path)
    restored = curriculum_of(algo)
    assert restored["rule"] == saved["rule"]
    assert tallies(restored) == tallies(saved)
    assert published(algo) == (BATCH, 1)
    algo.train()
    after = curriculum_of(algo)
    algo.stop()
    assert tallies(after)[0] == tallies(saved)[0]  # no env played the first level again
    assert tallies(after)[1][0] - tallies(saved)[1][0] >= BATCH // 2 - 2
    assert after["rule"]["level"] == LEVELS - 1


def test_a_restored_sampler_draws_from_the_array_of_its_checkpoint(
    configure: Configure, tmp_path: Path
) -> None:
    register_env("level", make_level_env)
    algo = configure("level", training_info=sampling()).build_algo()
    algo.train()
    path = algo.save_to_path(tmp_path / "checkpoint")
    kept = algo.get_state()["traincast"]
    assert json.loads(json.dumps(kept)) == kept  # so msgpack, in which RLlib can save, has a form for it
    saved = curriculum_of(algo)
    algo.train()
    algo.restore_from_path(path)
    assert curriculum_of(algo)["rule"] == saved["rule"]
    algo.stop()


def test_a_checkpoint_of_other_levels_is_refused_and_one_without_a_curriculum_is_not(
    configure: Configure, tmp_path: Path
) -> None:
    register_env("level", make_level_env)
    algo = configure("level").build_algo()
    algo.train()
    plain = algo.save_to_path(tmp_path / "plain")
    algo.stop()
    algo = configure("level", training_info=climbing()).build_algo()
    algo.restore_from_path(plain)
    assert published(algo) == (BATCH, 0)
    path = algo.save_to_path(tmp_path / "checkpoint")
    algo.stop()
    algo = configure("level", training_info=sampling()).build_algo()
    with pytest.raises(ValueError, match="the state is not one of a TaskSampler"):
        algo.restore_from_path(path)
    algo.stop()
