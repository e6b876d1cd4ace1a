"""How long `Scoreboard.collect` takes while many processes record."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter_ns

import traincast
from traincast.scores import Scoreboard, ScoreWriter

PROCESSES = 64
ROUNDS = 51


def count(run: str, orders: Connection) -> None:
    """Record an episode of each of this many tasks whenever told to."""
    record = ScoreWriter(run).record
    while tasks := orders.recv():
        for task in range(tasks):
            record(task, success=True, episode_return=1.0, length=10)
        orders.send(None)


@contextmanager
def recording(run: str) -> Iterator[list[Connection]]:
    """Start this many processes; yield the pipes that tell them to record."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benches.scores.collecting"])
    pipes, processes = [], []
    for _ in range(PROCESSES):
        mine, theirs = context.Pipe()
        process = context.Process(target=count, args=(run, theirs))
        process.start()
        pipes.append(mine)
        processes.append(process)
    yield pipes
    for pipe in pipes:
        pipe.send(0)
    for process in processes:
        process.join()


def record(pipes: list[Connection], tasks: int) -> None:
    """Tell all to record, and wait until they have."""
    for pipe in pipes:
        pipe.send(tasks)
    for pipe in pipes:
        pipe.recv()


def rows() -> list[list[str]]:
    """Return the table: the number of tasks, how many have changed, and the time in µs."""
    table = []
    for tasks in (1, 1000):
        with (
            traincast.Run("collecting") as run,
            Scoreboard(run, tasks=tasks) as board,
            recording(run.name) as pipes,
        ):
            record(pipes, tasks)
            board.collect()
            for recorded in sorted({0, 1, tasks}):
                q1, median, q3 = statistics.quantiles(collected(board, pipes, recorded), n=4)
                name = f"{PROCESSES} processes, {tasks:,} tasks, {recorded:,} of them new in each"
                table.append([name, f"{median:,.1f}", f"{q1:,.1f} to {q3:,.1f}"])
    return table


def collected(board: Scoreboard, pipes: list[Connection], recorded: int) -> list[float]:
    """Return the time in µs of each call, after each process has recorded this many tasks."""
    taken = []
    for _ in range(ROUNDS):
        if recorded:
            record(pipes, recorded)
        start = perf_counter_ns()
        added = board.collect()
        taken.append((perf_counter_ns() - start) / 1000)
        assert added["episodes"].sum() == PROCESSES * recorded
    return taken
