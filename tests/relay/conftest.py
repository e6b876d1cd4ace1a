"""Nodes with directories, networks and processes of their own, where this machine lets us make them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from nodes import Cluster, why_no_namespaces  # noqa: E402 - the path comes first


@pytest.fixture
def cluster(traincast_dir: Path, channel_name: str) -> Iterator[Cluster]:
    """Nodes that can be cut off."""
    if why := why_no_namespaces():
        pytest.skip(why)
    with Cluster(traincast_dir, channel_name) as cluster:
        yield cluster
