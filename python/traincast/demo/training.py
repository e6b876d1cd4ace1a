"""Runs all trainings of the experiment at the same time, and leaves nothing behind, however it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import TYPE_CHECKING

from traincast.demo.learner import Learner
from traincast.demo.settings import Settings
from traincast.demo.worker import Episode, work

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

__all__ = ["Interrupted", "WorkerDiedError", "train"]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 5.0  # seconds for a worker to notice that the learner has ended


class Interrupted(BaseException):
    """A signal asked the training to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class WorkerDiedError(RuntimeError):
    """A worker process ended before its work was done."""


def train(settings: Settings, progress: Callable[[list[Learner]], None]) -> list[Learner]:
    """Train all runs of the experiment and return their learners, in the order of `settings.runs`.

    Args:
        settings: the experiment.
        progress: called after each batch of episodes; it should return quickly.

    Raises:
        Interrupted: on SIGINT, SIGTERM or SIGHUP. As with every other exception, all processes have ended
            and all channels have been removed by then.
        WorkerDiedError: if a worker process dies.
    """
    with ExitStack() as cleanup:
        check_signals = cleanup.enter_context(_signals_at_safe_points())
        learners = [Learner(run, settings, cleanup) for run in settings.runs]
        workers = _start_workers(settings, cleanup)
        while workers:
            touched: set[int] = set()
            for connection in wait(list(workers), timeout=0.1):
                assert isinstance(connection, Connection)
                try:
                    episode: Episode = connection.recv()
                except EOFError:
                    process = workers[connection]
                    process.join()
                    check_signals()  # a Ctrl-C that ended the worker was sent to this process, too
                    _check_finished(process)
                    workers.pop(connection).close()
                    connection.close()
                    continue
                learners[episode.run].learn(episode)
                touched.add(episode.run)
            for index in touched:
                learners[index].publish()
            check_signals()
            progress(learners)
        return learners


@contextmanager
def _signals_at_safe_points() -> Iterator[Callable[[], None]]:
    """Note signals instead of acting on them; the yielded function raises `Interrupted` if there was one.

    Thus nothing interrupts the cleanup, not even an impatient second Ctrl-C.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    before = {number: signal.signal(number, note) for number in _STOP_SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_workers(settings: Settings, cleanup: ExitStack) -> dict[Connection, ForkServerProcess]:
    context = multiprocessing.get_context("forkserver")
    # Workers start from a process that has loaded everything already, and inherit its signal mask: the
    # terminal sends Ctrl-C to them, too, even before their first line of Python.
    context.set_forkserver_preload(["traincast.demo.worker"])
    resource_tracker.ensure_running()  # started later, it would unblock the signal again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    workers: dict[Connection, ForkServerProcess] = {}
    cleanup.callback(_stop_workers, workers)
    for index in range(settings.workers):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=work, args=(index, settings, sender), name=f"worker-{index}", daemon=True
        )
        workers[receiver] = process
        process.start()
        sender.close()  # so that the end of the worker is the end of the pipe
    return workers


def _check_finished(process: ForkServerProcess) -> None:
    if process.exitcode != 0:
        raise WorkerDiedError(f"{process.name} of the demo ended with exit code {process.exitcode}")


def _stop_workers(workers: dict[Connection, ForkServerProcess]) -> None:
    for connection in workers:
        connection.close()  # a worker ends when it cannot send any more
    for process in workers.values():
        if process.pid is None:
            continue  # an exception came before its start
        process.join(_GRACE)
        if process.is_alive():
            process.kill()
            process.join()
