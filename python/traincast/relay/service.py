"""`traincast relay`: a relay that no training starts. It finds channels by itself, and carries all of them.

Channels with a living learner on this node are offered to the other nodes; channels that other nodes offer
are carried to this one. It is one process with one session, which runs a `Relay` for each channel.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from traincast import _core
from traincast._warnings import warn_once
from traincast.errors import ChannelBusyError, TraincastError
from traincast.relay.engine import EngineLost
from traincast.relay.message import Life, Malformed, unseal
from traincast.relay.node import Relay
from traincast.relay.session import Network, zenoh
from traincast.relay.sink import LEASE
from traincast.relay.speech import LIFE
from traincast.relay.tree import fan_out_from_environment
from traincast.relay.zenoh import ROOT, ZenohEngines

__all__ = ["Service"]

_LOOK_EVERY = 0.25
_TRY_AGAIN = 1.0
_KEPT_SECONDS = 10.0
"""Seconds for which a channel is still carried after its learner has closed it."""

_MOST = 256
"""The most channels that are carried without being named: anybody could announce more."""

_CHANNEL = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]{0,127})@(0|[1-9]\d{0,4})")

Channel = tuple[str, int]


class _Carried:
    """A channel, and the thread that serves it."""

    def __init__(self, relay: Relay, stop: threading.Event) -> None:
        self.relay = relay
        self._stop, self._ended = stop, threading.Event()
        self._idle_since = time.monotonic()
        self.thread = threading.Thread(target=relay.run, args=(self._goes_on,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        self._ended.set()

    def idle(self) -> float:
        """Return for how many seconds no learner has lived, here or elsewhere, or may come back."""
        if self.relay.source.state != "absent" or self.relay.sink.link not in ("none", "learner closed"):
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since

    def _goes_on(self) -> bool:
        return not (self._stop.is_set() or self._ended.is_set())


class Service:
    """Carries all channels of this user, or those with these names, until it is told to end."""

    def __init__(
        self,
        network: Network,
        names: Collection[str] = (),
        *,
        key: bytes | None = None,
        lease: float = LEASE,
        say: Callable[[str], None] = print,
    ) -> None:
        """`say`: called with a sentence when the service starts or stops carrying a channel."""
        self._network, self._names, self._key, self._lease, self._say = network, names, key, lease, say
        self._carried: dict[Channel, _Carried] = {}
        self._heard: set[Channel] = set()
        self._again: dict[Channel, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._session = 0

    def begin(self) -> None:
        """Start to carry the channels that were named.

        Raises: ChannelBusyError if another relay of this node serves one of them.
        """
        for name in self._names:
            self._carry((name, 0))

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Serve while `goes_on()`, which is asked several times a second."""
        try:
            while goes_on():
                self._listen()
                for channel in self._wanted():
                    self._try(channel)
                self._leave_idle()
                self._stop.wait(_LOOK_EVERY)
        finally:
            self.end()

    def end(self) -> None:
        """Stop serving all channels."""
        self._stop.set()
        for carried in self._carried.values():
            carried.thread.join(3.0)
        self._network.close()

    def _wanted(self) -> set[Channel]:
        """Return the channels that should be carried, but are not yet."""
        here = {
            (channel["name"], channel["policy_id"])
            for channel in _core.list_channels()
            if channel["status"] == "live" and channel["link"] == "local"
        }
        with self._lock:
            heard, self._heard = self._heard, set()
        named = {channel for channel in here | heard if not self._names or channel[0] in self._names}
        named |= {(name, 0) for name in self._names}
        return named - self._carried.keys()

    def _try(self, channel: Channel) -> None:
        if time.monotonic() < self._again.get(channel, 0.0):
            return
        if len(self._carried) >= _MOST and not self._names:
            warn_once(
                ("relay carries too many", _MOST),
                f"no more than {_MOST} channels are carried: name the ones to carry, traincast relay NAME",
            )
            return
        try:
            self._carry(channel)
            self._again.pop(channel, None)
        except ChannelBusyError as error:  # the other relay may end, and then this one takes over
            warn_once(("relay busy", channel), f"{error}: this process does not carry it until that one ends")
            self._again[channel] = time.monotonic() + _TRY_AGAIN
        except (TraincastError, OSError) as error:
            warn_once(("relay cannot carry", channel, str(error)), f"{channel[0]}: {error}")
            self._again[channel] = time.monotonic() + _TRY_AGAIN

    def _carry(self, channel: Channel) -> None:
        name, policy_id = channel
        engines = ZenohEngines(self._network, f"{name}@{policy_id}")
        relay = Relay(
            name,
            policy_id,
            None,
            engines,
            key=self._key,
            lease=self._lease,
            address=self._network.own_address(),
            fan_out=fan_out_from_environment(),
        )
        self._carried[channel] = _Carried(relay, self._stop)
        self._say(f"carries {name}, policy {policy_id}")

    def _leave_idle(self) -> None:
        for channel, carried in list(self._carried.items()):
            ended = not carried.thread.is_alive()
            if ended or (channel[0] not in self._names and carried.idle() > _KEPT_SECONDS):
                carried.end()
                carried.thread.join()
                del self._carried[channel]
                self._say(f"leaves {channel[0]}, policy {channel[1]}")

    def _listen(self) -> None:
        """Subscribe to the learners' signs of life, which tell of channels on other nodes."""
        try:
            number, session = self._network.session()
        except EngineLost as error:
            warn_once(("relay without a router", self._network.via), f"{error}; it goes on trying")
            return
        if number != self._session:
            self._session = number
            session.declare_subscriber(
                f"{ROOT}/*/{LIFE}/*",
                zenoh.handlers.Callback(self._hear, indirect=False),
                allowed_origin=zenoh.Locality.REMOTE,
            )

    def _hear(self, sample: Any) -> None:
        channel = str(sample.key_expr).removeprefix(f"{ROOT}/").partition("/")[0]
        found = _CHANNEL.fullmatch(channel)
        if found is None:
            return
        try:
            message = unseal(sample.payload.to_bytes(), channel, self._key)
        except Malformed:
            return  # a relay that carries the channel counts these
        with self._lock:
            if message.life is Life.ALIVE and len(self._heard) < _MOST:
                self._heard.add((found[1], int(found[2])))
