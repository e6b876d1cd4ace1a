"""What envs count arrives at the learner exactly once, whatever is killed, forked, pickled or restarted."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings

import numpy as np
import pytest
from processes import Process

import traincast
from traincast.scores import TALLY, Scoreboard, ScoreWriter


def episodes(tallies):
    return tallies["episodes"].tolist()


def test_collect_gives_what_was_added_and_totals_all_of_it(channel_name):
    with Scoreboard(channel_name, 3) as board:
        writer = ScoreWriter(channel_name)
        assert writer.record(2, success=True, episode_return=1.5, length=7, score=0.25)
        assert writer.record(2, episode_return=-0.5, length=3)
        added = board.collect()
        assert added.dtype == TALLY
        assert added.shape == (3,)
        assert added[2].tolist() == (2, 1, 1.0, 2.5, 10, -0.5)
        assert episodes(board.collect()) == [0, 0, 0]
        assert writer.record(
            np.int64(0), success=np.bool_(True), episode_return=np.float32(2), length=np.int64(1)
        )
        assert episodes(board.collect()) == [1, 0, 0]
        assert episodes(board.totals()) == [1, 0, 2]


def test_a_run_and_its_name_are_the_same(traincast_dir):
    with traincast.Run("r") as run, Scoreboard(run, 1) as board:
        ScoreWriter(run).record(0)
        ScoreWriter(run.name).record(0)
        assert episodes(board.collect()) == [2]
    assert os.listdir(traincast_dir) == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_start_method_count(channel_name, traincast_dir, method):
    context = multiprocessing.get_context(method)
    with Scoreboard(channel_name, 4) as board:
        writer = ScoreWriter(channel_name, directory=traincast_dir)  # a fork server has an older environment
        writer.record(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
            workers = [context.Process(target=record_a_hundred, args=(writer, task)) for task in range(4)]
            for worker in workers:
                worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        assert episodes(board.collect()) == [101, 100, 100, 100]


def record_a_hundred(writer, task):
    assert all(writer.record(task, success=True) for _ in range(100))


def test_a_killed_workers_episodes_count_once(channel_name):
    with Scoreboard(channel_name, 1) as board:
        total = 0
        for _ in range(3):
            with Process() as worker:
                worker.run(f"s = traincast.scores.ScoreWriter({channel_name!r})")
                worker.run("for _ in range(10): s.record(0, episode_return=1.0)")
                worker.kill()
            total += 10
            assert episodes(board.collect()) == [10]
            assert episodes(board.totals()) == [total]
        assert episodes(board.collect()) == [0]


def test_nothing_is_counted_without_a_scoreboard_and_then_it_is(channel_name):
    writer = ScoreWriter(channel_name)
    assert not writer.record(0)
    with Scoreboard(channel_name, 1) as board:
        assert writer.record(0)
        assert episodes(board.collect()) == [1]
    assert not writer.record(0)


@pytest.mark.parametrize("lives_on", [True, False])
def test_a_resumed_learner_neither_loses_nor_doubles(channel_name, lives_on):
    """With a scoreboard that outlived the learner, and with a new one."""
    writer = ScoreWriter(channel_name)
    with Process() as learner:
        learner.run(f"board = traincast.scores.Scoreboard({channel_name!r}, 2)")
        writer.record(0)
        writer.record(1, episode_return=2.0)
        learner.run("board.collect()")
        state = pickle.loads(
            bytes.fromhex(learner.value("__import__('pickle').dumps(board.state_dict()).hex()"))
        )
        writer.record(1, episode_return=4.0)
        learner.run("board.collect()")  # after the checkpoint: lost with the learner
        if not lives_on:
            learner.run("board.close()")
        learner.kill()
    recorded = writer.record(1)
    assert recorded == lives_on
    with Scoreboard(channel_name, 2, state=state) as board:
        added = board.collect()
        assert episodes(added) == ([0, 2] if lives_on else [0, 0])
        assert added["return_sum"].tolist() == ([0.0, 4.0] if lives_on else [0.0, 0.0])
        assert episodes(board.totals()) == ([1, 3] if lives_on else [1, 1])
        assert writer.record(0)
        assert episodes(board.collect()) == [1, 0]


def test_a_new_run_of_an_old_name_does_not_count_what_the_old_one_left(channel_name):
    writer = ScoreWriter(channel_name)
    with Process() as learner:
        learner.run(f"board = traincast.scores.Scoreboard({channel_name!r}, 1)")
        writer.record(0)
        learner.kill()
    with Scoreboard(channel_name, 1) as board:
        assert episodes(board.collect()) == [0]
        writer.record(0)
        assert episodes(board.collect()) == [1]


def test_a_cell_that_is_run_again_goes_on(channel_name):
    board = Scoreboard(channel_name, 1)
    writer = ScoreWriter(channel_name)
    writer.record(0)
    board = Scoreboard(channel_name, 1)
    assert writer.record(0)
    assert episodes(board.collect()) == [1]
    board = Scoreboard(channel_name, 2)
    assert writer.record(1)
    assert episodes(board.collect()) == [0, 1]


@pytest.mark.parametrize("tasks", [1, 2], ids=["the same tasks", "other tasks"])
def test_a_scoreboard_that_another_one_has_ended_says_so_once(channel_name, tasks):
    first = Scoreboard(channel_name, 1)
    writer = ScoreWriter(channel_name)
    writer.record(0)
    with Scoreboard(channel_name, tasks):
        assert writer.record(0)
    with pytest.warns(traincast.TraincastWarning, match="no longer count there: another Scoreboard") as said:
        found = [episodes(first.collect()) for _ in range(3)]
    assert len(said) == 1
    assert found == [[3 - tasks], [0], [0]]  # with other tasks the second has a file of its own


def test_what_makes_no_sense_is_refused(channel_name):
    for tasks in (0, 2**20 + 1):
        with pytest.raises(ValueError, match="1 to 1048576 tasks"):
            Scoreboard(channel_name, tasks)
    with Scoreboard(channel_name, 2) as board:
        writer = ScoreWriter(channel_name)
        with pytest.raises(ValueError, match="there is no task 2: the scoreboard has tasks 0 to 1"):
            writer.record(2)
        with pytest.raises(OverflowError):
            writer.record(-1)
        with pytest.raises(ValueError, match="finite"):
            writer.record(0, episode_return=float("nan"))
        with pytest.raises(TypeError):
            writer.record("0")
        assert episodes(board.collect()) == [0, 0]
        with pytest.raises(ValueError, match="lacks incarnation"):
            Scoreboard(channel_name, 2, state={})
        with pytest.raises(ValueError, match="for 2 tasks, but this scoreboard has 3"):
            Scoreboard(channel_name, 3, state=board.state_dict())
    with pytest.raises(traincast.ChannelClosedError):
        board.collect()
    with pytest.raises(traincast.InvalidNameError):
        ScoreWriter()


def test_another_process_that_keeps_another_number_of_tasks_is_named(channel_name):
    with Process() as learner:
        learner.run(f"board = traincast.scores.Scoreboard({channel_name!r}, 1)")
        with pytest.raises(traincast.ChannelBusyError, match="with 1 tasks instead of 2"):
            Scoreboard(channel_name, 2)


def test_dead_runs_leave_no_scoreboard(traincast_dir):
    with Process() as learner:
        learner.run("run = traincast.Run('dead'); board = traincast.scores.Scoreboard(run, 1)")
        learner.kill()
    assert any(name.endswith(".scores") for name in os.listdir(traincast_dir))
    with traincast.Run("next"):
        pass
    assert os.listdir(traincast_dir) == []


def test_a_state_that_counts_more_than_there_is_takes_nothing_away(channel_name):
    with traincast.Run(channel_name, unique=False) as run, Scoreboard(run, tasks=2) as board:
        scores = ScoreWriter(run)
        assert scores.record(1, episode_return=2.0)
        board.collect()
        state = board.state_dict()
        state["counted"]["episodes"] += 5
        board.load_state_dict(state)
        assert board.collect()["episodes"].tolist() == [0, 0]
        assert scores.record(1, episode_return=3.0)
        assert board.collect()["episodes"].tolist() == [0, 1]
        assert board.totals()["return_sum"].tolist() == [0.0, 5.0]
