"""A relay as a process of its own: `python -m traincast.relay CONFIGURATION`.

It is executed, not forked, so that nothing of the learner lives on in it: no threads, no CUDA, no locks. It
outlives the learner, and ends with its job: when the launcher that started the learner has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

from traincast._names import start_of
from traincast.errors import ChannelBusyError
from traincast.relay.address import address_towards
from traincast.relay.message import key_from_environment
from traincast.relay.node import Relay
from traincast.relay.signals import told_to_end
from traincast.relay.sink import LEASE
from traincast.relay.supervision import supervised
from traincast.relay.tcpstore import StoreEngines, torch_store
from traincast.relay.tree import fan_out_from_environment

__all__ = ["Configuration", "Job", "main", "start"]


@dataclass(frozen=True)
class Job:
    """The process with which a relay ends."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Job:
        """Return the job of a living process."""
        return cls(pid, start_of(pid))

    def lives(self) -> bool:
        """Tell if the process lives; the pid alone may belong to another process by now."""
        if self.started:
            return start_of(self.pid) == self.started
        try:  # /proc hides it from this user
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


@dataclass(frozen=True)
class Configuration:
    """What a relay needs to know."""

    name: str
    policy_id: int
    directory: str | None
    host: str
    port: int
    job: Job
    lease: float = LEASE

    def to_json(self) -> str:
        """Return it as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Configuration:
        """Undo `to_json`."""
        fields = json.loads(text)
        return cls(**{**fields, "job": Job(**fields["job"])})


def start(configuration: Configuration) -> subprocess.Popen[bytes]:
    """Start a relay in a session of its own, so that a Ctrl-C for the learner does not end it."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "CUDA_VISIBLE_DEVICES": "",
        # So that the relay finds the same package as this process.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "traincast.relay", configuration.to_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def main(configuration: Configuration) -> int:
    """Run a relay until the job ends, or SIGTERM comes; a relay that is killed is replaced by another one."""
    with suppress(ModuleNotFoundError):  # the process that serves reports this, and so does `join`
        torch_store()
    return supervised(lambda: _serve(configuration), configuration.job.lives)


def _serve(configuration: Configuration) -> int:
    """Serve until the job ends, or SIGTERM."""
    told = told_to_end()
    engines = StoreEngines(
        configuration.host, configuration.port, f"{configuration.name}@{configuration.policy_id}"
    )
    try:
        relay = Relay(
            configuration.name,
            configuration.policy_id,
            configuration.directory,
            engines,
            key=key_from_environment(),
            lease=configuration.lease,
            address=address_towards(configuration.host),
            fan_out=fan_out_from_environment(),
        )
    except ChannelBusyError:
        return 0  # another rank of this node was faster
    relay.run(lambda: not told() and configuration.job.lives())
    return 0
