"""When an env that gets no training information says so: as the wrappers of other frameworks do."""

from __future__ import annotations

import time
from typing import Literal

from traincast import ChannelNotFoundError
from traincast._warnings import warn_once
from traincast.wrappers.missing import RESETS, SECONDS

__all__ = ["OnMissing", "Patience"]

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
