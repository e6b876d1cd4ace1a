"""`TrainingInfoVectorWrapper`: vector envs that are one object, and vector envs of Gymnasium's own."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv, VectorEnv
from recording_envs import STEPS, RecordingEnv

import traincast

MODES = list(getattr(gymnasium.vector, "AutoresetMode", [None]))
new_gymnasium = pytest.mark.skipif(MODES == [None], reason="Gymnasium 0.29 has no such vector envs")


@pytest.fixture
def run():
    with traincast.Run("vector", start=10) as run:
        yield run


class OneObject(VectorEnv):
    """Episodes of two steps; records the steps that each of its resets knows."""

    def __init__(self, mode=None, num_envs=3):
        observations, actions = gymnasium.spaces.Box(0, 9, (1,)), gymnasium.spaces.Discrete(2)
        if MODES == [None]:
            super().__init__(num_envs, observations, actions)
        else:
            self.num_envs = num_envs
            self.single_observation_space, self.single_action_space = observations, actions
            self.observation_space = gymnasium.vector.utils.batch_space(observations, num_envs)
            self.action_space = gymnasium.vector.utils.batch_space(actions, num_envs)
            self.metadata = {"autoreset_mode": mode}
        self.mode = getattr(mode, "name", "SAME_STEP")
        self.known = None
        self.resets = []
        self.count, self.over = 0, False

    def set_training_info(self, training_info):
        self.known = training_info[STEPS]

    def reset(self, *, seed=None, options=None):
        self.resets.append(self.known)
        self.count, self.over = 0, False
        return np.zeros((self.num_envs, 1), np.float32), {}

    def step(self, actions):
        if self.over and self.mode == "NEXT_STEP":
            observations, infos = self.reset()
            return self._result(observations, infos)
        self.count += 1
        self.over = self.count == 2
        over = self.over
        if over and self.mode == "SAME_STEP":
            self.reset()
        return self._result(np.full((self.num_envs, 1), self.count, np.float32), {}, over)

    def _result(self, observations, infos, over=False):
        none = np.zeros(self.num_envs, bool)
        return observations, np.ones(self.num_envs), none | over, none, infos

    def close(self, **arguments):
        self.closed = True

    def __del__(self):
        pass


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_reset_knows_the_newest(run, mode):
    envs = run.wrap_env(OneObject(mode))
    assert type(envs) is traincast.TrainingInfoVectorWrapper
    inner = envs.env
    envs.reset(seed=0)
    actions = np.zeros(3, int)
    for episode in range(1, 4):
        envs.step(actions)
        run.publish(10 + episode)
        envs.step(actions)
        if inner.mode == "NEXT_STEP":
            envs.step(actions)
        elif inner.mode == "DISABLED":
            envs.reset(options={"reset_mask": np.ones(3, bool)})
    assert inner.resets == [10, 11, 12, 13]
    envs.close()
    assert inner.closed


def test_delivered_before_reset_only_if_asked_for(run):
    envs = run.wrap_env(OneObject(MODES[0]), deliver="reset")
    envs.reset()
    run.publish(20)
    envs.step(np.zeros(3, int))
    assert envs.env.known == 10
    envs.reset()
    assert envs.env.known == 20


@new_gymnasium
@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")
def test_the_native_vector_env_of_make_vec_is_served(run):
    class Cart(gymnasium.vector.VectorWrapper):
        received = ()

        def set_training_info(self, training_info):
            self.received = (*self.received, training_info[STEPS])

    native = gymnasium.make_vec("CartPole-v1", 4)
    with pytest.raises(TypeError, match=f"{type(native).__name__}.*TrainingInfoVectorWrapper"):
        traincast.TrainingInfoWrapper(native, run)
    envs = run.wrap_env(Cart(native), info_key="traincast")
    _, infos = envs.reset(seed=0)
    assert infos["traincast"]["version"].tolist() == [1] * 4
    run.publish(20)
    ended = False
    while not ended:
        _, _, terminated, _, infos = envs.step(np.ones(4, int))
        ended = terminated.any()
        assert ("traincast" in infos) is bool(ended)
    assert infos["traincast"]["version"].tolist() == [2] * 4
    assert infos["_traincast"].all()
    assert envs.env.received == (10, 20)
    assert envs.num_envs == 4
    assert gymnasium.wrappers.vector.RecordEpisodeStatistics(envs).reset()
    envs.close()


@new_gymnasium
@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")
def test_a_native_vector_env_without_the_method_says_so(run):
    envs = run.wrap_env(gymnasium.make_vec("CartPole-v1", 2))
    with pytest.warns(traincast.TraincastWarning, match="nothing in CartPoleVectorEnv has the method"):
        envs.reset()
    assert envs.training_info == {STEPS: 10}
    envs.close()


def test_each_env_of_a_sync_vector_env_gets_it(run):
    envs = run.wrap_env(SyncVectorEnv([RecordingEnv] * 3))
    assert envs.reset()[1]["known_steps"].tolist() == [10] * 3
    run.publish(20)
    envs.step(np.zeros(3, int))
    assert [env.unwrapped.seen for env in envs.env.envs] == [[10, 20]] * 3
    envs.close()


@new_gymnasium
def test_version_and_age_stand_beside_what_the_envs_show(run):
    class Showing(RecordingEnv):
        def reset(self, **arguments):
            observation, info = super().reset(**arguments)
            return observation, info | {"curriculum": {"level": 2.0}}

    envs = run.wrap_env(SyncVectorEnv([Showing] * 2), info_key="curriculum")
    info = envs.reset()[1]["curriculum"]
    assert info["level"].tolist() == [2, 2]
    assert info["version"].tolist() == [1, 1]
    assert info["_version"].all()
    envs.close()


def test_an_evaluation_on_a_vector_env_keeps_the_given_value(run):
    envs = run.wrap_eval_env(OneObject(MODES[0]), {STEPS: 99})
    run.publish(20)
    for _ in range(2):
        envs.reset()
    assert envs.env.resets == [99, 99]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])
def test_it_can_be_copied(run, duplicate):
    envs = run.wrap_env(OneObject(MODES[0]))
    envs.reset()
    twin = duplicate(envs)
    run.publish(20)
    twin.reset()
    assert (envs.env.resets, twin.env.resets) == ([10], [10, 20])


def test_a_single_env_is_refused_with_the_remedy(run):
    with pytest.raises(TypeError, match="a single env has TrainingInfoWrapper"):
        traincast.TrainingInfoVectorWrapper(RecordingEnv(), run)


def test_without_a_learner_it_warns_after_100_resets_not_steps(channel_name):
    envs = traincast.TrainingInfoVectorWrapper(OneObject(MODES[0]), channel_name)
    for _ in range(99):
        envs.reset()
        for _ in range(3):
            envs.step(np.zeros(3, int))
    with pytest.warns(traincast.TraincastWarning, match="in 100 resets"):
        envs.reset()
