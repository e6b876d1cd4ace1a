"""`TrainingInfoTransform` and `wrap_env`: envs of TorchRL are told before each reset."""

from __future__ import annotations

import pickle
from functools import partial

import cloudpickle
import pytest
import torch
from recording_envs import RecordingEnv
from torchrl.data.utils import CloudpickleWrapper
from torchrl.envs import (
    Compose,
    EnvCreator,
    GymWrapper,
    ParallelEnv,
    RewardSum,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    check_env_specs,
)
from torchrl_trainers import STEPS, DeafEnv, ListeningTransform, NativeEnv, gym_env, wrapped_gym_env

import traincast
from traincast.integrations.torchrl import TrainingInfoHook, TrainingInfoTransform


@pytest.fixture
def hook():
    hook = TrainingInfoHook()
    yield hook
    hook.run.close()


def known(env, **reset):
    """What the envs know after a reset."""
    return env.reset(**reset)["observation"].flatten().tolist()


def test_a_native_env_is_told_before_each_reset(hook):
    env = TransformedEnv(NativeEnv(), hook.transform())
    assert known(env) == [0.0]
    for steps in (10, 20):
        hook.run.publish(steps)
        assert known(env) == [steps]
    assert [info[STEPS] for info in env.base_env.told] == [0, 10, 20]  # and nothing twice


def test_resets_inside_of_a_rollout_are_told_too(hook):
    env = TransformedEnv(NativeEnv(length=2), Compose(StepCounter(), hook.transform()))
    data, seen = env.reset(), []
    for step in range(1, 7):
        seen.append(data["observation"].item())
        hook.run.publish(step)
        _, data = env.step_and_maybe_reset(env.rand_action(data))
    assert seen == [0, 0, 2, 2, 4, 4]


def test_a_gymnasium_env_is_told_inside_of_its_wrapper_and_by_a_transform(hook):
    inside, outside = gym_env(), gym_env()
    envs = [
        GymWrapper(hook.wrap_env(inside)),
        TransformedEnv(GymWrapper(outside), Compose(RewardSum(), hook.transform())),
    ]
    for env in envs:
        env.reset()
        hook.run.publish(hook.run.steps + 5)
        env.reset()
    assert (inside.seen, outside.seen) == ([0, 5], [5, 10])


@pytest.mark.parametrize("make", [NativeEnv, partial(GymWrapper, gym_env())], ids=["native", "gymnasium"])
def test_wrap_env_and_wrap_env_fn_take_envs_of_torchrl(hook, make):
    for env in (hook.wrap_env(make()), hook.wrap_env_fn(make)()):
        assert isinstance(env, TransformedEnv)
        env.reset()
        assert traincast.find_training_info_interface(env) is not None
    with pytest.raises(TypeError, match="takes an env"):
        hook.wrap_env(make)
    with pytest.raises(TypeError, match="takes a function"):
        hook.wrap_env_fn(make())


def batched(kind, **options):
    return kind(2, NativeEnv, **options)


KINDS = {
    "serial": partial(batched, SerialEnv),
    "parallel": partial(batched, ParallelEnv, mp_start_method="fork"),
}


def envs_of_all_kinds(hook):
    yield GymWrapper(hook.wrap_env(gym_env()))
    yield TransformedEnv(GymWrapper(gym_env()), hook.transform())
    yield TransformedEnv(NativeEnv(batch_size=(3,)), hook.transform())
    yield TransformedEnv(NativeEnv(), Compose(StepCounter(), hook.transform(), RewardSum()))
    for kind in KINDS.values():
        yield TransformedEnv(kind(), hook.transform())
    yield SerialEnv(2, hook.wrap_env_fn(NativeEnv))


def test_check_env_specs_passes(hook):
    for env in envs_of_all_kinds(hook):
        check_env_specs(env)
        env.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_transform_around_a_batched_env_goes_into_each_of_its_envs(hook, kind):
    env = TransformedEnv(KINDS[kind](), Compose(StepCounter(), hook.transform()))
    assert known(env) == [0, 0]
    hook.run.publish(7)
    data = env.reset()
    for _ in range(2):
        data = env.rand_step(data)["next"]
    hook.run.publish(8)
    # One of the two is reset, the other one goes on with what its episode began with.
    data["_reset"] = torch.tensor([[True], [False]])
    assert known(env, tensordict=data) == [8, 7]
    env.close()


def test_a_transform_around_a_batched_env_that_runs_already_says_that_it_is_too_late(hook):
    parallel = KINDS["parallel"]()
    parallel.reset()
    env = TransformedEnv(parallel, hook.transform())
    with pytest.warns(traincast.TraincastWarning, match="live in other processes"):
        env.reset()
    env.close()
    serial = KINDS["serial"]()
    serial.reset()
    assert known(TransformedEnv(serial, hook.transform())) == [0, 0]  # in this process it is not


def test_tensors_that_workers_share_stay_shared(hook):
    make = EnvCreator(lambda: TransformedEnv(NativeEnv(), StepCounter()))
    env = TransformedEnv(ParallelEnv(1, make), hook.transform())
    (sent,) = env.base_env.create_env_fn
    assert isinstance(sent, CloudpickleWrapper)  # TorchRL would wrap anything else in one
    assert sent._make is make
    state = sent.__reduce_ex__(2)[2]
    assert state["_make"] is make  # multiprocessing's pickler gets it, and cloudpickle does not
    assert sent().transform[-1]._feed is not sent().transform[-1]._feed


