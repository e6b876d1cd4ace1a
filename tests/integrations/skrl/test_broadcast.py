"""What `broadcast` publishes: in training, in an evaluation, after a load, with several agents."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import warnings

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from recordings import channels
from seen_envs import STEPS, make_seen, make_seen_with_curricula
from skrl.envs.wrappers.torch import wrap_env
from skrl.trainers.torch import SequentialTrainer, StepTrainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import traincast
from traincast.integrations.skrl import broadcast

TRAINER = {"disable_progressbar": True, "headless": True, "close_environment_at_exit": False}


@pytest.fixture
def run():
    with traincast.Run("skrl") as run:
        yield run


def envs_of(run, make=make_seen, count=2):
    fns = [run.wrap_env_fn(make) for _ in range(count)]
    return wrap_env(SyncVectorEnv(fns, autoreset_mode=AutoresetMode.SAME_STEP))


def test_a_second_train_goes_on_from_the_first(agent_of, train, run):
    env = envs_of(run)
    agent = agent_of(env)
    broadcast(agent, run)
    train(env, agent, 12)
    observed = train(env, agent, 12)
    assert run.steps == 24
    assert (observed >= 8).all()
    observed = train(envs_of(run), agent, 12)  # new envs, reset for the first time
    assert (observed[0] == 24).all()
    assert run.steps == 36


@pytest.mark.parametrize("separately", [False, True])
def test_the_count_goes_with_the_agents_checkpoints(agent_of, train, tmp_path, separately):
    with traincast.Run("before") as run:
        env = envs_of(run)
        agent = agent_of(env, checkpoint_interval=10, store_separately=separately)
        broadcast(agent, run, {"bots": 2})
        train(env, agent, 25)
        state = run.state_dict()
    with traincast.Run("after") as run:
        env = envs_of(run)
        agent = agent_of(env)
        module = broadcast(agent, run)
        if separately:
            file = tmp_path / "test/checkpoints/training_info_20.pt"
            module.load_state_dict(torch.load(file, weights_only=False))
        else:
            agent.load(str(tmp_path / "test/checkpoints/agent_20.pt"))
        assert run.state_dict()["training_info"] == {STEPS: 20, "bots": 2}
        observed = train(env, agent, 10)
        assert (observed[0] == 20).all()
        assert run.steps == 30
        assert run.state_dict()["version"] > state["version"]


def test_an_agent_goes_on_from_the_start_of_its_run(agent_of, train):
    with traincast.Run("start", start=500) as run:
        env = envs_of(run)
        agent = agent_of(env)
        broadcast(agent, run)
        assert (train(env, agent, 5)[0] == 500).all()
        assert run.steps == 505


def test_an_old_checkpoint_without_a_count_can_be_loaded(agent_of, run, tmp_path):
    env = envs_of(run)
    agent_of(env).save(str(tmp_path / "old.pt"))
    agent = agent_of(env)
    broadcast(agent, run)
    agent.load(str(tmp_path / "old.pt"))
    assert run.steps == 0


def test_an_evaluation_publishes_nothing_and_its_envs_see_what_they_are_given(agent_of, train, run):
    env = envs_of(run)
    agent = agent_of(env)
    broadcast(agent, run)
    train(env, agent, 10)
    inner = SyncVectorEnv([lambda: run.wrap_eval_env(make_seen(), {STEPS: 999}) for _ in range(2)])
    for evaluated in (wrap_env(inner), env):
        SequentialTrainer(env=evaluated, agents=agent, cfg={"timesteps": 10, **TRAINER}).eval()
    assert inner.get_attr("training_info") == ({STEPS: 999},) * 2
    agent.post_interaction(timestep=0, timesteps=1)  # of a loop of the user's: eval has set the mode
    assert run.steps == 10


def test_a_step_trainer_counts_its_steps_however_they_are_numbered(agent_of, run):
    env = envs_of(run)
    agent = agent_of(env)
    broadcast(agent, run)
    trainer = StepTrainer(env=env, agents=agent, cfg={"timesteps": 20, **TRAINER})
    for _ in range(5):
        trainer.train()
    for timestep in range(1_000, 1_005):
        trainer.train(timestep=timestep, timesteps=2_000)
    assert run.steps == 10


def test_a_function_gets_the_count_and_the_trainers_timesteps(agent_of, train, run):
    calls = []

    def training_info(timestep, timesteps):
        calls.append((timestep, timesteps))
        return {"noise": 1 / timestep} if timestep % 2 else None

    env = envs_of(run)
    agent = agent_of(env)
    broadcast(agent, run, training_info, first_info={"noise": 5.0})
    assert run.state_dict()["training_info"] == {STEPS: 0, "noise": 5.0}
    train(env, agent, 4)
    train(env, agent, 2)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4), (5, 2), (6, 2)]
    assert run.state_dict()["training_info"] == {STEPS: 6, "noise": 0.2}


def test_steps_of_all_envs_are_counted_if_that_is_asked_for(agent_of, train, run):
    env = envs_of(run, count=3)
    agent = agent_of(env)
    broadcast(agent, run, num_envs=env.num_envs)
    train(env, agent, 10)
    assert run.steps == 30


def test_curricula_work_and_their_numbers_are_in_the_log(agent_of, train, run, tmp_path):
    env = envs_of(run, make_seen_with_curricula)
    agent = agent_of(env, write_interval=10)
    broadcast(agent, run, lambda timestep, timesteps: {"shaping": {"goal": timestep / 10}})
    train(env, agent, 50)
    agent.writer.close()  # its thread writes now and then
    events = EventAccumulator(str(tmp_path / "test"))
    events.Reload()

    def values(tag):
        return [event.value for event in events.Scalars(tag)]

    assert values(f"Traincast / {STEPS}") == [10, 20, 30, 40, 50]
    assert values("Traincast / shaping.goal") == [1, 2, 3, 4, 5]
    size, level = values("Curriculum / size"), values("Curriculum / level")
    assert size == sorted(size)
    assert 1.0 < size[0] < size[-1] < 1.5
    assert level == sorted(level)
    assert level[-1] == 4
    assert set(values("Curriculum / average")) == {3.0}


def test_simultaneous_agents_have_a_run_each_or_one_together(agent_of, train, run):
    with traincast.Run("other", policy_id=1, start=100) as other:
        fns = [each.wrap_env_fn(make_seen) for each in (run, run, other, other)]
        env = wrap_env(SyncVectorEnv(fns, autoreset_mode=AutoresetMode.SAME_STEP))
        agents = [agent_of(env, num_envs=2) for _ in range(2)]
        for agent, its_run in zip(agents, (run, other), strict=True):
            broadcast(agent, its_run)
        train(env, agents, 10, scopes=[2, 2])
        assert (run.steps, other.steps) == (10, 110)
        seen = agents[1].memory.get_tensor_by_name("observations")[:10]
        assert seen.min() == 100
    for agent in agents:
        broadcast(agent, run)
    train(envs_of(run, count=4), agents, 10, scopes=[2, 2])
    assert run.steps == 20


def test_a_training_whose_envs_nobody_wrapped_is_told_once(agent_of, train, run):
    env = wrap_env(SyncVectorEnv([make_seen] * 2))
    agent = agent_of(env)
    broadcast(agent, run)
    train(env, agent, 50)
    with pytest.warns(traincast.TraincastWarning, match=r"no env reads run .*wrap_env_fn"):
        train(env, agent, 60)


def test_a_second_broadcast_takes_the_place_of_the_first(agent_of, train, run):
    env = envs_of(run)
    agent = agent_of(env)
    calls = []
    broadcast(agent, run, lambda *_: calls.append("first"))
    broadcast(agent, run, lambda *_: calls.append("second"))
    train(env, agent, 3)
    assert calls == ["second"] * 3
    assert run.steps == 3


def test_a_sweep_in_one_process_keeps_its_runs_apart(agent_of, train, traincast_dir):
    runs = [traincast.Run("sweep", start=1_000 * trial) for trial in range(3)]
    for trial, run in enumerate(runs):
        env = envs_of(run)
        agent = agent_of(env)
        broadcast(agent, run)
        assert set(np.unique(train(env, agent, 10) // 1_000)) == {trial}
    assert [run.steps for run in runs] == [10, 1_010, 2_010]
    assert len(channels(traincast_dir)) == 3
    for run in runs:
        run.close()
    assert channels(traincast_dir) == set()


def test_an_exception_in_the_training_leaves_nothing(agent_of, train, traincast_dir):
    def fails(timestep, timesteps):
        return {"one": 1 / (5 - timestep)}

    def whole():
        with traincast.Run("failing") as run:
            env = envs_of(run)
            agent = agent_of(env)
            broadcast(agent, run, fails)
            train(env, agent, 10)

    with pytest.raises(ZeroDivisionError):
        whole()
    assert channels(traincast_dir) == set()


def in_another_process(pickled, queue):
    agent = pickle.loads(pickled)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for timestep in range(3):
            agent.post_interaction(timestep=timestep, timesteps=3)
    queue.put([str(warning.message) for warning in said])


def test_an_agent_in_another_process_says_that_it_cannot_publish(agent_of, run):
    """As of a ParallelTrainer with several agents: it sends them to processes of their own."""
    agent = agent_of(envs_of(run))
    broadcast(agent, run, lambda timestep, timesteps: {})  # a function that does not pickle
    agent.enable_training_mode(True)
    agent._rollout = 0
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=in_another_process, args=(pickle.dumps(agent), queue))
    process.start()
    (said,) = queue.get()
    process.join()
    assert "SequentialTrainer" in said
    assert run.steps == 0


def test_a_copy_of_an_agent_counts_by_itself(agent_of, train, run):
    env = envs_of(run)
    agent = agent_of(env)
    broadcast(agent, run)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(agent)))
    train(env, twin, 5)
    assert run.steps == 5
    assert twin.checkpoint_modules["training_info"]._agent is twin


def test_a_rank_other_than_0_trains_and_publishes_nothing(agent_of, train, monkeypatch):
    """skrl itself wants GPUs for this: the launcher's variables are set after it has looked for them."""
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", "0")
    with traincast.Run("ranks", start=70) as first:
        context = multiprocessing.get_context("fork")

        def second():
            monkeypatch.setenv("RANK", "1")
            traincast._names._made.clear()
            run = traincast.Run("ranks")
            env = envs_of(run)
            agent = agent_of(env)
            broadcast(agent, run)
            observed = train(env, agent, 5)
            assert run.name == first.name
            assert (observed == 70).all()

        process = context.Process(target=second)
        process.start()
        process.join()
        assert process.exitcode == 0
        assert first.steps == 70


@pytest.mark.filterwarnings("ignore:.*Box observation space maximum.*", "ignore:.*render_mode.*")
def test_gymnasiums_checker_passes_on_wrapped_envs(run):
    check_env(run.wrap_env(make_seen()), skip_render_check=True)
    check_env(run.wrap_env(make_seen_with_curricula()), skip_render_check=True)


def test_slips_are_refused_with_the_remedy(agent_of, run):
    agent = agent_of(envs_of(run))
    with pytest.raises(TypeError, match="an agent of skrl and then"):
        broadcast(run, agent)
    with pytest.raises(TypeError, match=r"traincast\.Run"):
        broadcast(agent, run.name)
    with pytest.raises(ValueError, match="num_envs"):
        broadcast(agent, run, num_envs=0)
    with pytest.raises(TypeError, match="a mapping, or a function"):
        broadcast(agent, run, 5)
