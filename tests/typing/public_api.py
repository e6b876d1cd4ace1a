"""What a type checker sees of the public names. Checked by mypy, never run."""

from typing import Any, assert_type

import gymnasium

import traincast


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
    assert_type(wrapped.training_info, dict[str, Any])


def errors() -> None:
    try:
        traincast.TrainingInfoReader("run")
    except FileNotFoundError as error:
        if isinstance(error, traincast.ChannelNotFoundError):
            assert_type(error.args, tuple[Any, ...])