def test_each_env_gets_a_dictionary_of_its_own(hook):
    env = TransformedEnv(KINDS["serial"](), hook.transform())
    env.reset()
    first, second = (inner.base_env.told[0] for inner in env.base_env._envs)
    assert first == second
    assert first is not second


def test_a_clone_delivers_by_itself(hook):
    transform = hook.transform()
    first = TransformedEnv(NativeEnv(), transform)
    second = TransformedEnv(NativeEnv(), transform.clone())
    taken_apart = TransformedEnv(TransformedEnv(NativeEnv(), transform.clone()), StepCounter())
    for steps in (0, 3):
        hook.run.publish(steps)
        assert known(first) == known(second) == known(taken_apart) == [steps]


def test_other_transforms_are_told_too(hook):
    listener = ListeningTransform()
    env = TransformedEnv(NativeEnv(), Compose(listener, hook.transform()))
    env.reset()
    assert [info[STEPS] for info in listener.told] == [info[STEPS] for info in env.base_env.told] == [0]


def test_an_env_that_resets_itself_is_told_before_its_steps(hook):
    env = TransformedEnv(NativeEnv(length=2, auto_reset=True), hook.transform())
    inner = env.base_env.base_env
    data = env.reset()
    hook.run.publish(9)
    env.rand_step(data)
    assert [info[STEPS] for info in inner.told] == [0, 9]


def test_a_step_delivers_if_it_is_asked_to(hook):
    env = TransformedEnv(NativeEnv(), hook.transform(deliver="step"))
    data = env.reset()
    assert env.base_env.told == []
    env.rand_step(data)
    assert [info[STEPS] for info in env.base_env.told] == [0]


def test_evaluation_sees_what_is_given_or_frozen(hook):
    given = TransformedEnv(NativeEnv(), hook.eval_transform({STEPS: 500}))
    hook.run.publish(10)
    frozen = hook.wrap_eval_env(NativeEnv())
    for _ in range(2):
        assert (known(given), known(frozen)) == ([500], [10])
        hook.run.publish(hook.run.steps + 1)
    frozen.close()  # as LogValidationReward does after each evaluation
    assert known(frozen) == [10]
    with (
        TrainingInfoHook().run as run,
        pytest.warns(traincast.TraincastWarning, match="at the start of the training"),
    ):
        TransformedEnv(NativeEnv(), TrainingInfoTransform(run, frozen=True)).reset()


def test_an_env_that_takes_nothing_is_told_of(hook):
    env = TransformedEnv(DeafEnv(), hook.transform())
    with pytest.warns(traincast.TraincastWarning, match="nothing in TransformedEnv > DeafEnv"):
        env.reset()


def test_what_travels_is_a_reference_to_the_run_alone(hook):
    hook.trainer_like = bytearray(1_000_000)
    for travelling in (
        hook,
        hook.wrap_env,
        hook.wrap_env_fn(NativeEnv),
        hook.transform,
        hook.transform(),
        hook.eval_transform,
        lambda: TransformedEnv(NativeEnv(), hook.transform()),
    ):
        pickled = cloudpickle.dumps(travelling)
        assert len(pickled) < 5_000
        pickle.loads(pickled)
    make = pickle.loads(cloudpickle.dumps(lambda: TransformedEnv(NativeEnv(), hook.transform())))
    hook.run.publish(3)
    assert known(make()) == [3]


def test_a_program_of_its_own_is_met_by_name(hook):
    env = TransformedEnv(NativeEnv(), TrainingInfoTransform(hook.run.name))
    hook.run.publish(4)
    assert known(env) == [4]
    assert repr(env.transform) == f"TrainingInfoTransform({hook.run.name!r}, policy_id=0)"


def test_wrong_arguments_are_refused_at_once(hook):
    with pytest.raises(ValueError, match="deliver must be one of"):
        hook.transform(deliver="always")
    with pytest.raises(TypeError, match=r"expected a traincast\.Run"):
        TrainingInfoTransform(hook)
    with pytest.raises(traincast.MissingKeyError):
        hook.eval_transform({"goal": 1.0})


def test_an_exception_of_the_env_is_the_users_and_the_information_comes_again(hook):
    class Failing(NativeEnv):
        fails = True

        def set_training_info(self, training_info):
            if self.fails:
                raise ZeroDivisionError
            super().set_training_info(training_info)

    env = TransformedEnv(Failing(), hook.transform())
    with pytest.raises(ZeroDivisionError):
        env.reset()
    env.base_env.fails = False
    assert known(env) == [0]


def test_the_wrapped_env_of_a_trainer_takes_seeds(hook):
    env = wrapped_gym_env(hook)
    env.set_seed(3)
    check_env_specs(env)


def test_an_env_of_torchrl_is_refused_with_what_to_wrap_in_its_place():
    with traincast.Run("refused") as run:
        with pytest.raises(TypeError, match=r"not around GymWrapper: use GymWrapper\(run\.wrap_env\(env\)\)"):
            run.wrap_env(GymWrapper(RecordingEnv()))
        env = GymWrapper(run.wrap_env(RecordingEnv()))
        env.reset()
        assert env._env.unwrapped.seen == [0]
