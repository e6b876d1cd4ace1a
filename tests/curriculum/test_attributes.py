"""What a curriculum can set: attributes, paths, properties, methods; and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import deque
from types import SimpleNamespace

import gymnasium
import pytest
import torch
from recording_envs import ForwardingWrapper, PlainEnv

from traincast.curriculum import Constant, PerformanceCurriculum, ProgressCurriculum


def reset_with(env, attribute, value):
    """Reset an env around which a curriculum sets the attribute; returns the env."""
    ProgressCurriculum(env, {attribute: Constant(value)}).reset()
    return env


class Physics:
    """Like a simulator's options, which are often replaced, and have setters of their own."""

    def __init__(self):
        self._gravity = 9.8
        self.calls = []

    @property
    def gravity(self):
        return self._gravity

    @gravity.setter
    def gravity(self, value):
        self._gravity = float(value)

    @property
    def mass(self):
        return 1.0

    def set_gravity(self, value):
        self.calls.append(value)


class Simulated(PlainEnv):
    def __init__(self):
        super().__init__()
        self.model = SimpleNamespace(opt=Physics())

    def reset(self, **arguments):
        self.gravity_at_reset = self.model.opt.gravity
        return super().reset(**arguments)


# --- paths ---


@pytest.mark.parametrize("wrap", [lambda env: env, gymnasium.Wrapper, ForwardingWrapper])
@pytest.mark.parametrize("path", ["unwrapped.model.opt.gravity", "model.opt.gravity"])
def test_a_path_is_followed_from_where_its_first_name_is_defined(path, wrap):
    env = reset_with(wrap(wrap(Simulated())), path, 2)
    assert env.unwrapped.gravity_at_reset == 2.0
    assert "model" not in vars(env) or env is env.unwrapped


def test_a_part_that_the_env_exchanges_is_found_anew():
    inner = Simulated()
    env = ProgressCurriculum(gymnasium.Wrapper(inner), {"model.opt.gravity": Constant(2.0)})
    env.reset()
    inner.model = SimpleNamespace(opt=Physics())
    env.reset()
    assert inner.model.opt.gravity == 2.0


def test_a_path_may_lead_into_a_torch_module():
    env = PlainEnv()
    env.net = torch.nn.Sequential(torch.nn.Dropout(0.5))
    reset_with(env, "net.0.p", 0.25)
    assert env.net[0].p == 0.25


