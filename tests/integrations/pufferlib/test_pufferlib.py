"""PufferLib's vectorisation with processes, and a training loop of one's own."""

from __future__ import annotations

import ast

from promises import ExamplePromises


class TestPufferLib(ExamplePromises):
    example = "pufferlib_example.py"
    checkpoint = "pufferlib_example.pt"
    steps = 16_000
    processes = 2
    workers_end_themselves = False

    def test_the_curriculum_is_in_pufferlibs_stats(self, trainings):
        (line,) = (text for text in trainings.recordings[0].output.splitlines() if text.startswith("stats: "))
        assert ast.literal_eval(line.removeprefix("stats: "))["curriculum/gravity"] > 2.0
