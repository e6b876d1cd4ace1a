"""`traincast.relay.join(run)`: relays for a job that torchrun or SLURM has started, one for each node."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from operator import index
from typing import Any

from traincast._core import relay_status
from traincast._warnings import warn_once
from traincast.errors import ChannelBusyError, TraincastError
from traincast.relay.process import Configuration, Job, start
from traincast.wrappers.channel import HasChannel, channel_of

__all__ = ["Membership", "join"]

_LOOK_EVERY = 0.25
_PORTS = range(15_000, 30_000)  # below the kernel's ephemeral ports


class Membership:
    """Keeps a relay running on this node, as long as this process lives.

    A thread checks for it four times a second, by a lock and without any network call. The relay itself is
    another process.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()
        threading.Thread(target=self._look_after, name="traincast-relay", daemon=True).start()

    def status(self) -> dict[str, Any] | None:
        """Return the status that this node's relay reports; None if there is no relay."""
        at = self.configuration
        text = relay_status(at.name, at.policy_id, directory=at.directory)
        if text is None:
            return None
        try:
            status: dict[str, Any] = json.loads(text or "{}")
        except ValueError:
            return {}  # it is being written
        return status

    def leave(self) -> None:
        """Stop looking after the relay. It goes on serving the others, and ends with the job."""
        self._stop.set()

    def _look_after(self) -> None:
        while not self._stop.is_set():
            with suppress(TraincastError, OSError):
                # A living child serves, or is about to find out that another relay does.
                if (self._child is None or self._child.poll() is not None) and self.status() is None:
                    self._child = start(self.configuration)
            self._stop.wait(_LOOK_EVERY)

    def disown(self) -> None:
        """Keep Popen from warning that the relay still runs: it is meant to outlive this process."""
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0


_memberships: list[Membership] = []


def join(
    run: HasChannel | str,
    policy_id: int | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    job: int | None = None,
    timeout: float = 60.0,
) -> Membership:
    """Carry a run to all nodes of a job; call it in every rank, under torchrun or SLURM.

    A lock elects one relay on each node, which is a process of its own. The relays meet in a TCPStore that
    the relay of the master's node hosts, and end with the job. Env code does not change: each node has an
    ordinary channel.

        >>> run = traincast.Run("ppo")  # doctest: +SKIP
        >>> traincast.relay.join(run)  # doctest: +SKIP

    The store has no authentication. Set `TRAINCAST_KEY` to the same secret on all nodes, so that messages
    from anybody else are dropped; without a key, use only trusted networks.

    Args:
        run: the run, or its name.
        policy_id: the policy whose channel it is; None: the run's.
        host: where the store is; None: `MASTER_ADDR`.
        port: its port; None: `TRAINCAST_RELAY_PORT`, or one derived from `MASTER_PORT` and the name.
        directory: where the channel is; None: the run's.
        job: the id of the process with which the relay ends; None: the launcher, or this process if there is
            none.
        timeout: seconds to wait until this node's relay has met the others.

    Raises:
        ChannelBusyError: a learner on another node owns the channel, and this process publishes to it.
        ValueError: there is no host.
        TimeoutError: this node's relay has not met the others within `timeout`.
    """
    channel = channel_of(run, policy_id, directory)
    name = channel.actual_name
    host = host or os.environ.get("MASTER_ADDR")
    if name is None or not host:
        raise ValueError(
            "relay.join needs a run, and a host that all nodes reach: MASTER_ADDR, which torchrun sets "
            "(SLURM scripts set it to the first node's name), or host="
        )
    configuration = Configuration(
        name,
        channel.policy_id,
        channel.directory,
        host,
        _port(port, f"{name}@{channel.policy_id}"),
        Job.of(_launcher() if job is None else job),
    )
    if not os.environ.get("TRAINCAST_KEY"):
        warn_once(
            ("relay without a key", host),
            "the relays' TCPStore has no authentication: whoever reaches its port can publish. On a network "
            "that others use, set TRAINCAST_KEY to the same secret on all nodes",
        )
    membership = Membership(configuration)
    _memberships.append(membership)
    _wait(membership, bool(getattr(run, "publishes", False)), timeout)
    return membership


def _wait(membership: Membership, publishes: bool, timeout: float) -> None:
    """Wait until the relay has met the others; if this process publishes, until it has won the channel."""
    at, deadline = membership.configuration, time.monotonic() + timeout
    status: dict[str, Any] | None = None
    while time.monotonic() < deadline:
        status = membership.status() or {}
        refused = status.get("refused")
        if publishes and refused is not None and refused[0] == os.getpid():
            membership.leave()
            raise ChannelBusyError(
                f"channel {at.name!r} (policy {at.policy_id}) has a live learner: {refused[1]}; end that "
                "one, or use another name"
            )
        if status.get("connected") and (not publishes or status["state"] == "speaking"):
            return
        time.sleep(0.02)
    membership.leave()
    why = status.get("fault") if status else "it has not started: see its messages on stderr"
    raise TimeoutError(
        f"this node's relay has not met the others at {at.host}:{at.port} in {timeout:g} s: {why}"
    )


def _launcher() -> int:
    launched = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_PROCID" in os.environ
    return os.getppid() if launched and os.getppid() > 1 else os.getpid()


def _port(port: int | None, channel: str) -> int:
    """Return a port that all nodes derive alike: no other run of the job has it, and probably nobody else."""
    if port is not None:
        return index(port)
    if told := os.environ.get("TRAINCAST_RELAY_PORT"):
        return int(told)
    text = "/".join((os.environ.get("MASTER_PORT", ""), os.environ.get("SLURM_JOB_ID", ""), channel))
    return _PORTS[int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") % len(_PORTS)]


def _disown() -> None:
    for membership in _memberships:
        membership.disown()


atexit.register(_disown)
