"""Pooled curricula with real processes: 64 envs move one level, and a killed learner goes on exactly."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import warnings
from statistics import fmean

import pooling
import pytest

import traincast
from traincast.curriculum import PooledCurriculum
from traincast.scores import ScoreWriter

PROCESSES, ENVS, ROUNDS = 8, 8, 24


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pooled_results_open_the_gate_where_windows_of_single_envs_do_not(traincast_dir, method):
    """As reported for PufferLib (#682: 0.85 of the curriculum with pooled results, 0.25 with those per env).

    In 24 episodes each, 64 envs fill many windows of 16 together, and each by itself one.
    """
    context = multiprocessing.get_context(method)
    barrier, levels = context.Barrier(PROCESSES + 1), context.Queue()
    with traincast.Run("pooled", directory=traincast_dir) as run:
        curriculum = pooling.pooled(run)
        arguments = [(run, barrier, ENVS * i, ENVS, ROUNDS, levels) for i in range(PROCESSES)]
        workers = [context.Process(target=pooling.play_rounds, args=each) for each in arguments]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
            for worker in workers:
                worker.start()
        for _ in range(ROUNDS):
            barrier.wait()  # all have played
            curriculum.update()
            barrier.wait()
        found = [pair for _ in workers for pair in levels.get()]
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        counted = [row[0] for row in curriculum.state_dict()["scores"]["totals"]]
    top = pooling.LEVELS - 1
    assert sum(counted) == PROCESSES * ENVS * ROUNDS
    assert counted[:top] == [PROCESSES * ENVS] * top  # each promotion reached all envs at their next reset
    assert {together for together, _ in found} == {top}
    assert fmean(alone for _, alone in found) / top <= 0.25


def test_a_killed_learner_goes_on_exactly_from_its_checkpoint(traincast_dir, tmp_path):
    context = multiprocessing.get_context("spawn")
    turns, file = context.Queue(), tmp_path / "checkpoint.json"
    arguments = ("killed", str(traincast_dir), str(file), turns)
    learner = context.Process(target=pooling.learn_and_save, args=arguments)
    learner.start()
    turns.get()  # there is a scoreboard
    writer, played = ScoreWriter("killed", directory=traincast_dir), 0
    while turns.get() < 1_000:
        for _ in range(100):
            assert writer.record(0, success=True, length=1)
            played += 1
    os.kill(learner.pid, signal.SIGKILL)
    learner.join()
    for _ in range(777):  # while no learner lives
        assert writer.record(0, success=True, length=1)
        played += 1
    saved = json.loads(file.read_text())
    before = saved["curricula"]["curriculum"]["rule"]["episodes"]
    assert 1_000 <= before <= played - 777
    with traincast.Run("killed", unique=False, state=saved, directory=traincast_dir) as run:
        curriculum = PooledCurriculum(run, levels=3, promote_at=1.0, window=pooling.MANY)
        assert curriculum.episodes == before
        curriculum.update()
        assert curriculum.episodes == played
        for _ in range(pooling.MANY - played):
            writer.record(0, success=True, length=1)
        assert curriculum.update()
        assert curriculum.state_dict()["scores"]["totals"][0][:2] == [pooling.MANY] * 2
