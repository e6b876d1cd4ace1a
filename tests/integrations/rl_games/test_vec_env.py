"""Whole trainings of rl_games with a vec env in this process: what is published, saved, restored and said."""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
import warnings
from functools import partial

import cloudpickle
import pytest
import torch
from recording_envs import STEPS, RecordingEnv
from rl_games.common import env_configurations, vecenv
from rl_games_trainings import EPOCH, ContinuousEnv, LocalVecEnv, configured, make_env, runner_for

import traincast
from traincast.integrations.rl_games import TrainInfoObserver, publishing, wrap_env_creator


def inner(env):
    """The env that records, inside of all wrappers."""
    return env.unwrapped


def seen_by(vec_env):
    """What each env has seen; the count of the start is published when the run begins, and by rl_games."""
    return [[steps for steps, _ in itertools.groupby(inner(env).seen)] for env in vec_env.envs]


def train(runner, **args):
    runner.run({"train": True, **args})
    return runner.algo_observer.algo


@pytest.fixture
def plain():
    vecenv.register("TC", publishing(LocalVecEnv))
    return configured("TC", wrap_env_creator(make_env))


def test_each_env_sees_each_epoch_in_order_in_a_dictionary_of_its_own(plain, watching, tmp_path):
    algo = train(runner_for(plain, tmp_path, observer=watching))
    assert seen_by(algo.vec_env) == [[0, EPOCH, 2 * EPOCH]] * 4
    dictionaries = [id(info) for env in algo.vec_env.envs for _, _, info in inner(env).received]
    assert len(set(dictionaries)) == 16
    assert algo.vec_env.told == [0, EPOCH, 2 * EPOCH]  # the vec env inside is told too


def test_the_first_reset_sees_constant_and_first_entries(watching, tmp_path):
    def more(env_frames, algo):
        return {"epoch": algo.epoch_num, "frames": env_frames}

    vecenv.register("TC", publishing(LocalVecEnv, more, first_info={"epoch": 0, "frames": -1}))
    algo = train(runner_for(configured("TC", wrap_env_creator(make_env)), tmp_path, observer=watching))
    infos = [info for _, _, info in inner(algo.vec_env.envs[0]).received]
    assert infos[0] == {STEPS: 0, "epoch": 0, "frames": -1}
    assert infos[-1] == {STEPS: 2 * EPOCH, "epoch": 3, "frames": 2 * EPOCH}


def test_a_second_train_goes_on(plain, watching, tmp_path):
    algo = train(runner_for(plain, tmp_path, observer=watching))
    algo.max_epochs += 2
    algo.train()
    assert seen_by(algo.vec_env)[0] == [epoch * EPOCH for epoch in range(5)]


@pytest.mark.parametrize("set_epoch", [True, False], ids=["frames restored", "frames from 0"])
def test_a_restored_training_goes_on_at_its_first_reset(plain, watching, tmp_path, newest, set_epoch):
    train(runner_for(plain, tmp_path / "first", observer=watching))
    runner = runner_for(plain, tmp_path / "second", observer=watching, epochs=5 if set_epoch else 2)
    if set_epoch:
        algo = train(runner, checkpoint=newest("first"))
        expected = [2 * EPOCH, 3 * EPOCH, 4 * EPOCH]
    else:
        algo = runner.algo_factory.create(runner.algo_name, base_name="run", params=runner.params)
        algo.restore(newest("first"), set_epoch=False)
        algo.train()
        expected = [2 * EPOCH, 3 * EPOCH]
    assert seen_by(algo.vec_env)[0] == expected
    assert algo.vec_env.state == "its own"  # what the vec env inside saved
    assert algo.vec_env.run.state_dict()["version"] > 3


