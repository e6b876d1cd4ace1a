"""The example of pooled curricula as a program: what holds for every example, and that its level rises."""

from __future__ import annotations

from promises import ExamplePromises


class TestPooled(ExamplePromises):
    example = "pooled_curriculum.py"
    checkpoint = "pooled_curriculum.json"
    steps = 6_000
    processes = 8

    def test_the_level_rises_for_all_envs(self, trainings):
        assert "level 7, corridors of 16 cells" in trainings.recordings[0].output
