"""Half a minute of the soak; `make soak` runs half an hour of it."""

from __future__ import annotations

from pathlib import Path

from tests.soak import judging, running
from tests.soak.role import LEAKS


def test_nothing_grows_in_half_a_minute_of_load(traincast_dir: Path) -> None:
    found = running.run(traincast_dir, 30.0)
    print({name: value for name, value in found.items() if name != "series"})
    assert not judging.not_flat(found)
    assert found["files left"] == []
    # That there was something to see, on the slowest machine too.
    assert found["counts"]["publishes"] > 1000
    for what in ("channels opened", "writers killed", "readers killed", "readers spawned", "woken", "visits"):
        assert found["counts"][what] > 0


def test_deliberate_leaks_are_seen(traincast_dir: Path) -> None:
    """100 bytes a publish; and each second a descriptor, a file, and a reader of a channel that is closed."""
    found = running.run(traincast_dir, 24.0, LEAKS)
    seen = {verdict.series for verdict in judging.not_flat(found)}
    assert seen >= {
        "learner: own memory",
        "parent: descriptors",
        "worker: mappings of channels",
        "directory: files",
    }
    assert found["files left"]
