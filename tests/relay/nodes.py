"""A cluster on one machine: each node has a network, processes and a channel directory of its own.

Nodes are network namespaces on one bridge. Everything of a node lives below its first process, in a namespace
of process ids, and ends with that.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from processes import Process

PATIENCE = 90.0
"""A watchdog."""

_numbers = itertools.count()


@functools.cache
def why_no_namespaces() -> str:
    """Why this machine cannot make nodes; empty if it can."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        return "nodes need root, ip, unshare and nsenter"
    made = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount-proc", "ip", "link", "add", "type", "bridge"],
        capture_output=True,
        text=True,
    )
    return made.stderr.strip()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def until(condition: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> float:
    """Seconds until a condition holds; TimeoutError if that takes too long."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > patience:
            raise TimeoutError(what or "it does not come about")
        time.sleep(0.005)
    return time.monotonic() - start


class Node:
    """A machine of the cluster."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster, self.number = cluster, number
        self.name = f"{cluster.name}n{number}"
        self.address = f"10.{cluster.subnet}.0.{number + 1}"
        self.directory = cluster.root / f"node{number}"
        self._link = f"{cluster.name}v{number}"
        self._processes: list[Process] = []
        _ip("netns", "add", self.name)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._link, "master", cluster.name, "up")
        for arguments in (
            ("addr", "add", f"{self.address}/16", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self.name, *arguments)
        self._boot()

    def _boot(self) -> None:
        self._first = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.name),
                *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("sh", "-c", "echo; while :; do sleep 1000; done"),
            ],
            stdout=subprocess.PIPE,
        )
        assert self._first.stdout is not None
        self._first.stdout.readline()
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        self._first_pid = int(children[0])

    @property
    def prefix(self) -> list[str]:
        """What makes a command one of this node."""
        return [
            "nsenter",
            "-t",
            str(self._first_pid),
            "--net",
            "--pid",
            "--mount",
            f"--wd={os.getcwd()}",
            "--",
        ]

    def python(self, environment: Mapping[str, str] | None = None) -> Process:
        """A process here that does what it is told; it has not joined."""
        process = Process(
            prefix=self.prefix,
            environment={
                **self.cluster.environment,
                "TRAINCAST_DIR": str(self.directory),
                "MASTER_ADDR": self.cluster.nodes[0].address if self.cluster.nodes else self.address,
                "MASTER_PORT": "29500",
                **(environment or {}),
            },
        )
        self._processes.append(process)
        process.run("import traincast.relay, time")
        return process

    def kill(self, pid: int) -> None:
        """SIGKILL for a process of this node, by its number here."""
        self.signal(pid, "KILL")

    def signal(self, pid: int, name: str) -> None:
        subprocess.run([*self.prefix, "kill", f"-{name}", str(pid)], check=True)

    def joined(self, process: Process | None = None) -> Process:
        """A process that has joined, and reads."""
        process = process or self.python()
        process.run(f"member = traincast.relay.join({self.cluster.channel!r}, job=1)")
        return process

    def env(self) -> Process:
        """A process that reads what has arrived, and has not joined."""
        env = self.python()
        env.run(f"reader = traincast.TrainingInfoReader({self.cluster.channel!r}, attach_timeout=100)")
        return env

    def learner(self, **options: Any) -> Process:
        """A learner that has published 1, and has joined."""
        learner = self.python()
        learner.run(f"writer = traincast.TrainingInfoWriter({self.cluster.channel!r}, **{options!r})")
        learner.call("writer.publish", {"approx_total_training_steps": 1})
        return self.joined(learner)

    def learner_alone(self) -> Process:
        """A learner that has published 1 and has not joined: its node has a relay."""
        learner = self.python()
        learner.run(f"writer = traincast.TrainingInfoWriter({self.cluster.channel!r})")
        learner.call("writer.publish", {"approx_total_training_steps": 1})
        return learner

    def status(self) -> dict[str, Any]:
        """What this node's relay says; empty without one."""
        from traincast._core import relay_status

        for _ in range(100):
            with suppress(ValueError):  # it is being written
                return json.loads(relay_status(self.cluster.channel, 0, directory=self.directory) or "{}")
        return {}

    def reports(self) -> dict[str, dict[str, Any]]:
        """What the relays of other nodes say, as this node's has heard it, by their nodes."""
        return {report["node"]: report for report in self.status().get("relays", ())}

    def cut(self) -> None:
        """Cuts the node's link: packets are lost, and no process is told."""
        _ip("link", "set", self._link, "nomaster")

    def mend(self) -> None:
        _ip("link", "set", self._link, "master", self.cluster.name)

    def shut_free_ports(self) -> None:
        """A firewall: what this node answers from ports that the kernel has chosen is lost."""
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        ports = f"{first}-{last}"
        _ip("-n", self.name, "rule", "add", "ipproto", "tcp", "sport", ports, "blackhole")

    def crash(self) -> None:
        """Kills everything that runs here at once."""
        self._first.send_signal(signal.SIGKILL)
        self._first.wait()
        assert self._first.stdout is not None
        self._first.stdout.close()
        for process in self._processes:
            process.close()
        self._processes.clear()

    def reboot_after_crash(self) -> None:
        """The channel directory was memory."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._boot()

    def close(self) -> None:
        self.crash()
        _ip("netns", "del", self.name)


class Cluster:
    """Nodes on one bridge, made when they are asked for."""

    def __init__(self, root: Path, channel: str) -> None:
        self.root, self.channel = root, channel
        number = next(_numbers) % 100
        self.name = f"tc{os.getpid() % 100_000:x}x{number}"
        self.subnet = 100 + (os.getpid() * 7 + number) % 100
        self.nodes: list[Node] = []
        self.environment = {"TRAINCAST_KEY": secrets.token_hex(16)}
        _ip("link", "add", self.name, "type", "bridge")
        _ip("link", "set", self.name, "up")

    def node(self) -> Node:
        node = Node(self, len(self.nodes))
        self.nodes.append(node)
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.close()
        _ip("link", "del", self.name)


assert sys.platform == "linux"
