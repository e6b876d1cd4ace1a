"""Many nodes: the same channel on all of them, over an engine that the training already has.

Each node runs one relay for a channel, a process of its own, which a lock elects. On the learner's node the
relay is the source, an ordinary reader; elsewhere it is the sink, the writer of that node's file. Publishing
never makes a network call. Guide: docs/nodes.md.

- `join(run)` in every rank, under torchrun or SLURM
- `ray.start(run)` in the driver, after `ray.init`
- the command `traincast relay`, over Zenoh, where there is neither
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from traincast.relay.join import Membership, join

if TYPE_CHECKING:
    from traincast.relay import ray

__all__ = ["Membership", "join", "ray"]

__getattr__, _, _ = lazy_loader.attach(__name__, submodules=["ray"])


def __dir__() -> list[str]:
    return __all__
