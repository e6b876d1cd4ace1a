"""Scoreboards over Zenoh: each episode is counted once there, too."""

from __future__ import annotations

import pytest
from nodes import Cluster, until
from test_scores import added, exactly, keeps, recorder, stopped, totals
from test_zenoh import Relays

pytestmark = pytest.mark.cluster


def test_each_episode_counts_once_though_a_relay_is_killed(cluster: Cluster) -> None:
    relays = Relays(cluster)
    here, *others = [cluster.node() for _ in range(3)]
    try:
        learner = here.learner_alone()
        keeps(learner, cluster.channel)
        started = [relays.start(node, cluster.channel) for node in (here, *others)]
        envs = [recorder(node) for node in others]
        until(lambda: sum(totals(learner)) > 500)
        started[-1].signal("KILL")
        relays.start(others[-1], cluster.channel)
        seen = sum(totals(learner))
        until(lambda: sum(totals(learner)) > seen + 1000)
        exactly(learner, added(*map(stopped, envs)))
    finally:
        relays.close()
