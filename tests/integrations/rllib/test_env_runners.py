"""What the envs of one algorithm see, in all the ways in which an env runner holds envs."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ray.tune.registry import register_env
from rllib_envs import NotingAgents, NotingEnv, NotingVector, notes, rising, steps_in
from tests.integrations.rllib.conftest import BATCH, Configure, eventually

import traincast
from traincast.integrations.rllib import wrap_env_creator
from traincast.integrations.rllib.envs import FollowingEnv

STEPS = "approx_total_training_steps"


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    register_env("rising", rising(NotingEnv))
    register_env("rising, wrapped", wrap_env_creator(rising(NotingEnv)))
    register_env("rising agents", rising(NotingAgents))


def train(algo: Any, iterations: int = 3) -> list[dict[str, Any]]:
    return [algo.train() for _ in range(iterations)]


def published(results: list[dict[str, Any]]) -> list[float]:
    return [result["traincast"][STEPS] for result in results]


@pytest.mark.parametrize(
    ("env", "mode"),
    [(NotingEnv, "sync"), ("rising", "sync"), ("rising, wrapped", "sync"), ("rising, wrapped", "async")],
)
def test_every_reset_sees_the_newest_value(
    configure: Configure, notes_file: Path, env: Any, mode: str
) -> None:
    algo = configure(env, mode=mode).build_algo()
    results = train(algo)
    algo.stop()
    counts = published(results)
    assert counts == [BATCH, 2 * BATCH, 3 * BATCH]
    assert [result["env_runners"]["num_env_steps_sampled_lifetime"] for result in results] == counts
    events = notes(notes_file)
    for pid, number in {(event["pid"], event["env"]) for event in events}:
        seen = [event["info"][STEPS] for event in events if (event["pid"], event["env"]) == (pid, number)]
        assert seen == sorted(seen)
        assert set(seen) == {0, BATCH, 2 * BATCH}
    if env is not NotingEnv:
        assert all(event["difficulty"] == event["info"][STEPS] for event in events)
        last = results[-1]["env_runners"]["curriculum"]
        assert 0 < last["difficulty"] == last["progress"] <= 2 * BATCH


def test_a_multi_agent_env_sees_it_after_rllib_has_checked_it(configure: Configure, notes_file: Path) -> None:
    config = configure("rising agents").multi_agent(
        policies={"both"}, policy_mapping_fn=lambda agent, episode, **kwargs: "both"
    )
    algo = config.build_algo()
    assert steps_in(notes_file) == [None, None]  # RLlib's checker resets the innermost env
    results = train(algo)
    algo.stop()
    counts = published(results)
    seen = steps_in(notes_file)[2:]
    assert seen == sorted(seen)
    assert set(seen) == {0, *counts[:-1]}
    assert all(event["difficulty"] == event["info"][STEPS] for event in notes(notes_file)[2:])
    assert results[-1]["env_runners"]["curriculum"]["difficulty"] > 0


def test_a_vector_env_that_is_one_object_sees_it_where_it_resets_itself(
    configure: Configure, notes_file: Path
) -> None:
    register_env("one object", NotingVector)
    algo = configure("one object", mode="vector_entry_point").build_algo()
    counts = published(train(algo))
    algo.stop()
    seen = steps_in(notes_file)
    assert seen == sorted(seen)
    assert set(seen) == {0, *counts[:-1]}


def test_envs_in_processes_of_their_own_that_nobody_wrapped_are_reported(configure: Configure) -> None:
    with pytest.warns(
        traincast.TraincastWarning, match=r"register_env\(name, wrap_env_creator\(make_env\)\)"
    ):
        algo = configure(NotingEnv, mode="async").build_algo()
    algo.stop()


def test_envs_that_are_made_anew_after_a_failure_go_on(configure: Configure, notes_file: Path) -> None:
    config = configure(NotingEnv, env_config={"fails_at": 3}).fault_tolerance(
        restart_failed_sub_environments=True
    )
    algo = config.build_algo()
    runner = algo.env_runner
    runner.sample(num_timesteps=2)
    first = set(map(id, runner.env.unwrapped.envs))
    algo.callbacks[0].run.publish(123)
    runner.env.unwrapped.envs[0].unwrapped.config["fails_at"] = 3
    runner.config.env_config["fails_at"] = None
    runner.sample(num_timesteps=4)
    assert first != set(map(id, runner.env.unwrapped.envs))
    assert steps_in(notes_file) == [0, 0, 123, 123]
    algo.stop()


def test_a_killed_env_runner_is_served_when_rllib_has_restarted_it(
    configure: Configure, notes_file: Path
) -> None:
    config = configure(NotingEnv, runners=2, envs=1).fault_tolerance(restart_failed_env_runners=True)
    algo = config.build_algo()
    train(algo, 2)
    victim = algo.env_runner_group.foreach_env_runner(lambda _: os.getpid(), local_env_runner=False)[0]
    os.kill(victim, signal.SIGKILL)
    before = len(notes(notes_file))
    pids: set[int] = set()
    while not pids - {victim} > {event["pid"] for event in notes(notes_file)[:before]} - {victim}:
        algo.train()
        pids = {event["pid"] for event in notes(notes_file)[before:]}
    algo.train()
    algo.stop()
    for pid in pids:
        seen = [event["info"][STEPS] for event in notes(notes_file) if event["pid"] == pid]
        assert seen == sorted(seen)
    newcomer = (pids - {event["pid"] for event in notes(notes_file)[:before]}).pop()
    assert next(e for e in notes(notes_file) if e["pid"] == newcomer)["info"][STEPS] >= 2 * BATCH


@pytest.mark.parametrize("runners", [0, 1])
def test_both_ways_to_restore_go_on_with_the_count(
    configure: Configure, notes_file: Path, tmp_path: Path, runners: int
) -> None:
    def shares(algorithm: Any) -> dict[str, Any]:
        return {"iteration": algorithm.iteration}

    config = configure(NotingEnv, runners=runners, training_info=shares)
    algo = config.build_algo()
    train(algo, 2)
    path = algo.save_to_path(tmp_path / "checkpoint")
    algo.stop()

    notes_file.unlink()
    algo = type(algo).from_checkpoint(path)
    assert published(train(algo, 2)) == [3 * BATCH, 4 * BATCH]
    seen = [(event["info"][STEPS], event["info"]["iteration"]) for event in notes(notes_file)]
    assert set(seen) == {(2 * BATCH, 2), (3 * BATCH, 3)}
    assert seen == sorted(seen)

    if runners == 0:
        algo.stop()
        algo = config.build_algo()
    notes_file.unlink()
    algo.restore(str(path))  # with runners: back, as population based training does
    assert published(train(algo, 1)) == [3 * BATCH]
    assert set(steps_in(notes_file)) == {2 * BATCH}
    algo.stop()


def test_nothing_is_left_when_an_algorithm_stops_or_is_dropped(
    configure: Configure, traincast_dir: Path
) -> None:
    algo = configure(NotingEnv, runners=1).build_algo()
    run = algo.callbacks[0].run
    algo.train()
    assert list(traincast_dir.iterdir())
    algo.stop()
    eventually(lambda: run.closed)
    assert not list(traincast_dir.iterdir())

    algo = configure(NotingEnv).build_algo()
    run = algo.callbacks[0].run
    del algo
    gc.collect()
    eventually(lambda: run.closed)
    assert not list(traincast_dir.iterdir())


def test_two_algorithms_of_one_config_do_not_mix(configure: Configure, notes_file: Path) -> None:
    config = configure(NotingEnv)
    one, other = config.copy().build_algo(), config.copy().build_algo()
    assert one.callbacks[0].run.name != other.callbacks[0].run.name
    train(one, 2)
    assert steps_in(notes_file)[-1] == BATCH
    notes_file.unlink()
    assert published(train(other, 1)) == [BATCH]
    assert set(steps_in(notes_file)) == {0}
    for algo in one, other:
        algo.stop()


def test_a_copy_of_an_env_that_follows_nobody_says_so() -> None:
    env = wrap_env_creator(NotingEnv)({"notes": os.devnull})
    assert isinstance(env, FollowingEnv)
    with pytest.warns(traincast.TraincastWarning, match=r"config.callbacks\(TrainingInfoCallback\)"):
        env.reset()
    assert wrap_env_creator("CartPole-v1")({}).observation_space.shape == (4,)
    with pytest.raises(TypeError, match="a function that makes an env"):
        wrap_env_creator(3)  # type: ignore[arg-type]
