"""What `TrainingInfoWrapper` adds to a reset that finds nothing new."""

from __future__ import annotations

from typing import Any

import gymnasium

import traincast
from benches.cases.payloads import payload
from benches.harness.rounds import Case, call


class Still(gymnasium.Env[Any, Any]):
    """An env whose reset costs next to nothing."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)
    training_info: dict[str, Any] | None = None

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.0, True, False, {}


def cases() -> list[Case]:
    writer = traincast.TrainingInfoWriter("reset")
    writer.publish(payload(1))
    ours = traincast.TrainingInfoWrapper(Still(), "reset", on_undelivered="ignore")
    plain: gymnasium.Env[Any, Any] = gymnasium.Wrapper(Still())
    ours.reset()
    return [
        call("reset in TrainingInfoWrapper", "env.reset()", env=ours, writer=writer),
        call("reset in gymnasium.Wrapper", "env.reset()", env=plain),
    ]
