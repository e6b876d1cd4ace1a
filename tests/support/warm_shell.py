"""A process that has imported the command line, and forks for each command: importing takes longer than most.

As a program it serves one socket, whose descriptor is its argument. A command runs in a process of its own,
with the arguments, environment, folder and outputs that it is given, as `python -m traincast.cli` would.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LARGEST_REQUEST = 1 << 20


class WarmShell:
    """Its owner's end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
            command = [sys.executable, Path(__file__), str(theirs.fileno())]
            self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `traincast ...`, its output going to files."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = {"arguments": arguments, "environ": dict(os.environ), "folder": os.getcwd()}
            socket.send_fds(self._socket, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
            status = int(self._socket.recv(16) or b"-1")
            printed = []
            for file in (out, err):
                file.seek(0)
                printed.append(file.read().decode())
        return subprocess.CompletedProcess(["traincast", *arguments], status, *printed)

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._server.wait()


def serve(connection: socket.socket) -> None:
    import traincast.cli.app

    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 2)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            request = json.loads(data)
            for target, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environ"])
            sys.argv = ["traincast", *request["arguments"]]
            traincast.cli.main()  # exits
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.send(str(status).encode())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
