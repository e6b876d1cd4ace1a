"""PettingZoo's own checks of a wrapped env that has come with PettingZoo."""

from __future__ import annotations

import importlib.util

import pettingzoo
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.utils import aec_to_parallel, parallel_to_aec
from recordings import EXAMPLES

import traincast


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location(
        "pettingzoo_supersuit", EXAMPLES / "pettingzoo_supersuit.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run():
    with traincast.Run("checked", training_info={"n_catch": 1}) as run:
        yield run


def turn_based():
    return pettingzoo.make("aec", "sisl/pursuit-v5", max_cycles=20, x_size=8, y_size=8, n_evaders=4)


def test_pettingzoos_checks_of_the_parallel_api_pass(example, run):
    parallel_api_test(run.wrap_env(example.Pursuit()), num_cycles=60)
    parallel_seed_test(lambda: run.wrap_env(example.Pursuit()), num_cycles=20)


def test_pettingzoos_checks_of_the_aec_api_pass(run):
    def make():
        return run.wrap_env(turn_based(), on_undelivered="ignore")

    api_test(make(), num_cycles=60)
    seed_test(make, num_cycles=20)


def test_pettingzoos_checks_pass_with_converters_around_it(example, run):
    api_test(parallel_to_aec(run.wrap_env(example.Pursuit())), num_cycles=60)
    aec = run.wrap_env(turn_based(), on_undelivered="ignore")
    parallel_api_test(aec_to_parallel(aec), num_cycles=60)


def test_an_evaluation_passes_the_checks_and_keeps_the_given_value(example, run):
    env = run.wrap_eval_env(example.Pursuit(), {"approx_total_training_steps": 7, "n_catch": 2})
    parallel_api_test(env, num_cycles=20)
    run.publish(100, n_catch=1)
    env.reset(seed=1)
    assert env.unwrapped.env.n_catch == 2
    assert run.steps == 100
