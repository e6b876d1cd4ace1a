"""Ray as an engine: `traincast.relay.ray.start(run)`, in the driver.

A named hub actor holds the newest messages, and answers long polls. Each node has a zero-CPU actor pinned to
it, whose process is that node's relay. A thread of the driver starts actors on nodes that join, and forgets
those of nodes that leave. All of them end with the driver's job. But Ray notices a dead node only after about
14 s, and a dead driver after about 30 s, so the messages themselves say whether the learner lives.

Ray sends objects under 100 KB inside its own messages, and larger ones through the object store, which takes
longer. So a value of up to about a megabyte is sent in parts of less than 100 KB, and a larger one through
the object store.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from traincast._optional import missing
from traincast.errors import ChannelBusyError
from traincast.relay.engine import EngineLost
from traincast.relay.hub import Hub, Mark
from traincast.relay.node import Relay
from traincast.wrappers.channel import HasChannel, channel_of

try:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as error:
    raise missing(error, "ray", "ray", "traincast.relay.ray") from None

__all__ = ["RayRelays", "start"]

_PART = 90_000
_MOST_PARTS = 12
_GRACE = 3.0
"""Seconds that a call may take in addition to its own timeout."""

_LOOK_EVERY = 1.0

_SERVED = "another one serves this machine"


class HubActor(Hub):
    """The hub as an actor of Ray: values come in parts, or as a reference to an object."""

    async def put_parts(self, topic: str, *parts: Any) -> None:
        """Make a value the newest of its topic."""
        await self.put(topic, parts)

    async def wait_parts(self, topic: str, newer_than: Mark | None, timeout: float, parts: int) -> Any:
        """Return the mark of the newest value, and the value in this number of parts."""
        news = await self.wait(topic, newer_than, timeout)
        if news is None:
            return [None, *[b""] * parts]
        mark, value = news
        if value and not isinstance(value[0], bytes):
            return [mark, value[0], *[b""] * (parts - 1)]  # a list that holds the reference
        last = b"".join(value[parts - 1 :])
        return [mark, *value[: parts - 1], last, *[b""] * (parts - 1 - len(value[: parts - 1]))]


class HubEngine:
    """A connection to the hub, for the calls of one thread."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._parts: dict[str, int] = {}
        self._held: Any = None

    def put(self, topic: str, value: bytes) -> None:
        """See `Engine`."""
        parts: Sequence[Any]
        if len(value) <= _PART * _MOST_PARTS:
            parts = [value[at : at + _PART] for at in range(0, max(len(value), 1), _PART)]
        else:
            self._held = ray.put(value)  # the reference keeps the object alive until the next one
            parts = [[self._held]]
        _get(self._hub.put_parts.remote(topic, *parts), _GRACE)

    def wait(self, topic: str, newer_than: Any, timeout: float) -> tuple[Any, bytes] | None:
        """See `Engine`."""
        count = self._parts.get(topic, 1)
        call = self._hub.wait_parts.options(num_returns=count + 1)
        mark, *parts = _get(call.remote(topic, newer_than, timeout, count), timeout + _GRACE)
        if mark is None:
            return None
        value = _get(parts[0][0], _GRACE) if isinstance(parts[0], list) else b"".join(parts)
        self._parts[topic] = min(max(-(-len(value) // _PART), 1), _MOST_PARTS)
        return mark, cast(bytes, value)

    def swap(self, key: str, expected: bytes, new: bytes) -> bytes:
        """See `Engine`."""
        return cast(bytes, _get(self._hub.swap.remote(key, expected, new), _GRACE))

    def report_progress_to(self, progressed: Callable[[], None]) -> None:
        """See `Engine`: Ray does not tell."""

    def close(self) -> None:
        """See `Engine`."""


class HubEngines:
    """Makes connections to one hub, the actor of that name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.via = f"ray {name}"

    def connect(self) -> HubEngine:
        """See `Engines`."""
        try:
            engine = HubEngine(ray.get_actor(self._name))
        except (ValueError, RayError) as error:
            raise EngineLost(f"ray: there is no actor {self._name}") from error
        engine.swap("", b"-", b"-")  # to see if it answers: Ray may still be starting it
        return engine

    def cut(self) -> None:
        """See `Engines`: calls of Ray end by themselves."""

    def close(self) -> None:
        """See `Engines`."""


class NodeActor:
    """A node's relay, in a process that Ray starts and ends."""

    def __init__(self, hub: str, name: str, policy_id: int, directory: str | None) -> None:
        self._arguments = (name, policy_id, directory, HubEngines(hub))
        self._relay: Relay | None = None
        self._served = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def status(self) -> dict[str, Any]:
        """Return the status of this node's relay; empty while it starts."""
        relay = self._relay
        if relay is None:
            return {"state": _SERVED} if self._served else {}
        return relay.status()

    def end(self) -> None:
        """Stop serving the channel."""
        self._ending.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ending.is_set():
            try:
                self._relay = Relay(*self._arguments)
                self._served = False
                self._relay.run(lambda: not self._ending.is_set())
            except ChannelBusyError:
                self._served = True  # a machine with several Ray nodes has one relay
            self._relay = None
            self._ending.wait(_LOOK_EVERY)


def _get(reference: Any, timeout: float) -> Any:
    try:
        return ray.get(reference, timeout=timeout)
    except RayError as error:
        raise EngineLost(f"ray: {type(error).__name__}") from error


class RayRelays:
    """Keeps a relay for a channel running on each node of the cluster."""

    def __init__(self, name: str, policy_id: int, directory: str | None) -> None:
        self.name, self.policy_id, self.directory = name, policy_id, directory
        self._hub_name = f"traincast-hub-{name}@{policy_id}"
        self._hub = (
            ray.remote(HubActor)
            .options(
                name=self._hub_name,
                get_if_exists=True,
                num_cpus=0,
                max_restarts=-1,
                max_concurrency=10_000,
                scheduling_strategy=NodeAffinitySchedulingStrategy(
                    ray.get_runtime_context().get_node_id(), soft=True
                ),
            )
            .remote()
        )
        self._actors: dict[str, Any] = {}
        self._stop = threading.Event()
        self._stopping = threading.Lock()
        self._pid = os.getpid()
        self.reconcile()
        self._thread = threading.Thread(target=self._look_after, name="traincast-relay", daemon=True)
        self._thread.start()

    def reconcile(self) -> None:
        """Start relays on nodes that have joined, and forget those of nodes that have left."""
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        for gone in self._actors.keys() - alive:
            del self._actors[gone]
        for node in alive - self._actors.keys():
            self._actors[node] = (
                ray.remote(NodeActor)
                .options(
                    name=f"traincast-relay-{self.name}@{self.policy_id}-{node}",
                    get_if_exists=True,
                    num_cpus=0,
                    max_restarts=-1,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
                )
                .remote(self._hub_name, self.name, self.policy_id, self.directory)
            )

    def status(self, timeout: float = 10.0) -> dict[str, dict[str, Any]]:
        """Return the status of each relay by Ray's node id, except for those that do not answer in time."""
        asked = {actor.status.remote(): node for node, actor in dict(self._actors).items()}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=timeout)
        said = {}
        for reference in ready:
            with suppress(RayError):
                said[asked[reference]] = ray.get(reference)
        return said

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until each node has the channel; return whether all have it.

        Call it before envs on other nodes reset for the first time, so that they have what was published.
        """
        ready = {"speaking", "live", _SERVED}
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            said = self.status(max(0.1, deadline - time.monotonic()))
            if len(said) == len(self._actors) and all(one.get("state") in ready for one in said.values()):
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """End the relays, half a second after the call, so that the last messages arrive."""
        with self._stopping:
            if not self._stop.is_set():
                self.look_after_no_more()
                if ray.is_initialized():  # otherwise they have ended with the job
                    self._end()

    def look_after_no_more(self) -> None:
        """Stop the thread that calls Ray: the interpreter cannot exit during such a call."""
        self._stop.set()
        if self._thread is not threading.current_thread() and self._pid == os.getpid():
            self._thread.join(_GRACE)

    def _end(self) -> None:
        time.sleep(0.5)
        ends = [actor.end.remote() for actor in self._actors.values()]
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=_GRACE)
        for actor in (*self._actors.values(), self._hub):
            ray.kill(actor)
        self._actors.clear()

    def _look_after(self) -> None:
        while not self._stop.wait(_LOOK_EVERY) and self._pid == os.getpid() and ray.is_initialized():
            with suppress(RayError, ConnectionError, ValueError):
                self.reconcile()


_started: dict[tuple[str, int], RayRelays] = {}


@atexit.register  # registered after Ray's own handler, and so called before it
def _look_after_no_more() -> None:
    for relays in _started.values():
        with relays._stopping:  # another thread may be about to end them
            relays.look_after_no_more()


def start(
    run: HasChannel | str,
    policy_id: int | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
) -> RayRelays:
    """Carry a run to all nodes of the Ray cluster; call it in the driver, after `ray.init`.

        >>> run = traincast.Run("ppo")  # doctest: +SKIP
        >>> traincast.relay.ray.start(run)  # doctest: +SKIP

    Env code does not change: each node has an ordinary channel, wherever the learner runs. Nodes that join
    later get it, too. The relays end with the driver's job.

    Args:
        run: the run, or its name.
        policy_id: the policy whose channel it is; None: the run's.
        directory: where the channel is on each node; None: the run's.

    Raises: RuntimeError before `ray.init`; ValueError if there is no name.
    """
    if not ray.is_initialized():
        raise RuntimeError("call traincast.relay.ray.start after ray.init")
    channel = channel_of(run, policy_id, directory)
    name = channel.actual_name
    if name is None:
        raise ValueError(channel.why_nameless)
    key = (name, channel.policy_id)
    relays = _started.get(key)
    if relays is None or relays._stop.is_set():
        relays = _started[key] = RayRelays(name, channel.policy_id, channel.directory)
    return relays
