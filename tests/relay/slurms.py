"""SLURM on the nodes of a cluster: a controller on the first one, a daemon on each, one key for all."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nodes import Cluster, Node, until

CONFIGURATION = """
ClusterName=traincast
SlurmctldHost=node0
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/controller.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/controller.log
SlurmdLogFile={root}/%n.log
MpiDefault=none
NodeName=node[0-1] CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_no_slurm() -> str | None:
    """Why SLURM cannot be started here; None if it can."""
    lacking = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None]
    return (
        f"there is no {', '.join(lacking)}: apt-get install slurmctld slurmd slurm-client munge"
        if lacking
        else None
    )


class Slurm:
    """A cluster of two nodes, `node0` and `node1`."""

    def __init__(self, cluster: Cluster, root: Path) -> None:
        self.nodes, self.root = [cluster.node(), cluster.node()], root
        names = "".join(f"{node.address} node{node.number}\n" for node in self.nodes)
        (root / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (root / "slurm.conf").write_text(CONFIGURATION.format(root=root))
        # A container has no hierarchy of control groups.
        (root / "cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={root}/cgroups\n")
        for folder in ("state", "spool-node0", "spool-node1"):
            (root / folder).mkdir()
        for node in self.nodes:
            hosts = ["mount", "--bind", f"{root}/hosts", "/etc/hosts"]
            subprocess.run([*node.prefix, *hosts], check=True)
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start its daemons."""
        root = self.root
        key = root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={root}/munge.socket"]
        munge += [
            f"--pid-file={root}/munge.pid",
            f"--log-file={root}/munge.log",
            f"--seed-file={root}/munge.seed",
        ]
        self._run(munge)
        until(lambda: (root / "munge.socket").exists(), "munged does not start")
        self._run(self.command(self.nodes[0], {}, "slurmctld", "-D"))
        for node in self.nodes:
            self._run(self.command(node, {}, "slurmd", "-D"))
        until(lambda: self.states() == ["idle", "idle"], f"SLURM does not start: see {root}")

    def _run(self, command: list[str]) -> None:
        silent = subprocess.DEVNULL
        self._daemons.append(subprocess.Popen(command, stdout=silent, stderr=silent))

    def command(self, node: Node, environment: Mapping[str, str], *command: str) -> list[str]:
        """A command on a node."""
        variables = {
            **environment,
            "SLURM_CONF": f"{self.root}/slurm.conf",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        named = f'hostname node{node.number}; exec "$@"'
        settings = [f"{name}={value}" for name, value in variables.items()]
        return [*node.prefix, "env", *settings, "unshare", "--uts", "sh", "-c", named, "sh", *command]

    def states(self) -> list[str]:
        asked = self.command(self.nodes[0], {}, "sinfo", "--Node", "--noheader", "--format=%t")
        return subprocess.run(asked, capture_output=True, text=True).stdout.split()

    def end(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()


@contextmanager
def slurm_on(cluster: Cluster) -> Iterator[Slurm]:
    """SLURM, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="traincast-slurm-") as root:
        slurm = Slurm(cluster, Path(root))
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.end()
            for node in slurm.nodes:  # what it has started there
                node.crash()
                node._boot()
