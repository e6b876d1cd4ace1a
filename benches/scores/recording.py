"""The time that an env spends on one episode: with the scoreboard, and with what users have today."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gymnasium
from stable_baselines3.common.monitor import Monitor

import traincast
from benches.harness.rounds import Case, call, measure
from traincast.scores import Scoreboard, ScoreWriter

ROUNDS = 201
BURST = 200  # calls in a row for what goes through a queue, which another process empties meanwhile
EPISODE: dict[str, Any] = {"success": True, "episode_return": 7.5, "length": 40}


class OneStep(gymnasium.Env[int, int]):
    """An env whose episodes have one step."""

    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def reset(self, **_: Any) -> tuple[int, dict[str, Any]]:
        return 0, {}

    def step(self, _: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 7.5, True, False, {}


def drain(queue: Any) -> None:
    """Empty a queue, as a thread of the learner does, until None comes."""
    while queue.get() is not None:
        pass


@contextmanager
def drained(queue: Any) -> Iterator[Any]:
    """A queue that another process empties."""
    process = multiprocessing.get_context("fork").Process(target=drain, args=(queue,))
    process.start()
    yield queue
    queue.put(None)
    process.join()


def putting(name: str, put: Callable[[int], object]) -> Case:
    """A case for something that is put into a queue."""

    def run(count: int) -> float:
        from time import perf_counter_ns

        start = perf_counter_ns()
        for _ in range(count):
            put(3)
        return float(perf_counter_ns() - start)

    return Case(name, run, unit=BURST, number=BURST)


def cases(stack: ExitStack) -> list[Case]:
    """Cases that each count one episode of one of 1,000 tasks."""
    run = stack.enter_context(traincast.Run("scores"))
    stack.enter_context(Scoreboard(run, tasks=1000))
    record = ScoreWriter(run).record
    context = multiprocessing.get_context("fork")
    queue = stack.enter_context(drained(context.Queue()))
    simple = stack.enter_context(drained(context.SimpleQueue()))
    shared = stack.enter_context(context.Manager()).dict({3: (0, 0, 0.0)})

    def add(task: int) -> None:
        episodes, successes, total = shared[task]
        shared[task] = episodes + 1, successes + 1, total + 7.5

    bare, monitor = OneStep(), Monitor(OneStep())

    def monitored(count: int) -> float:
        return stepping(monitor, count) - stepping(bare, count)

    found = [
        call(
            "traincast.scores.ScoreWriter.record",
            "record(3, success=True, episode_return=7.5, length=40)",
            record=record,
        ),
        putting("multiprocessing.Queue.put", lambda task: queue.put((task, True, 7.5, 40))),
        putting("multiprocessing.SimpleQueue.put", lambda task: simple.put((task, True, 7.5, 40))),
        putting("multiprocessing.Manager().dict()", add),
        Case("Stable-Baselines3's Monitor, for ep_info_buffer", monitored, unit=BURST, number=BURST),
    ]
    syllabus = syllabus_put(stack)
    return [*found, putting("Syllabus's put_update", syllabus)] if syllabus else found


def stepping(env: Any, count: int) -> float:
    """Return the ns that this many episodes of one step take."""
    from time import perf_counter_ns

    start = perf_counter_ns()
    for _ in range(count):
        env.reset()
        env.step(0)
    return float(perf_counter_ns() - start)


def syllabus_put(stack: ExitStack) -> Callable[[int], object] | None:
    """Do what `GymnasiumSyncWrapper` does at the end of an episode; None if Syllabus is not installed."""
    try:
        from syllabus.core.curriculum_sync_wrapper import MultiProcessingComponents
    except ImportError as error:
        print(f"Syllabus is left out: {error}")
        return None
    components = MultiProcessingComponents(False)
    stack.callback(components.close)
    stack.enter_context(drained(components.update_queue))

    def put(task: int) -> None:
        metrics = (7.5, 40, task, 1.0)
        components.put_update({"update_type": "episode", "metrics": metrics, "env_id": 0})

    return put


def in_c(folder: Path, name: str, tasks: int) -> float:
    """Return the ns of `tc_record`, compiled by this machine's C compiler."""
    program = folder / "cost"
    source = Path(__file__).with_name("cost.c")
    compiler = [os.environ.get("CC", "cc"), "-std=c11", "-O3", f"-I{traincast.get_include()}"]
    subprocess.run([*compiler, source, "-o", program, "-lm"], check=True)
    command = [program, name, str(ROUNDS), "20000", str(tasks)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return statistics.median(map(float, said.split()))


def rows(folder: Path) -> list[list[str]]:
    """Return the table: ways to count an episode, and their time in ns."""
    with ExitStack() as stack:
        measured = cases(stack)
        measure(measured, ROUNDS)
        with traincast.Run("scores-c") as run, Scoreboard(run, tasks=1000):
            native = in_c(folder, run.name, 1000)
    table = [["tc_record, in C", f"{native:.1f}", ""]]
    for case in measured:
        q1, median, q3 = statistics.quantiles(case.samples, n=4)
        table.append([case.name, f"{median:,.0f}", f"{q1:,.0f} to {q3:,.0f}"])
    return table