def test_a_path_into_an_object_that_keeps_its_attributes_in_its_own_way():
    class Settings:
        def __init__(self):
            object.__setattr__(self, "kept", {"gravity": 9.8})

        def __getattr__(self, name):
            try:
                return self.kept[name]
            except KeyError:
                raise AttributeError(name) from None

        def __setattr__(self, name, value):
            self.kept[name] = value

    env = PlainEnv()
    env.settings = Settings()
    reset_with(env, "settings.gravity", 2)
    assert env.settings.kept == {"gravity": 2}
    with pytest.raises(AttributeError, match=r"'settings.gravty' cannot be set: Settings defines no"):
        reset_with(env, "settings.gravty", 2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("unwrapped.model.opt.gravty", r"Physics defines no attribute 'gravty'; did you mean 'gravity'"),
        ("unwrapped.modle.opt.gravity", r"Simulated defines no attribute 'modle'; did you mean 'model'"),
        ("modle.opt.gravity", r"nothing in .* defines an attribute 'modle'; did you mean 'model'"),
        ("unwrapped.count.opt.gravity", r"'unwrapped.count.opt.gravity' .*int defines no attribute 'opt'"),
        ("model..gravity", "defines no attribute ''"),
        ("", "defines an attribute ''"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_at_the_first_reset(path, message):
    env = Simulated()
    with pytest.raises(AttributeError, match=message):
        reset_with(gymnasium.Wrapper(env), path, 2)
    assert vars(env.model).keys() == {"opt"}
    assert vars(env.model.opt) == vars(Physics())


def test_a_path_does_not_end_in_what_is_only_forwarded():
    env = PlainEnv()
    env.inner = ForwardingWrapper(Simulated())
    with pytest.raises(AttributeError, match="ForwardingWrapper defines no attribute 'model'"):
        reset_with(env, "inner.model", 2)
    assert "model" not in vars(env.inner)


# --- misspelt ---


def test_a_misspelt_attribute_comes_with_near_misses_from_anywhere_in_the_env():
    class Walled(gymnasium.Wrapper):
        walls = 3

    env = ForwardingWrapper(Walled(PlainEnv()))
    with pytest.raises(
        AttributeError, match=r"nothing in .* attribute 'dificulty'; did you mean 'difficulty'"
    ):
        reset_with(env, "dificulty", 2)
    with pytest.raises(AttributeError, match="did you mean 'walls'"):
        reset_with(env, "wals", 2)
    with pytest.raises(AttributeError, match=r"'zzz'$"):
        reset_with(env, "zzz", 2)


# --- what cannot be set ---


def test_a_property_without_a_setter_is_named():
    env = Simulated()
    with pytest.raises(AttributeError, match=r"'model.opt.mass' cannot be set in Physics: property 'mass'"):
        reset_with(env, "model.opt.mass", 2)


def test_a_frozen_dataclass_is_named():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        gravity: float = 9.8

    env = PlainEnv()
    env.settings = Settings()
    with pytest.raises(
        AttributeError, match=r"'settings.gravity' cannot be set in .*Settings: cannot assign"
    ):
        reset_with(env, "settings.gravity", 2)


def test_an_exception_of_the_setter_passes_through():
    class Strict(PlainEnv):
        @property
        def gravity(self):
            return 9.8

        @gravity.setter
        def gravity(self, value):
            raise ValueError(f"{value} is too heavy")

    with pytest.raises(ValueError, match="2 is too heavy"):
        reset_with(Strict(), "gravity", 2)


# --- methods ---


class WithMethods(PlainEnv):
    def __init__(self):
        super().__init__()
        WithMethods.calls = []  # one list, which the class's methods reach too
        self.physics = Physics()
        self.set_wind = self.physics.set_gravity  # another object's method
        self.add = [].append  # of a builtin type
        self.reward_function = math.sqrt  # values, though they can be called
        self.penalty = lambda reward: -reward
        self.noise = functools.partial(pow, 2)
        self.net = torch.nn.Identity()
        self.shape_type = dict

    def set_gravity(self, value):
        self.calls.append(value)

    @classmethod
    def set_class(cls, value):
        cls.calls.append(value)

    @staticmethod
    def set_static(value):
        WithMethods.calls.append(value)

    def _pair(self, name, value):
        self.calls.append((name, value))

    set_partly = functools.partialmethod(_pair, "partly")
    Shape = dict

    @functools.cached_property
    def cached(self):
        return 1


@pytest.mark.parametrize("wrap", [lambda env: env, gymnasium.Wrapper])
@pytest.mark.parametrize(
    ("name", "called"),
    [("set_gravity", 2), ("set_class", 2), ("set_static", 2), ("set_partly", ("partly", 2))],
)
def test_a_method_is_called_with_the_value(name, called, wrap):
    env = wrap(WithMethods())
    reset_with(env, name, 2)
    assert env.unwrapped.calls == [called]
    assert name not in vars(env.unwrapped)


def test_a_method_at_the_end_of_a_path_is_called():
    env = reset_with(Simulated(), "model.opt.set_gravity", 2)
    assert env.model.opt.calls == [2]


def test_a_bound_method_that_the_env_keeps_is_called():
    env = reset_with(WithMethods(), "set_wind", 2)
    assert env.physics.calls == [2]
    reset_with(env, "add", 2)
    assert env.add.__self__ == [2]


def test_a_method_of_a_type_from_an_extension_module_is_called():
    env = PlainEnv()
    env.queue = deque()
    reset_with(env, "queue.append", 2)
    assert list(env.queue) == [2]


@pytest.mark.parametrize(
    "name", ["reward_function", "penalty", "noise", "net", "shape_type", "Shape", "cached"]
)
def test_callables_and_the_like_that_are_values_are_replaced(name):
    def other(reward):
        return 2 * reward

    value = torch.nn.Identity() if name == "net" else other
    env = reset_with(WithMethods(), name, value)
    assert getattr(env, name) is value


def test_a_method_that_refuses_the_value_says_so():
    class Strict(PlainEnv):
        def set_gravity(self, value, unit): ...

    with pytest.raises(TypeError, match="unit"):
        reset_with(Strict(), "set_gravity", 2)


def test_a_level_reaches_paths_and_methods_too():
    env = Simulated()
    attributes = {"unwrapped.model.opt.gravity": (1, 2), "model.opt.set_gravity": (3, 4)}
    PerformanceCurriculum(env, attributes, promote_at=1.0, initial_level=1).reset()
    assert (env.gravity_at_reset, env.model.opt.calls) == (2.0, [4])
