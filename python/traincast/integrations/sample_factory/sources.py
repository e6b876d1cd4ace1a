"""Where the information on a policy comes from, and what to say when there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from traincast import ChannelNotFoundError, TrainingInfoReader
from traincast._warnings import warn_once
from traincast.integrations.sample_factory.saved import info_file, load_training_info
from traincast.unwrapping import own_copy
from traincast.wrappers.missing import RESETS, SECONDS

__all__ = ["ChannelSource", "OnMissing", "Patience", "SavedSource", "Source"]

OnMissing = Literal["warn", "raise", "ignore"]


class Patience:
    """Counts the looks in vain at one source, and warns or raises when it is time."""

    def __init__(self, on_missing: OnMissing, source: str) -> None:
        self._on_missing = on_missing
        self._source = source
        self._looks = 0
        self._since = 0.0
        self._why = ""

    def missed(self, error: ChannelNotFoundError) -> None:
        """Note a look in vain. Warns after 100 of them or 5 seconds, once per process and source."""
        if self._on_missing == "raise":
            raise error
        now = time.monotonic()
        if self._looks == 0:
            self._since = now
        self._looks += 1
        self._why = str(error)
        if self._looks >= RESETS or now - self._since >= SECONDS:
            self.warn()

    def warn(self) -> None:
        """Warn if any look was in vain: at the latest when the env is closed."""
        if self._looks and self._on_missing == "warn":
            warn_once(("sample_factory", self._source), f'{self._why} (on_missing="ignore" is silent)')


class Source(Protocol):
    """Where the envs' information on one policy comes from.

    `info` is the newest dictionary, None before the first; nobody but the source may change it.
    """

    info: dict[str, Any] | None
    patience: Patience

    def poll(self) -> bool:
        """Take the newest dictionary; return whether it is another one than before."""
        ...

    def close(self) -> None:
        """Let go of the channel."""
        ...


class ChannelSource:
    """The channel of one policy of a running training; opened at the first poll.

    The learner's first report publishes the first snapshot, and in practice comes before the first env is
    made. `timeout` (seconds) covers the case that it does not: the first poll of the process waits.
    """

    def __init__(self, name: str, policy_id: int, *, timeout: float, on_missing: OnMissing) -> None:
        self.info: dict[str, Any] | None = None
        self._name = name
        self._policy_id = policy_id
        self._timeout = timeout
        self.patience = Patience(on_missing, f"{name}@{policy_id}")
        self._reader: TrainingInfoReader | None = None
        self._read: Callable[[], dict[Any, Any] | None] = self._attach

    def poll(self) -> bool:
        """Take the newest snapshot; return whether it is new."""
        info = self._read()
        if info is None:
            return False
        self.info = info
        return True

    def close(self) -> None:
        """Let go of the channel; another poll would open it again."""
        reader, self._reader, self._read = self._reader, None, self._attach
        if reader is not None:
            reader.close()

    def _attach(self) -> dict[Any, Any] | None:
        try:
            self._reader = TrainingInfoReader(self._name, self._policy_id, attach_timeout=self._timeout)
        except ChannelNotFoundError as error:
            self._timeout = 0.0  # one wait is enough to be sure; the next resets look again without one
            self.patience.missed(error)
            return None
        self._read = self._reader.read_if_changed
        return self._read()


class SavedSource:
    """What an evaluation tells its env: a given dictionary, or the one saved beside the checkpoints."""

    def __init__(
        self, cfg: Any, policy_id: int, given: Mapping[str, Any] | None, *, on_missing: OnMissing
    ) -> None:
        self.info: dict[str, Any] | None = None
        self._cfg = cfg
        self._policy_id = policy_id
        self._given = given
        self.patience = Patience(on_missing, f"saved information on policy {policy_id}")
        self._loaded = False

    def poll(self) -> bool:
        """Load at the first poll; there is nothing newer later."""
        if self._loaded and self.info is not None:
            return False
        if not self._loaded:
            self.info = self._load()
            self._loaded = True
        if self.info is None:
            self.patience.missed(
                ChannelNotFoundError(f"No training information for the env: {self._where()}")
            )
        return self.info is not None

    def close(self) -> None:
        """Nothing is held open."""

    def _load(self) -> dict[str, Any] | None:
        if self._given is not None:
            return own_copy(self._given)
        if self._cfg is None:
            return None
        return load_training_info(self._cfg, self._policy_id)

    def _where(self) -> str:
        if self._cfg is None:
            return "no training is running, and there is no configuration that says where one has saved it"
        path = os.path.relpath(info_file(self._cfg, self._policy_id))
        return f"no training is running, none has saved {path}, and wrap_env_func got no eval_info="
