"""The example, run as a program: a training from start to end, two at once, killed, interrupted, resumed."""

from __future__ import annotations

import pytest
from stories import ExampleStory, curves, folder_of

pytestmark = pytest.mark.timeout(1_200, method="thread")  # a watchdog: the fixtures run several programs


class TestExample(ExampleStory):
    example = "tianshou_dqn.py"
    steps = 2_000
    missing = "empty"

    @classmethod
    def is_saved(cls, program):
        # Tianshou writes this when the checkpoint is whole.
        folders = {file.parent for file in program.directory.glob("runs/*/events.*")}
        return any("save/env_step" in curves(folder) for folder in folders)

    @classmethod
    def checkpoint(cls, program):
        folder = folder_of(program)
        return folder, max(step for step, _ in curves(folder)["save/env_step"])

    def test_evaluation_envs_see_what_they_were_given(self, whole):
        assert len(whole.recording.frozen_resets) > 4
        assert {reset["steps"] for reset in whole.recording.frozen_resets} == {8_000}

    def test_its_curves_are_in_tensorboard(self, whole):
        found = curves(whole.folder)
        published = {event["steps"] for event in whole.recording.publishes}
        steps = found["traincast/approx_total_training_steps"]
        assert [step for step, _ in steps] == list(range(0, self.steps, 120))  # every 100, at multiples of 40
        assert all(step == value and step in published for step, value in steps)
        epochs = [value for _, value in found["traincast/epoch"]]
        assert epochs == [1 + step // 1_000 for step, _ in steps]
        gravity = [value for _, value in found["training/curriculum/unwrapped.gravity"]]
        # Each is that with which an episode began: a long one ends after others that began later.
        assert 2.0 <= gravity[0] < gravity[-1] < 9.8
        assert {round(value, 3) for _, value in found["test/curriculum/unwrapped.gravity"]} == {9.8}

    def test_nothing_is_published_below_the_checkpoint(self, comeback):
        assert min(event["steps"] for event in comeback.again.publishes) == comeback.saved
