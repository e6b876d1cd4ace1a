"""What a careful user writes, and what a type checker must object to. Checked by both, never run."""

from collections.abc import Iterator
from typing import Any, TypedDict, assert_type

import gymnasium
import numpy as np
from numpy.typing import NDArray

import traincast
from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum


class RewardShaping(TypedDict):
    goal: float
    alive: float


class Info(TypedDict):
    approx_total_training_steps: int
    level: float
    reward_shaping: RewardShaping


Observation = NDArray[np.float32]


class GridEnv(gymnasium.Env[Observation, np.int64]):
    pass


class TypedEnv(
    gymnasium.Wrapper[Observation, np.int64, Observation, np.int64], traincast.TrainingInfoInterface[Info]
):
    """Takes the training information as the learner's type."""

    level = 0.0

    def set_training_info(self, training_info: Info) -> None:
        self.level = training_info["level"]
        self.goal = training_info["reward_shaping"]["goal"]
        training_info["levle"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]


class PlainEnv(GridEnv, traincast.TrainingInfoInterface):
    """Takes it as a dictionary, without a word about types."""

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info


class OverridingEnv(GridEnv, traincast.TrainingInfoInterface):
    """Takes it as the learner's type, without telling the interface."""

    def set_training_info(self, training_info: Info) -> None:
        self.training_info = training_info


class SilentEnv(traincast.TrainingInfoInterface, GridEnv):
    def steps(self) -> Any:
        return self.training_info["approx_total_training_steps"]


class WrongEnv(traincast.TrainingInfoInterface[Info]):
    def set_training_info(self, training_info: int) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


def learner(info: Info) -> None:
    with traincast.TrainingInfoWriter("my-run", required=("approx_total_training_steps", "level")) as writer:
        assert_type(writer.publish(info), int)
        assert_type(writer.update(level=2.0), int)
        assert_type(writer.update_in("reward_shaping.goal", 2.0), int)
        assert_type(writer.update_in(("reward_shaping", "goal"), 2.0), int)
        assert_type(writer.update_in({"reward_shaping.goal": 2.0, "level": 3.0}), int)
        assert_type(writer.update_in({("reward_shaping", "goal"): 2.0}), int)
        assert_type(writer.update_in({"a.b": 2.0, ("reward_shaping", "goal"): 2.0}), int)
        writer.update_in(["reward_shaping", "goal"], 2.0)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def typed_reader() -> None:
    reader = traincast.TrainingInfoReader[Info]("my-run", attach_timeout=1.0)
    assert_type(reader, traincast.TrainingInfoReader[Info])
    annotated: traincast.TrainingInfoReader[Info] = traincast.TrainingInfoReader("my-run")
    assert_type(annotated.read(), Info)
    info: Info = reader.read()
    assert_type(info["reward_shaping"]["goal"], float)
    assert_type(reader.read_if_changed(), Info | None)
    assert_type(len(reader), int)
    assert_type("level" in reader, bool)
    reader.get("level", 0.0)
    reader["level"]
    with reader as same:
        assert_type(same, traincast.TrainingInfoReader[Info])
    traincast.TrainingInfoReader[int]("my-run")  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]


def plain_reader() -> None:
    reader = traincast.TrainingInfoReader("my-run")
    assert_type(reader.read(), dict[Any, Any])
    info: dict[str, Any] = reader.read()
    traincast.set_training_info(TypedEnv(GridEnv()), info)


def nothing_iterates(reader: traincast.TrainingInfoReader[Info]) -> None:
    for _ in reader:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    list(reader)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    dict(reader)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    dict(**reader)  # type: ignore[dict-item]  # pyright: ignore[reportCallIssue]
    reader.keys()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def keys(reader: traincast.TrainingInfoReader[Info]) -> Iterator[float]:
    goal: traincast.TrainingInfoKey[float] = reader.key("reward_shaping.goal")
    assert_type(goal(), float)
    yield goal()
    yield reader.key(("reward_shaping", "goal"), default=None)()
    yield traincast.TrainingInfoKey[float](reader, "level")()
    assert_type(goal.path, str | tuple[str | int, ...])
    assert_type(goal.version, int)
    goal(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    reader.key(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def actor() -> None:
    """A wrapper does not change what an env gives and takes."""
    env = traincast.TrainingInfoWrapper(GridEnv(), "my-run")
    assert_type(env, traincast.TrainingInfoWrapper[Observation, np.int64])
    observation, _ = env.reset()
    assert_type(observation, Observation)
    env.step(np.int64(1))
    env.step("left")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    typed: gymnasium.Env[Observation, np.int64] = traincast.TrainingInfoWrapper(TypedEnv(GridEnv()), "my-run")
    progress = ProgressCurriculum(typed, {"gravity": Linear(1.0, 9.8, 1_000_000)})
    assert_type(progress.reset()[0], Observation)
    assert_type(PerformanceCurriculum(progress, {"size": [1, 2, 3]}, promote_at=0.8).reset()[0], Observation)
    interface = traincast.find_training_info_interface(env)
    assert_type(interface, traincast.TrainingInfoInterface[Any] | None)
