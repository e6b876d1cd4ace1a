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
_PORTS = range(15_000, 30_000)  # below those that the kernel gives away


class Membership:
    """Sees to it that this node has a relay, as long as this process lives.

    A thread looks for it four times a second, through a lock; it makes no call of the network. The relay
    itself is another process.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()
        threading.Thread(target=self._look_after, name="traincast-relay", daemon=True).start()

    def status(self) -> dict[str, Any] | None:
        """Return what this node's relay says of itself; None without one."""
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
        """Look after the relay no more. It goes on serving the others, and ends with the job."""
        self._stop.set()

    def _look_after(self) -> None:
        while not self._stop.is_set():
            with suppress(TraincastError, OSError):
                # A child that lives serves, or finds out that another one does.
                if (self._child is None or self._child.poll() is not None) and self.status() is None:
                    self._child = start(self.configuration)
            self._stop.wait(_LOOK_EVERY)

    def disown(self) -> None:
        """The relay outlives this process: Popen need not warn of that."""
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
    """Carry a run to all nodes of a job: to be called in every rank, under torchrun or SLURM.

    One relay on each node, a process of its own, is elected by a lock. They meet in a TCPStore that the relay
    of the master's node hosts, and end with the job. Env code does not change: on each node there is an
    ordinary channel.

        >>> run = traincast.Run("ppo")  # doctest: +SKIP
        >>> traincast.relay.join(run)  # doctest: +SKIP

    The store has no authentication. Set `TRAINCAST_KEY` to the same secret on all nodes, and messages of
    anybody else are dropped; without it, use trusted networks only.

    Args:
        run: the run, or its name.
        policy_id: which policy's channel; None: the run's.
        host: where the store is; None: `MASTER_ADDR`.
        port: its port; None: `TRAINCAST_RELAY_PORT`, or what follows from `MASTER_PORT` and the name.
        directory: where the channel is; None: the run's.
        job: the process with whose end the relay ends; None: the launcher, or this process without one.
        timeout: seconds to wait for this node's relay to have met the others.

    Raises:
        ChannelBusyError: a learner on another node has the channel, and this process publishes to it.
        ValueError: there is no host.
        TimeoutError: there is no relay within `timeout`.
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
            "that others use, set TRAINCAST_KEY to one secret on all nodes",
        )
    membership = Membership(configuration)
    _memberships.append(membership)
    _wait(membership, bool(getattr(run, "publishes", False)), timeout)
    return membership


def _wait(membership: Membership, publishes: bool, timeout: float) -> None:
    """Until the relay has met the others; and where this process publishes, until the channel is its own."""
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
    """The port that all nodes find: no other run of the job has it, and most likely nobody else."""
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
