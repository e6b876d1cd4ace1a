"""The sources from which an env gets the newest information on each policy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from traincast import ChannelNotFoundError, TrainingInfoReader
from traincast.integrations.sample_factory.channel import channel_of
from traincast.integrations.sample_factory.saved import info_file, load_training_info
from traincast.wrappers import missing
from traincast.wrappers.channel import Channel
from traincast.wrappers.feed import Feed

__all__ = ["Feeds", "OnMissing"]

OnMissing = Literal["warn", "raise", "ignore"]


@dataclass(frozen=True)
class _NothingSaved(Channel):
    """Stands in for a channel where no learner runs and none has saved anything."""

    why_nameless: str = ""

    @property
    def actual_name(self) -> None:
        """None, whatever `TRAINCAST_NAME` says."""

    def open(self) -> TrainingInfoReader:
        raise ChannelNotFoundError(f"No training information for the env: {self.why_nameless}")

    def __str__(self) -> str:
        return "a training"


class Feeds:
    """A feed for each policy that acts in an env, made when it is first needed.

    While a learner runs, a feed reads the policy's channel. Otherwise it has `eval_info`, or what the last
    run of the experiment has saved.

    Attributes:
        online: whether a learner runs.
        newest: the newest dictionary on each policy, which nobody changes.
    """

    def __init__(
        self,
        cfg: Any,
        *,
        eval_info: Mapping[str, Any] | None,
        on_missing: OnMissing,
        attach_timeout: float,
    ) -> None:
        self.newest: dict[int, dict[str, Any]] = {}
        self._feeds: dict[int, Feed] = {}
        self._cfg = cfg
        self._name = channel_of(cfg)
        self.online = self._name is not None
        self._eval_info = eval_info
        self._on_missing = on_missing
        self._attach_timeout = attach_timeout

    def poll(self, policy_id: int, *, reset: bool) -> bool:
        """Take the newest information on a policy; tell if it is new. `reset`: the env is about to reset."""
        feed = self[policy_id]
        new = feed.look_in_step() if feed.looking and not reset else feed.poll()
        if new is not None:
            self.newest[policy_id] = new
        return new is not None

    def __getitem__(self, policy_id: int) -> Feed:
        """The feed of a policy."""
        feed = self._feeds.get(policy_id)
        if feed is None:
            feed = self._published(policy_id) if self.online else self._saved(policy_id)
            self._feeds[policy_id] = feed
        return feed

    def note_arrival(self) -> None:
        """Note that the env has its information from elsewhere, so that nothing is missing."""
        for feed in self._feeds.values():
            missing.note_arrival(feed.channel)

    def give_up(self) -> None:
        """Warn now, rather than when the process ends, about what has never arrived."""
        for feed in self._feeds.values():
            if feed.waiting:
                missing.watch(feed.channel).warn("the env is closed, and ")

    def close(self) -> None:
        """Detach from the channels; another poll would open them again."""
        for feed in self._feeds.values():
            feed.close()

    def _published(self, policy_id: int) -> Feed:
        assert self._name is not None
        # The learner's first report publishes the first snapshot, in practice before the first env is made.
        # In serial mode the learner runs in this process, and could not publish while this waits.
        if not self._cfg.serial_mode:
            with suppress(ChannelNotFoundError):
                TrainingInfoReader(self._name, policy_id, attach_timeout=self._attach_timeout).close()
        return self._feed(Channel(self._name, policy_id))

    def _saved(self, policy_id: int) -> Feed:
        info = self._eval_info
        if info is None and self._cfg is not None:
            info = load_training_info(self._cfg, policy_id)
        if info is not None:
            return self._feed(Channel(None, policy_id), frozen=info)
        nothing = _NothingSaved(None, policy_id, why_nameless=self._why(policy_id))
        if self._on_missing == "raise":
            nothing.open()
        return self._feed(nothing)

    def _why(self, policy_id: int) -> str:
        if self._cfg is None:
            return "no training is running, and no configuration says where one has saved it."
        path = os.path.relpath(info_file(self._cfg, policy_id))
        return f"no training is running, none has saved {path}, and wrap_env_func got no eval_info=."

    def _feed(self, channel: Channel, frozen: bool | Mapping[str, Any] = False) -> Feed:
        return Feed(
            channel,
            on_missing=self._on_missing,
            attach_timeout=0.0,
            leftover="use",  # the name belongs to one learner alone
            on_undelivered="ignore",  # some envs take only a reward shaping
            copy_arrays=False,
            frozen=frozen,
        )
