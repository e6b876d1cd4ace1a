"""One training: a learner, its worker processes, and the arm between them."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from benches.harness.channels import own_directory
from benches.harness.processes import Children
from benches.study.arms import make_arm
from benches.study.arms.arm import ENVS, WORKERS, Setting
from benches.study.learners import Learner, solves
from benches.study.shared import RESETS, STALE_RESETS, STALE_STEPS, Shared
from benches.study.tasks import make_task
from benches.study.worker import Batch, Pace, Reset, play

__all__ = ["Outcome", "Progress", "train"]

Progress = Callable[[int, int], None]
"""Called with the env steps and the level."""

_REPORT_EVERY = 0.25  # seconds


@dataclass
class Outcome:
    """The outcome of a training; steps are env steps."""

    solved: bool
    steps: int
    seconds: float
    promotions: list[int]
    """The clock, in env steps, at each promotion."""
    stale_steps: int
    """Env steps of episodes whose level was behind the one that the learner held at that step."""
    resets: int
    stale_resets: int
    trace: list[Reset] = field(default_factory=list)


def train(
    task_name: str,
    arm_name: str,
    seed: int,
    *,
    gate: int,
    rate: float | None = None,
    budget: int | None = None,
    workers: int = WORKERS,
    envs: int = ENVS,
    progress: Progress = lambda steps, level: None,
    traced: bool = False,
) -> Outcome:
    """Train until the greedy policy solves the task, or the budget of env steps is spent.

    Args:
        task_name, arm_name: as in `tasks` and `arms`.
        seed: the seed of the task and of the agents.
        gate: the number of greedy episodes that the gate averages.
        rate: env steps per second of all workers together; None: as fast as they go.
        budget: env steps; None: the task's.
        workers, envs: processes, and envs in each.
        progress: called now and then.
        traced: whether the outcome has every reset.
    """
    task = make_task(task_name, seed)
    shared = Shared(workers, task.states * task.actions)
    learner = Learner(shared.values, task)
    with ExitStack() as stack:
        stack.enter_context(own_directory())
        arm = make_arm(arm_name, Setting(task.levels, gate, shared, workers, envs))
        stack.callback(arm.close)
        children = stack.enter_context(Children())
        pairs = [multiprocessing.Pipe() for _ in range(workers)]
        pace = Pace(None if rate is None else rate / workers)

        def work(worker: int) -> None:
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # Ctrl-C reaches all processes; the learner ends them
            for ours, theirs in pairs:
                ours.close()
                if theirs is not pairs[worker][1]:
                    theirs.close()
            tasks = [task.copy() for _ in range(envs)]
            play(
                worker,
                tasks,
                arm.source(worker),
                shared,
                pairs[worker][1],
                seed=seed,
                pace=pace,
                one_level=arm.one_level,
                traced=traced,
            )

        children.start(work, workers)
        for _, theirs in pairs:
            theirs.close()
        for ours, _ in pairs:
            _received(ours)  # it is ready
        arm.started()
        began = time.monotonic()  # the same for all workers: their start does not count for the speed
        for ours, _ in pairs:
            ours.send_bytes(b"")
        trace: list[Reset] = []
        solved = _learn(
            [ours for ours, _ in pairs], learner, arm, shared, task, budget or task.budget, progress, trace
        )
        seconds = time.monotonic() - began
        return Outcome(
            solved,
            shared.now(),
            seconds,
            arm.promotions,
            shared.total(STALE_STEPS),
            shared.total(RESETS),
            shared.total(STALE_RESETS),
            trace,
        )


def _learn(
    connections: list[Connection],
    learner: Learner,
    arm: Any,
    shared: Shared,
    task: Any,
    budget: int,
    progress: Progress,
    trace: list[Reset],
) -> bool:
    """Learn until the task is solved or the budget spent; tell which."""
    next_check, next_report = 0, 0.0
    while True:
        for ready in wait(connections, timeout=1.0):
            assert isinstance(ready, Connection)
            batch: Batch = _received(ready)
            for episode in batch.episodes:
                learner.learn(*episode)
            trace += batch.resets
            arm.update(shared.now())
            ready.send_bytes(b"")
        now = shared.now()
        if now >= next_check:
            if solves(shared.values, task):
                return True
            next_check = now + task.check_every
        if now >= budget:
            return False
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + _REPORT_EVERY
            progress(now, shared.level)


def _received(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        raise RuntimeError("a worker has died; its error is above") from None
