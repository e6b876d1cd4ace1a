"""A learner in a process of its own that does what it is told, one order at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any, Self


class LearnerProcess:
    """Every method returns when the other process has done it."""

    def __init__(self, name: str, policy_id: int = 0, **writer_arguments: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps([name, policy_id, writer_arguments])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def publish(self, **info: Any) -> int:
        return self._order("publish", info)

    def close(self) -> None:
        self._order("close", None)

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self.kill()

    def _order(self, what: str, argument: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, argument]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def _end(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def main() -> None:
    import traincast

    name, policy_id, arguments = json.loads(sys.argv[1])
    writer = traincast.TrainingInfoWriter(name, policy_id, **arguments)
    for line in sys.stdin:
        what, argument = json.loads(line)
        answer = writer.publish(argument) if what == "publish" else writer.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
