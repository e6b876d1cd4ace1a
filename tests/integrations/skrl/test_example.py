"""The example, run as a program: a training from start to end, two at once, killed, interrupted, resumed."""

from __future__ import annotations

import pytest
from stories import ExampleStory, curves, folder_of

pytestmark = pytest.mark.timeout(1_200, method="thread")  # a watchdog: the fixtures run several programs


class TestExample(ExampleStory):
    example = "skrl_ppo.py"
    steps = 1_000
    missing = "missing.pt"

    @classmethod
    def is_saved(cls, program):
        return list(program.directory.glob("runs/*/checkpoints/agent_1000.pt"))

    @classmethod
    def checkpoint(cls, program):
        return folder_of(program) / "checkpoints" / "agent_500.pt", 500  # the newest may be half written

    def test_evaluation_envs_see_what_they_were_given(self, whole):
        assert len(whole.recording.frozen_resets) >= 2
        assert {reset["steps"] for reset in whole.recording.frozen_resets} == {1_500}
        # The evaluation has 400 more, and publishes none of them.
        assert max(event["steps"] for event in whole.recording.publishes) == self.steps

    def test_its_curves_are_in_tensorboard(self, whole):
        found = curves(whole.folder)
        steps = found["Traincast / approx_total_training_steps"]
        training = [(step, value) for step, value in steps if value < self.steps]
        assert training == [(step, step) for step in range(100, self.steps, 100)]
        gravity = [value for _, value in found["Curriculum / unwrapped.gravity"]]
        assert gravity == sorted(gravity)
        assert 2.0 <= gravity[0] < gravity[-1] < 9.8

    def test_no_env_resets_before_the_agent_is_loaded(self, comeback):
        assert [event["steps"] for event in comeback.again.publishes][:2] == [0, comeback.saved]