def test_a_sweep_in_one_process_mixes_nothing_up(plain, watching, traincast_dir, tmp_path):
    first = train(runner_for(plain, tmp_path / "first", observer=watching, epochs=4)).vec_env
    second = train(runner_for(plain, tmp_path / "second", observer=watching)).vec_env
    assert first.run.name != second.run.name
    assert second.run.name.startswith("short-")
    assert (seen_by(first)[0][-1], seen_by(second)[0]) == (3 * EPOCH, [0, EPOCH, 2 * EPOCH])
    first.reset()
    assert seen_by(first)[0][-1] == 3 * EPOCH
    first.close()
    second.close()
    assert not list(traincast_dir.iterdir())
    assert not [name for name in env_configurations.configurations if "#" in name]


def test_a_vec_env_that_nobody_holds_ends_its_run(plain, traincast_dir):
    vecenv.create_vec_env(plain, 2)
    gc.collect()
    assert not list(traincast_dir.iterdir())
    assert not [name for name in env_configurations.configurations if "#" in name]


def test_a_vec_env_that_fails_leaves_nothing(traincast_dir):
    def fail(**_):
        raise OSError("no simulator")

    vecenv.register("TC", publishing(LocalVecEnv))
    with pytest.raises(OSError, match="no simulator") as kept:
        vecenv.create_vec_env(configured("TC", fail), 2)
    assert not list(traincast_dir.iterdir()), kept


def test_a_run_of_the_caller_stays_open(watching, tmp_path):
    with traincast.Run("mine", start=100) as run:
        vecenv.register("TC", publishing(LocalVecEnv, run=run))
        name = configured("TC", wrap_env_creator(make_env))
        algo = train(runner_for(name, tmp_path, observer=watching))
        assert algo.vec_env.run is run
        assert seen_by(algo.vec_env)[0] == [100, 100 + EPOCH, 100 + 2 * EPOCH]
        algo.vec_env.close()
        assert not run.closed


def test_functions_that_make_vec_envs_are_taken_too(watching, tmp_path):
    vecenv.register("TC", publishing(lambda name, count, **config: LocalVecEnv(name, count, **config)))
    algo = train(runner_for(configured("TC", wrap_env_creator(make_env)), tmp_path, observer=watching))
    assert seen_by(algo.vec_env)[0][-1] == 2 * EPOCH


# Evaluation.


def play(runner, checkpoint=None):
    created = []
    player = runner.create_player()
    created.append(player)
    if checkpoint:
        player.restore(checkpoint)
    player.run()
    return player.env


def test_a_player_keeps_what_its_checkpoint_has(plain, watching, tmp_path, newest, capsys):
    algo = train(runner_for(plain, tmp_path / "trained", observer=watching))
    env = play(runner_for(plain, tmp_path), newest("trained"))
    assert inner(env).seen == [2 * EPOCH]
    assert inner(env).difficulty == pytest.approx(2 * EPOCH / 1000)
    assert f"checkpoint: {STEPS}={2 * EPOCH}" in capsys.readouterr().out
    assert algo.vec_env.run.steps == 2 * EPOCH


def test_a_player_sees_what_it_is_given(watching, tmp_path, newest):
    vecenv.register("TC", publishing(LocalVecEnv))
    name = configured("TC", wrap_env_creator(make_env, eval_info={STEPS: 1000}))
    algo = train(runner_for(name, tmp_path / "trained", observer=watching))
    assert seen_by(algo.vec_env)[0] == [0, EPOCH, 2 * EPOCH]
    env = play(runner_for(name, tmp_path), newest("trained"))
    assert inner(env).seen == [1000]


def test_a_player_of_a_vec_env_keeps_what_its_checkpoint_has(plain, watching, tmp_path, newest):
    train(runner_for(plain, tmp_path / "trained", observer=watching))
    env = play(runner_for(plain, tmp_path, player={"use_vecenv": True}), newest("trained"))
    assert {tuple(seen) for seen in seen_by(env)} == {(2 * EPOCH,)}


def test_a_player_without_a_checkpoint_says_that_it_sees_nothing(plain, tmp_path):
    with pytest.warns(traincast.TraincastWarning, match="stays as it was built"):
        env = play(runner_for(plain, tmp_path))
    assert inner(env).seen == []


