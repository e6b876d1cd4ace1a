"""Finding an interface inside an env: what only looks like an env or an interface, and duck typing."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import gymnasium
import numpy as np
import pytest
from recording_envs import ForwardingWrapper, Holder, InfoWrapper, PlainEnv, RecordingEnv

import traincast
from traincast import (
    find_reward_shaping_interface,
    find_training_info_interface,
    find_wrapper_interface,
    set_training_info,
)

INFO = {"approx_total_training_steps": 7}


class SampleFactoryInterface:
    """As `sample_factory.envs.env_utils.TrainingInfoInterface`: the same methods, unrelated to our class."""

    def __init__(self):
        self.training_info = {}

    def set_training_info(self, training_info):
        self.training_info = training_info


# --- traps (the `==`, circles, forwarded attributes, proxies) ---


def test_the_search_never_compares_envs():
    class ArrayLike(PlainEnv):
        __hash__ = None

        def __eq__(self, other):
            return np.array([True, False])

        def __bool__(self):
            raise ValueError("ambiguous")

    env = gymnasium.Wrapper(ArrayLike())
    assert find_training_info_interface(env) is None
    env.unwrapped._env = inner = RecordingEnv()
    assert find_training_info_interface(env) is inner


def test_a_circle_ends_the_search():
    first, second = Holder(), Holder()
    first.env, second.env, second.envs = second, first, [first, second]
    assert find_training_info_interface(first) is None
    second._env = inner = RecordingEnv()
    assert find_training_info_interface(first) is inner


def test_a_very_deep_chain_is_searched_to_its_end():
    env = inner = RecordingEnv()
    for _ in range(5000):
        env = Holder(env=env)
    assert find_training_info_interface(env) is inner


def test_a_forwarded_method_does_not_count():
    env = ForwardingWrapper(ForwardingWrapper(RecordingEnv()))
    assert env.set_training_info  # forwarded
    assert find_training_info_interface(env) is env.unwrapped


def test_a_forwarded_inner_env_does_not_count():
    class Forwarding:
        def __init__(self, hidden):
            self.hidden = hidden

        def __getattr__(self, name):
            return getattr(self.hidden, name)

    hidden = gymnasium.Wrapper(RecordingEnv())
    assert Forwarding(hidden).env is hidden.env
    assert find_training_info_interface(Forwarding(hidden)) is None


def test_a_proxy_that_pretends_to_be_another_class_does_not_count():
    class Proxy(Holder):
        @property
        def __class__(self):
            return RecordingEnv

    env = RecordingEnv()
    proxy = Proxy(env=env)
    assert isinstance(proxy, traincast.TrainingInfoInterface)
    assert find_training_info_interface(proxy) is env
    assert find_wrapper_interface(proxy, RecordingEnv) is env


def test_looking_does_not_warn_or_run_anything():
    class Touchy(PlainEnv):
        @property
        def set_training_info(self):
            raise RuntimeError("evaluated")

    assert find_training_info_interface(gymnasium.Wrapper(Touchy())) is None


# --- duck typing ---


class OwnMethod(PlainEnv):
    def set_training_info(self, training_info):
        self.training_info = training_info


class StaticMethod(PlainEnv):
    training_info = None

    @staticmethod
    def set_training_info(training_info):
        StaticMethod.training_info = training_info


class ClassMethod(PlainEnv):
    training_info = None

    @classmethod
    def set_training_info(cls, training_info):
        cls.training_info = training_info


class LikeSampleFactory(PlainEnv, SampleFactoryInterface):
    pass


class InstanceMethod(PlainEnv):
    def __init__(self):
        super().__init__()
        self.set_training_info = partial(setattr, self, "training_info")


@pytest.mark.parametrize("kind", [OwnMethod, StaticMethod, ClassMethod, LikeSampleFactory, InstanceMethod])
def test_having_the_method_is_enough(kind):
    env = gymnasium.Wrapper(kind())
    assert find_training_info_interface(env) is env.unwrapped
    assert set_training_info(env, INFO) == 1
    assert env.unwrapped.training_info == INFO


def test_a_class_of_the_same_shape_can_be_looked_for():
    assert find_wrapper_interface(RecordingEnv(), SampleFactoryInterface)
    assert find_wrapper_interface(PlainEnv(), SampleFactoryInterface) is None


def test_a_protocol_can_be_looked_for():
    class Named(Protocol):
        def name_of_level(self) -> str: ...

    class Level(PlainEnv):
        def name_of_level(self) -> str:
            return "maze"

    env = gymnasium.Wrapper(Level())
    assert find_wrapper_interface(env, Named) is env.unwrapped
    assert find_wrapper_interface(PlainEnv(), Named) is None


def test_a_class_with_a_base_must_be_inherited_from():
    class Base:
        pass

    class Derived(Base):
        def step(self, action): ...

    class Implementing(PlainEnv, Derived):
        pass

    assert find_wrapper_interface(PlainEnv(), Derived) is None
    env = gymnasium.Wrapper(Implementing())
    assert find_wrapper_interface(env, Derived) is env.unwrapped


def test_a_switched_off_method_does_not_count():
    class Off(InfoWrapper):
        set_training_info = None

    class OffWithoutBase(gymnasium.Wrapper):
        set_training_info = None

    env = RecordingEnv()
    assert find_training_info_interface(Off(OffWithoutBase(env))) is env


def test_reward_shaping_needs_both_methods():
    class Half(PlainEnv):
        def set_reward_shaping(self, reward_shaping, agent_idx): ...

    assert find_reward_shaping_interface(Half()) is None
