"""The way back: envs count their episodes per task, and the learner collects what all of them have counted.

    board = traincast.scores.Scoreboard(run, tasks=1000)         # learner
    env = traincast.scores.RecordScores(env, run, task="level")  # each env, in any process
    added = board.collect()                                      # per task: episodes, successes, sums

An episode is counted exactly once, whatever is killed: it is recorded whole or not at all, and what a killed
process has recorded stays. Neither recording nor collecting ever waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from traincast.scores.writer import ScoreWriter

if TYPE_CHECKING:
    from traincast.scores.board import TALLY, Scoreboard
    from traincast.scores.gymnasium import RecordScores
    from traincast.scores.pettingzoo import RecordAECScores, RecordParallelScores
    from traincast.scores.vector import RecordVectorScores

__all__ = [
    "TALLY",
    "RecordAECScores",
    "RecordParallelScores",
    "RecordScores",
    "RecordVectorScores",
    "ScoreWriter",
    "Scoreboard",
]

__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "board": ["TALLY", "Scoreboard"],
        "gymnasium": ["RecordScores"],
        "pettingzoo": ["RecordAECScores", "RecordParallelScores"],
        "vector": ["RecordVectorScores"],
    },
)


def __dir__() -> list[str]:
    return __all__