def test_a_checkpoint_that_a_plain_env_could_not_play_says_so(watching, tmp_path):
    vecenv.register("TC", publishing(LocalVecEnv))
    name = configured("TC", make_env)
    with pytest.warns(traincast.TraincastWarning, match=r"Register wrap_env_creator\(env_creator\)"):
        train(runner_for(name, tmp_path, observer=watching))


# What goes wrong is said.


def test_a_checkpoint_of_a_training_without_traincast_says_where_the_first_episodes_begin(
    watching, tmp_path, newest
):
    vecenv.register("PLAIN", LocalVecEnv)
    vecenv.register("TC", publishing(LocalVecEnv))
    train(runner_for(configured("PLAIN", make_env), tmp_path / "plain", observer=watching))
    name = configured("TC", wrap_env_creator(make_env))
    with pytest.warns(traincast.TraincastWarning, match=r"start=\.\.\."):
        algo = train(runner_for(name, tmp_path, observer=watching, epochs=5), checkpoint=newest("plain"))
    assert seen_by(algo.vec_env)[0] == [0, 3 * EPOCH, 4 * EPOCH]
    assert algo.vec_env.state == "its own"

    vecenv.register("TC", publishing(LocalVecEnv, start=3 * EPOCH))
    algo = train(runner_for(name, tmp_path, observer=watching, epochs=5), checkpoint=newest("plain"))
    assert seen_by(algo.vec_env)[0] == [3 * EPOCH, 4 * EPOCH]


def test_envs_that_nothing_feeds_are_noticed(watching, tmp_path):
    class Deaf(LocalVecEnv):
        def __init__(self, config_name, num_actors, **env_config):
            super().__init__(config_name, 0)
            self.envs = [make_env() for _ in range(num_actors)]

    vecenv.register("TC", publishing(Deaf))
    with pytest.warns(traincast.TraincastWarning, match="no env reads run"):
        train(runner_for(configured("TC", wrap_env_creator(make_env)), tmp_path, observer=watching))


def test_envs_without_the_interface_are_noticed(watching, tmp_path):
    from recording_envs import PlainEnv
    from rl_games.common.gym_compat import wrap_gymnasium_env

    vecenv.register("TC", publishing(LocalVecEnv))
    name = configured("TC", wrap_env_creator(lambda **_: wrap_gymnasium_env(PlainEnv())))
    with pytest.warns(traincast.TraincastWarning, match="reached nobody"):
        train(runner_for(name, tmp_path, observer=watching))


@pytest.mark.parametrize("wrong", [None, 3, "RayVecEnv"])
def test_what_is_no_vec_env_is_refused(wrong):
    with pytest.raises(TypeError, match="class of a vec env"):
        publishing(wrong)


def test_wrong_options_are_refused_where_they_are_written():
    with pytest.raises(TypeError, match="has no option frozen"):
        wrap_env_creator(make_env, frozen=True)
    with pytest.raises(TypeError, match="function that makes an env"):
        wrap_env_creator(RecordingEnv())


# SAC tells its vec env nothing.

SAC = {
    "num_steps_per_episode": 8, "batch_size": 8, "init_alpha": 1.0, "alpha_lr": 1e-3, "actor_lr": 1e-3,
    "critic_lr": 1e-3, "critic_tau": 0.005, "learnable_temperature": True, "num_warmup_steps": 1,
    "replay_buffer_size": 1000, "num_updates_per_step": 1, "policy_frequency": 2,
}  # fmt: skip


def sac_runner(env_name, train_dir, observer, epochs):
    runner = runner_for(env_name, train_dir, observer=observer, epochs=epochs, **SAC)
    runner.params["algo"], runner.algo_name = {"name": "sac"}, "sac"
    runner.params["model"] = {"name": "soft_actor_critic"}
    runner.params["network"] |= {
        "name": "soft_actor_critic",
        "separate": True,
        "space": {"continuous": {}},
        "log_std_bounds": [-5, 2],
    }
    return runner


