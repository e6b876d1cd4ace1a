"""What a type checker sees of the public names. Checked by mypy, never run."""

from typing import Any, assert_type

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

import traincast

CartPole = gymnasium.Env[np.ndarray[Any, Any], int]
Vector = VectorEnv[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


def learner() -> None:
    with traincast.TrainingInfoWriter("run", policy_id=1, leftover="replace") as writer:
        assert_type(writer, traincast.TrainingInfoWriter)
        assert_type(writer.publish({"approx_total_training_steps": 0}), int)
        assert_type(writer.update(approx_total_training_steps=1), int)
        assert_type(writer.state_dict(), dict[str, Any])
    traincast.TrainingInfoWriter("run", leftover="other")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    writer.version = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def actor(env: gymnasium.Env[Any, Any]) -> None:
    with traincast.TrainingInfoReader("run", attach_timeout=1.0) as reader:
        assert_type(reader, traincast.TrainingInfoReader[dict[Any, Any]])
        assert_type(reader.read(), dict[Any, Any])
        assert_type(reader.read_if_changed(), dict[Any, Any] | None)
        assert_type(reader.wait(0.5), bool)
        assert_type(reader.age, float)
    wrapped = traincast.TrainingInfoWrapper(env, "run", deliver="both", on_missing="raise")
    assert_type(wrapped, traincast.TrainingInfoWrapper[Any, Any])
    keep(wrapped)
    assert_type(wrapped.training_info, dict[str, Any])


def keep(wrapper: traincast.TrainingInfoWrapper) -> None:
    """Its type can be written without the env's."""


def make_cart_pole(length: float = 0.5) -> CartPole:
    raise NotImplementedError(length)


def make_vector() -> Vector:
    raise NotImplementedError


def run(vector: Vector, anything: Any) -> None:
    with traincast.Run("ppo", start=5, training_info={"a": 1}, leftover="continue") as run:
        assert_type(run, traincast.Run)
        assert_type(run.publish(5, a=2), int | None)
        run.publish(np.int64(5))
        run.publish(5.0)
        run.publish("5")  # type: ignore[arg-type]
        run.publish(steps=5)  # type: ignore[call-arg]
        assert_type(run.name, str)
        assert_type(run.state_dict(), dict[str, Any])
        env = run.wrap_env(make_cart_pole(), deliver="both")
        assert_type(env, traincast.TrainingInfoWrapper[np.ndarray[Any, Any], int])
        assert_type(env.reset()[0], np.ndarray[Any, Any])
        env.step("left")  # type: ignore[arg-type]
        assert_type(run.wrap_env(vector), traincast.TrainingInfoVectorWrapper)
        assert_type(run.wrap_env(anything), Any)
        make = run.wrap_env_fn(make_cart_pole)
        assert_type(make(length=1.0), traincast.TrainingInfoWrapper[np.ndarray[Any, Any], int])
        assert_type(run.wrap_env_fn(make_vector)(), traincast.TrainingInfoVectorWrapper)
        gymnasium.vector.AsyncVectorEnv([make])
        run.wrap_env_fn(5)  # type: ignore[call-overload]
        evaluation = run.wrap_eval_env(make_cart_pole(), {"approx_total_training_steps": 5})
        assert_type(evaluation.training_info, dict[str, Any])
        run.log_to(lambda step, numbers: print(step, numbers["a"]), every=1.0)
    traincast.TrainingInfoWrapper(make_cart_pole(), run, on_missing="wait", leftover="use")
    traincast.TrainingInfoWrapper(make_cart_pole(), "ppo", on_missing="perhaps")  # type: ignore[arg-type]


def errors() -> None:
    try:
        traincast.TrainingInfoReader("run")
    except FileNotFoundError as error:
        if isinstance(error, traincast.ChannelNotFoundError):
            assert_type(error.args, tuple[Any, ...])
