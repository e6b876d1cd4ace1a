"""Machines whose /dev/shm and /tmp are as a test wants them: mounts that only their own processes see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from processes import Process
from snapshots import info

EVERYBODYS = "mode=1777"


def private_mounts() -> list[str]:
    """The command prefix of a process whose mounts nobody else sees."""
    candidates = [["unshare", "--user", "--map-root-user", "--mount"]]
    if os.geteuid() == 0:
        candidates.insert(0, ["unshare", "--mount"])
    for candidate in candidates:
        if subprocess.run([*candidate, "true"], check=False, capture_output=True).returncode == 0:
            return candidate
    pytest.fail("this test mounts a tmpfs: run it as root, or allow user namespaces (unshare --user --mount)")


def outside(uid: int) -> int:
    """The uid outside of this user namespace."""
    mapped = _mapping(uid)
    return uid if mapped is None else mapped


def _mapping(uid: int) -> int | None:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, mapped, count = map(int, line.split())
        if first <= uid < first + count:
            return mapped + uid - first
    return None


# A uid as OpenShift assigns them, with no name and no home; in a user namespace, one that is mapped there.
NAMELESS = 1000660000 if _mapping(1000660000) is not None else 54321


def become(process: Process, uid: int, gid: int | None = None) -> None:
    gid = uid if gid is None else gid
    process.run(f"os.setgroups([]); os.setgid({gid}); os.setuid({uid})")


class Machine:
    """Starts with an empty /dev/shm and an empty /tmp, which all of its processes share, and ends with them.

    The processes have no `TRAINCAST_DIR`.
    """

    def __init__(self, *, shm: str = EVERYBODYS, tmp: str = EVERYBODYS) -> None:
        for needed in (sys.prefix, __file__):
            if Path(needed).is_relative_to("/tmp") or Path(needed).is_relative_to("/dev/shm"):
                pytest.fail(f"this test mounts an empty /tmp and /dev/shm, which hide {needed}: move it")
        self._processes = [Process(prefix=private_mounts(), environment={"TRAINCAST_DIR": ""})]
        self._processes[0].run("import subprocess")
        self.mount("/tmp", tmp)
        self.mount("/dev/shm", shm)

    def mount(self, path: str | Path, options: str, kind: str = "tmpfs") -> None:
        self.do("mount", "-t", kind, "-o", options, kind, str(path))

    def do(self, *command: str) -> None:
        """Runs a command as root, or as the root of the user namespace."""
        self._processes[0].run(f"subprocess.run({list(command)!r}, check=True)")

    def files(self, path: str) -> list[str]:
        found: list[str] = self._processes[0].value(f"sorted(os.listdir({path!r}))")
        return found

    def fill(self, path: str) -> None:
        """Fills the file system to the last byte; `empty` undoes it."""
        self._processes[0].run(f"""
free = os.statvfs({path!r})
with open({path + "/filler"!r}, 'wb') as file:
    file.write(bytes(free.f_bavail * free.f_frsize))
""")

    def empty(self, path: str) -> None:
        self.do("rm", path + "/filler")

    def process(self, **environment: str) -> Process:
        """A process of its own, as in another terminal."""
        target = ["nsenter", f"--target={self._processes[0].pid}", "--mount"]
        if os.geteuid() != 0:
            target += ["--user", "--preserve-credentials"]
        process = Process(prefix=target, environment={"TRAINCAST_DIR": ""} | environment)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def publish(writer: Process, name: str, a: object, *, moved: str | None = None) -> None:
    """Opens the channel if necessary, and publishes. `moved`: how the warning about its place begins."""
    writer.run(f"""
import warnings
if {name!r} not in globals():
    globals()[{name!r}] = traincast.TrainingInfoWriter({name!r})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    globals()[{name!r}].publish({info(a=a)!r})
said = [str(warning.message) for warning in caught]
""")
    said = writer.value("said")
    if moved is None:
        assert said == []
    else:
        assert len(said) == 1
        assert said[0].startswith(moved)
        assert "--shm-size" in said[0]
        assert "TRAINCAST_DIR" in said[0]


def attach(reader: Process, name: str) -> object:
    reader.run(f"reader = traincast.TrainingInfoReader({name!r})")
    return reader.value("reader['a']")


def advised(error: BaseException) -> str:
    """The directory that an error message advises."""
    [path] = re.findall(r"set TRAINCAST_DIR=(\S+) for the learner and the envs", str(error))
    return str(path)


def assert_advice_helps(machine: Machine, error: BaseException, user: int | None = None) -> None:
    """Follows the advice of an error message, on both sides."""
    writer, reader = (machine.process(TRAINCAST_DIR=advised(error)) for _ in range(2))
    if user is not None:
        become(writer, user, 0)
        become(reader, user, 0)
    publish(writer, "advised", 1)
    assert attach(reader, "advised") == 1


# Subordinate uids, where the system grants some (/etc/subuid).
NAMESPACE = ["unshare", "--user", "--map-root-user", "--map-auto"]


def run_as_root(module: dict[str, Any]) -> None:
    """Only root can become another user; the root of a user namespace will do."""
    if os.geteuid() == 0:
        return
    for name in [name for name in module if name.startswith("test_")]:
        del module[name]

    def test_as_root_of_a_user_namespace() -> None:
        command = [*NAMESPACE, sys.executable, "-m", "pytest", "--quiet", module["__file__"]]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        advice = "these tests need a second user: run them as root, or install uidmap and fill /etc/subuid"
        assert done.returncode == 0, f"{advice}\n{done.stdout}{done.stderr}"

    module[test_as_root_of_a_user_namespace.__name__] = test_as_root_of_a_user_namespace