def test_sac_goes_silent_aloud_and_with_the_observer_not_at_all(watching, tmp_path, newest):
    vecenv.register("TC", publishing(LocalVecEnv))
    name = configured("TC", wrap_env_creator(partial(make_env, ContinuousEnv)))
    with pytest.warns(traincast.TraincastWarning, match=r"Runner\(TrainInfoObserver\(\)\)"):
        train(sac_runner(name, tmp_path / "silent", watching, 2))

    algo = train(sac_runner(name, tmp_path / "told", TrainInfoObserver(), 3))
    assert seen_by(algo.vec_env)[0] == [0, EPOCH, 2 * EPOCH]
    assert algo.vec_env.run.steps == 3 * EPOCH
    algo = train(sac_runner(name, tmp_path / "on", TrainInfoObserver(), 5), checkpoint=newest("told"))
    assert seen_by(algo.vec_env)[0] == [3 * EPOCH, 4 * EPOCH]


# Processes.


def test_the_name_takes_its_configuration_to_other_processes(traincast_dir, tmp_path):
    """As Ray does it, and an env creator that nobody can import."""
    vecenv.register("TC", publishing(LocalVecEnv))
    vec_env = vecenv.create_vec_env(configured("TC", lambda **config: make_env(**config)), 1)
    (tmp_path / "name").write_bytes(cloudpickle.dumps(vec_env.config_name))
    program = """
import cloudpickle, sys
from rl_games.common import env_configurations
name = cloudpickle.load(open(sys.argv[1], "rb"))
env = env_configurations.configurations[cloudpickle.loads(cloudpickle.dumps(name))]["env_creator"]()
env.reset()
print("saw", env.unwrapped.seen)
"""
    vec_env.set_train_info(64)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "name")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "saw [64]" in done.stdout
    vec_env.close()


RANK = """
import sys, time
from pathlib import Path
from rl_games.common import vecenv
from rl_games_trainings import LocalVecEnv, configured, make_env
from traincast.integrations.rl_games import publishing, wrap_env_creator
rank, place = int(sys.argv[1]), Path(sys.argv[2])
vecenv.register("TC", publishing(LocalVecEnv))
vec_env = vecenv.create_vec_env(configured("TC", wrap_env_creator(make_env)), 2)
vec_env.reset()
def meet(where):
    (place / f"{where}-{rank}").touch()
    while len(list(place.glob(f"{where}-*"))) < 2:
        time.sleep(0.01)
meet("reset")
vec_env.set_train_info(1000 * (1 - rank))  # rank 1 has counted nothing
meet("told")
vec_env.reset()
print("saw", vec_env.run.name, vec_env.run.publishes, [env.unwrapped.seen for env in vec_env.envs])
meet("seen")
vec_env.close()
"""


def test_rank_0_publishes_and_the_envs_of_the_others_see_it(tmp_path, traincast_dir):
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29611",
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path)],
            env=environ | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate()[0].split("saw ", 1)[1].split(maxsplit=2) for process in ranks]
    assert said[0][0] == said[1][0]
    assert [publishes for _, publishes, _ in said] == ["True", "False"]
    assert [json.loads(seen) for _, _, seen in said] == [[[0, 1000]] * 2] * 2
    assert not list(traincast_dir.iterdir())


def test_rl_games_looks_at_a_wrapped_env_as_at_a_plain_one(plain):
    spaces = env_configurations.get_obs_and_action_spaces_from_config
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped = spaces({"env_name": plain})
        assert wrapped == spaces({"env_name": configured("TC", make_env)})


def test_a_checkpoint_needs_nothing_of_ours_to_be_read(plain, watching, tmp_path, newest):
    train(runner_for(plain, tmp_path / "trained", observer=watching))
    program = "import sys, torch; print(torch.load(sys.argv[1], weights_only=False)['env_state']['env'])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['traincast'] = None; {program}", newest("trained")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "its own" in done.stdout
    assert torch.load(newest("trained"), weights_only=False)["env_state"]["traincast"]["training_info"]
