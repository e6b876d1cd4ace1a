"""Python in other processes that does what it is told, one order at a time.

Pipes are the only synchronisation: every method returns once the other process has done it. Time limits are
watchdogs.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import IO, Any, Self, TypeVar

T = TypeVar("T")

WATCHDOG_SECONDS = 120.0


class Process:
    """Runs code in one namespace of an interpreter of its own; an exception there is raised here.

    The namespace knows `traincast`, `os`, `forked`, and `outlive` for what it forks: that returns when the
    context is left, which kills the process itself first.
    """

    def __init__(self, *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        lifeline, self._lifeline = os.pipe()
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-W", "error", __file__, str(lifeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[lifeline],
            env={**os.environ, **(environment or {})},
        )
        os.close(lifeline)

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, code: str) -> None:
        """Runs statements."""
        self.start(code)
        self.finish()

    def value(self, expression: str) -> Any:
        """The value of an expression."""
        self._send("eval", expression)
        return self.finish()

    def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        """What a function, by name or as an expression, returns for these arguments, which are pickled."""
        self._send("eval", function, arguments, named)
        return self.finish()

    def start(self, code: str) -> None:
        """Starts statements and returns at once; `finish` waits for their end."""
        self._send("exec", code)

    def finish(self) -> Any:
        done, answer = self._receive()
        if not done:
            raise answer
        return answer

    def exit(self) -> int:
        """Makes the process end as an interpreter normally does; returns its status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(WATCHDOG_SECONDS)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone. What it forked lives on until `close`."""
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        self.kill()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, kind: str, code: str, *call: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump((kind, code, call), self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> tuple[bool, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], WATCHDOG_SECONDS)[0]:
            self.kill()
            raise TimeoutError(f"no answer within {WATCHDOG_SECONDS:.0f} s")
        try:
            done, answer = pickle.load(self._process.stdout)
        except EOFError:
            raise ChildProcessError(f"the process ended with status {self._process.wait()}") from None
        return done, answer


def forked(function: Callable[[], T]) -> T:
    """What the function returns, or raises, in a forked child."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(readable)
            with open(writable, "wb") as answers:
                answers.write(_outcome(function))
        finally:
            os._exit(0)
    os.close(writable)
    with open(readable, "rb") as answers:
        message = answers.read()
    status = os.waitpid(pid, 0)[1]
    if not message:
        raise ChildProcessError(f"the forked child ended with status {status}")
    done, answer = pickle.loads(message)
    if not done:
        raise answer
    return answer


def _outcome(function: Callable[[], Any]) -> bytes:
    """The result or the exception, pickled. One that cannot come back from a pickle becomes a description."""
    try:
        done, answer = True, function()
    except BaseException as error:  # KeyboardInterrupt and SystemExit are answers too
        done, answer = False, error
    try:
        message = pickle.dumps((done, answer))
        pickle.loads(message)
    except Exception as error:
        message = pickle.dumps((False, RuntimeError(f"{answer!r} cannot be pickled: {error!r}")))
    return message


def _serve(orders: IO[bytes], answers: IO[bytes], lifeline: int) -> None:
    import traincast

    outlive = partial(os.read, lifeline, 1)
    namespace = {"traincast": traincast, "os": os, "forked": forked, "outlive": outlive}
    while True:
        try:
            kind, code, call = pickle.load(orders)
        except EOFError:
            return
        answers.write(_outcome(partial(_obey, namespace, kind, code, call)))
        answers.flush()


def _obey(namespace: dict[str, Any], kind: str, code: str, call: tuple[Any, ...]) -> Any:
    value = eval(compile(code, "<order>", kind), namespace)
    if call:
        arguments, named = call
        return value(*arguments, **named)
    return value


if __name__ == "__main__":
    # Prints go to stderr: stdout belongs to the answers.
    private = os.dup(1)
    os.dup2(2, 1)
    with open(private, "wb") as answers:
        _serve(sys.stdin.buffer, answers, int(sys.argv[1]))
