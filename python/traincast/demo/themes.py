"""Colours of the demo's picture, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from traincast.demo.settings import BASELINE, CURRICULUM

__all__ = ["DARK", "DARK_INK", "LIGHT", "Theme"]

DARK_INK = "#24292f"
"""The colour of marks on the map of values, which looks the same on every page."""


@dataclass(frozen=True)
class Theme:
    """Colours that depend on the page around the picture."""

    page: str
    ink: str
    muted: str
    """The subtitle."""
    edge: str
    """The axes."""
    grid: str
    unknown: str
    """States that were seldom or never visited."""
    bars: str
    colours: Mapping[str, str]
    """The two arms, in colours that every kind of colour vision can distinguish."""

    @property
    def style(self) -> Any:
        """Settings for matplotlib's `rc_context`."""
        return {
            "font.size": 9,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.facecolor": "none",
            "axes.edgecolor": self.edge,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 8,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
        }


LIGHT = Theme(
    page="white",
    ink=DARK_INK,
    muted="#57606a",
    edge="#8c959f",
    grid="#d0d7de",
    unknown="#eaeef2",
    bars="#8fb8d8",
    colours={CURRICULUM: "#0072B2", BASELINE: "#D55E00"},  # Okabe and Ito's blue and vermilion
)

DARK = Theme(
    page="none",  # the page's own colour shows through
    ink="#e6edf3",
    muted="#9198a1",
    edge="#6e7681",
    grid="#3d444d",
    unknown="#21262d",
    bars="#38618c",
    colours={CURRICULUM: "#58a6ff", BASELINE: "#f0883e"},  # brighter, as in the other dark pictures
)
