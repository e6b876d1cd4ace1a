"""Scoreboards over nodes: whatever is killed, cut off or restarted, each episode is counted once."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nodes import Cluster, Node, until
from processes import Process
from test_nodes import arrives, published, two_nodes

from traincast._core import ScoreCounters

TASKS = 3

RECORDER = f"""
import random, threading
counted, stop = [1] + [0] * {TASKS - 1}, threading.Event()
def play():
    while not stop.is_set():
        task = random.randrange({TASKS})
        counted[task] += scores.record(task, success=True, episode_return=0.5, length=2)
        time.sleep(0.0005)
thread = threading.Thread(target=play)
thread.start()
"""


def recorder(node: Node, *, plays: bool = True) -> Process:
    """A process that counts episodes, and how many it has counted."""
    env = node.python()
    env.run(f"scores = traincast.scores.ScoreWriter({node.cluster.channel!r})")
    until(lambda: env.value("scores.record(0, success=True, episode_return=0.5, length=2)"), "no scoreboard")
    if plays:
        env.run(RECORDER)
    return env


def stopped(env: Process) -> list[int]:
    env.run("stop.set(); thread.join()")
    return env.value("counted")


def totals(learner: Process) -> list[int]:
    learner.run("board.collect()")
    return learner.value("board.totals()['episodes'].tolist()")


def in_the_file_of(node: Node) -> list[int]:
    """What the scoreboard of a node adds up to: also what killed processes have counted."""
    counters = ScoreCounters(node.cluster.channel, directory=node.directory)
    counters.collect()
    words = memoryview(counters.counted()).cast("q")
    return [words[6 * task] for task in range(TASKS)]


def added(*counts: list[int]) -> list[int]:
    return [sum(column) for column in zip(*counts, strict=True)]


def exactly(learner: Process, wanted: list[int]) -> None:
    """The learner has all of it, and a little later not more."""
    until(lambda: totals(learner) == wanted, f"{wanted}, and the learner has {totals(learner)}")
    time.sleep(3)  # all totals have been said again
    assert totals(learner) == wanted
    whole: dict[str, Any] = learner.value(
        "{field: board.totals()[field].tolist() for field in board.totals().dtype.names}"
    )
    assert whole["successes"] == wanted
    assert whole["return_sum"] == [count * 0.5 for count in wanted]
    assert whole["length_sum"] == [count * 2 for count in wanted]


def keeps(learner: Process, channel: str, state: object = None) -> None:
    learner.call("globals().__setitem__", "state", state)
    learner.run(f"board = traincast.scores.Scoreboard({channel!r}, {TASKS}, state=state)")


def killed_relay(node: Node) -> None:
    before = node.status()["pid"]
    node.kill(before)
    until(lambda: node.status().get("pid") not in (None, before), "no relay comes back")


def test_each_episode_counts_once_whatever_is_killed_or_cut_off(cluster: Cluster) -> None:
    here, there, learner, env = two_nodes(cluster)
    keeps(learner, cluster.channel)
    local, killed, lasting = recorder(here), recorder(there), recorder(there)
    pid = killed.value("os.getpid()")
    until(lambda: sum(totals(learner)) > 500)

    there.kill(pid)  # in the middle of counting
    idle = recorder(there, plays=False)
    there.kill(idle.value("os.getpid()"))
    killed_relay(there)
    killed_relay(here)
    seen = sum(totals(learner))
    until(lambda: sum(totals(learner)) > seen + 500)

    # The learner goes on from a checkpoint; what it has collected after that is lost with it.
    state = learner.value("board.state_dict()")
    seen = sum(totals(learner))
    until(lambda: sum(totals(learner)) > seen + 500)
    here.kill(learner.value("os.getpid()"))
    time.sleep(1)
    learner = here.learner()
    keeps(learner, cluster.channel, state)
    seen = sum(totals(learner))
    assert seen > sum(row[0] for row in state["totals"])

    there.cut()
    time.sleep(3)
    another = recorder(there)
    there.mend()
    published(learner, 9)
    arrives(env, 9)
    until(lambda: sum(totals(learner)) > seen + 500)

    mine = stopped(local)
    for process in (lasting, another):
        stopped(process)
    exactly(learner, added(mine, in_the_file_of(there)))

    learner.run("board.close()")
    until(lambda: not (there.directory / f"{cluster.channel}@0.scores").exists())
    assert not records(lasting, 0)


def records(env: Process, task: int) -> bool:
    """Whether an episode of a task is counted now."""
    try:
        return env.value(f"scores.record({task}, success=True, episode_return=0.5, length=2)")
    except ValueError:
        return False  # the scoreboard before had fewer tasks


@pytest.mark.cluster
def test_what_several_nodes_count_adds_up_and_a_new_scoreboard_begins_at_zero(cluster: Cluster) -> None:
    here = cluster.node()
    learner = here.learner()
    keeps(learner, cluster.channel)
    nodes = [cluster.node() for _ in range(3)]
    for node in nodes:
        node.joined()
    envs = [recorder(node) for node in nodes]
    until(lambda: sum(totals(learner)) > 1000)
    exactly(learner, added(*map(stopped, envs)))

    learner.run(f"board.close(); board = traincast.scores.Scoreboard({cluster.channel!r}, {TASKS + 1})")
    for env in envs:
        until(lambda env=env: records(env, TASKS), "the new scoreboard does not come")
    exactly(learner, [0] * TASKS + [len(envs)])
