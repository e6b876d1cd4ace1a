"""Many nodes: the same channel on all of them, over an engine that the training already has.

Each node runs one relay for a channel, a process of its own, elected by a lock. Where the learner runs it is
the source, an ordinary reader; elsewhere the sink, the writer of that node's file. No call of the network is
ever made in the learner's process. Guide: docs/nodes.md.
"""

from __future__ import annotations

from traincast.relay.join import Membership, join

__all__ = ["Membership", "join"]
