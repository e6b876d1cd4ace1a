"""A process that has imported what programs need, and forks for each: importing takes longer than most do.

As a program it serves one socket, whose descriptor is its first argument; the others name the modules to
import. Each program runs in a process of its own, with the arguments, environment, folder and files that it
is given, as `python PROGRAM` would.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

LARGEST_REQUEST = 1 << 20


class Warm:
    """Its owner's end."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
            command = [sys.executable, Path(__file__), str(theirs.fileno()), *modules]
            self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def run(
        self,
        program: Path,
        *arguments: str,
        out: IO[bytes],
        err: IO[bytes],
        folder: Path | None = None,
        paths: Iterable[Path] = (),
        timeout: float | None = None,
    ) -> int:
        """Run a program, and return its status. `paths`: where it finds modules, too.

        Raises: TimeoutError; the program has been ended then.
        """
        request = {
            "program": str(program),
            "arguments": arguments,
            "folder": str(folder or os.getcwd()),
            "environ": dict(os.environ),
            "paths": [str(path) for path in paths],
        }
        self._socket.settimeout(None)  # the server may still be importing
        socket.send_fds(self._socket, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        pid = int(self._socket.recv(16) or b"0")
        assert pid, "the process that has imported the modules has ended"
        self._socket.settimeout(timeout)
        try:
            return int(self._socket.recv(16) or b"-1")
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._socket.settimeout(None)
            self._socket.recv(16)
            raise

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._server.wait()


def serve(connection: socket.socket) -> None:
    """Fork for each request. Returns in the child, once its program has ended, and at the end."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 2)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            for target, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)
            run(**json.loads(data))
            return
        connection.send(str(pid).encode())
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.send(str(status).encode())


def run(program: str, arguments: list[str], folder: str, environ: dict[str, str], paths: list[str]) -> None:
    """Run a program as the main module of this process; workers that are spawned find it there."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, environ.get("PYTHONPATH", "")]))
    sys.argv = [program, *arguments]
    sys.path[:0] = [str(Path(program).parent), *paths]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = program
    try:
        exec(compile(Path(program).read_text(), program, "exec"), main.__dict__)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    del sys.path[0]  # this file's folder
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        for module in sys.argv[2:]:
            with suppress(ImportError):  # the program says what it lacks
                importlib.import_module(module)
        if "torch" in sys.modules:
            importlib.import_module("torch._dynamo")  # the first optimizer imports it, which takes a second
        serve(connection)
