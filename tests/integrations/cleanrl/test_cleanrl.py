"""A CleanRL script: one file, an AsyncVectorEnv, TensorBoard."""

from __future__ import annotations

from promises import ExamplePromises
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class TestCleanRL(ExamplePromises):
    example = "cleanrl_ppo.py"
    steps_option = "--total-timesteps"
    checkpoint = "cleanrl_ppo.pt"
    steps = 4_000
    processes = 4

    def test_the_curriculum_is_in_tensorboard(self, trainings):
        run = trainings.recordings[0].runs[0]
        log = EventAccumulator(str(trainings.folders[0] / "runs" / run)).Reload()
        for event in log.Scalars("charts/gravity"):  # of an episode that began some time before
            assert 2.0 <= event.value <= 2.0 + 7.8 * event.step / 20_000
        assert event.value > 2.5
        steps = log.Scalars("traincast/approx_total_training_steps")
        assert [event.value for event in steps] == [event.step for event in steps]
        assert steps[0].step == 0
