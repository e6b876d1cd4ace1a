"""PettingZoo's env, SuperSuit's processes, SB3's PPO: the example."""

from __future__ import annotations

from promises import ExamplePromises
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class TestPettingZooSuperSuit(ExamplePromises):
    example = "pettingzoo_supersuit.py"
    steps_option = "--total-timesteps"
    checkpoint = "pettingzoo_supersuit.zip"
    steps = 6_000
    processes = 2
    workers_end_themselves = False

    def test_the_curriculum_is_in_sb3s_log(self, trainings):
        (log,) = (trainings.folders[0] / "runs").iterdir()
        values = EventAccumulator(str(log)).Reload().Scalars("curriculum/n_catch")
        assert [event.value for event in values] == [2.0 if e.step >= 4_000 else 1.0 for e in values]
        assert {event.value for event in values} == {1.0, 2.0}
