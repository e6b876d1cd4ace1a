"""A real sshd on the nodes of a cluster, and an ssh that finds them by their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes import Cluster, Node, until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")

DAEMON = """
HostKey {root}/key
AuthorizedKeysFile {root}/key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
SetEnv TRAINCAST_DIR={directory} PATH={path}
"""

CLIENT = """
IdentityFile {root}/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
"""


def why_no_ssh() -> str | None:
    """Why no sshd can be started here; None if it can."""
    return None if SSHD and shutil.which("ssh") else "there is no sshd: apt-get install openssh-server"


PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@contextmanager
def ssh_on(cluster: Cluster, count: int) -> Iterator[list[Node]]:
    """Nodes `node0`, `node1`, …; each can reach all others by ssh, until the end of the block."""
    assert SSHD is not None
    root = cluster.root / "ssh"
    root.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "key")], check=True)
    nodes = [cluster.node() for _ in range(count)]
    names = "".join(f"{node.address} node{node.number}\n" for node in nodes)
    (root / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
    (root / "ssh_config").write_text(CLIENT.format(root=root))
    daemons = []
    try:
        for node in nodes:
            text = DAEMON.format(root=root, directory=node.directory, path=PATH)
            (root / f"sshd_config{node.number}").write_text(text)
            for command in (
                ["mount", "--bind", str(root / "hosts"), "/etc/hosts"],
                ["mount", "--bind", str(root / "ssh_config"), "/etc/ssh/ssh_config"],
                ["mount", "-t", "tmpfs", "tmpfs", "/run"],
                ["mkdir", "-m", "755", "/run/sshd"],
            ):
                subprocess.run([*node.prefix, *command], check=True)
            sshd = [*node.prefix, SSHD, "-D", "-f", str(root / f"sshd_config{node.number}")]
            daemons.append(subprocess.Popen(sshd, stderr=subprocess.DEVNULL))
        for node in nodes:
            until(lambda node=node: _reaches(nodes[0], node), f"sshd of node {node.number} does not start")
        yield nodes
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()


def _reaches(node: Node, other: Node) -> bool:
    asked = [*node.prefix, "ssh", f"node{other.number}", "true"]
    return subprocess.run(asked, capture_output=True).returncode == 0
