"""Relays of a job under a launcher, on nodes that are cut off and killed: what the envs there see."""

from __future__ import annotations

import time
from functools import partial

import pytest
from nodes import Cluster, Node, until
from processes import Process

import traincast


def published(learner: Process, steps: int) -> int:
    return learner.call("writer.publish", {"approx_total_training_steps": steps})


def steps(env: Process) -> int:
    return env.value("reader.read()['approx_total_training_steps']")


def arrives(env: Process, wanted: int) -> float:
    return until(lambda: steps(env) == wanted, f"{wanted} does not arrive")


def alive(env: Process, wanted: bool = True) -> float:
    return until(lambda: env.value("reader.writer_alive") is wanted, f"writer_alive does not become {wanted}")


def numbers(env: Process) -> tuple[int, int]:
    return env.value("(reader.read() and reader.version, reader.epoch)")


def two_nodes(cluster: Cluster) -> tuple[Node, Node, Process, Process]:
    """The learner's node, another one, and an env on each."""
    here, there = cluster.node(), cluster.node()
    learner = here.learner()
    there.joined()
    return here, there, learner, there.env()


def test_nodes_receive_from_the_learners_node_itself_also_after_its_relay_was_killed(
    cluster: Cluster,
) -> None:
    here, there, learner, env = two_nodes(cluster)

    def direct() -> bool:
        """Whether the other node has a line to the relay that is here now."""
        report = here.reports().get(there.status().get("node"), {})
        return report.get("direct") is True and here.status().get("children") == 1

    until(direct)
    assert there.status()["parent"][1] == here.status()["node"]
    for wanted in range(2, 400):  # more than a minute of signs of life
        version = published(learner, wanted)
        arrives(env, wanted)
        assert numbers(env) == (version, 1)
    killed = here.status()["pid"]
    here.kill(killed)
    published(learner, 1000)
    arrives(env, 1000)
    until(lambda: here.status().get("pid", killed) != killed)
    until(direct)
    published(learner, 1001)
    arrives(env, 1001)
    alive(env)


@pytest.mark.cluster
def test_behind_a_firewall_nodes_go_on_receiving_from_the_store(cluster: Cluster) -> None:
    here, there = cluster.node(), cluster.node()
    here.shut_free_ports()
    learner = here.learner()
    there.joined()
    env = there.env()
    alive(env)
    wanted = 1
    # So long that it has tried its parent a second time, and no lease has ended meanwhile.
    while there.status()["state"] != "live" or there.status()["since"] < 13:
        wanted += 1
        published(learner, wanted)
        arrives(env, wanted)
    assert here.status()["serves"] is not None, "it could have received from there"
    assert there.status()["direct"] is False


def test_what_is_published_on_one_node_is_read_on_the_others_under_its_numbers(cluster: Cluster) -> None:
    here, there, learner, env = two_nodes(cluster)
    for wanted in range(2, 50):
        version = published(learner, wanted)
        arrives(env, wanted)
        assert numbers(env) == (version, 1)
    assert env.value("reader.writer_alive and not reader.closed")
    assert 0 <= env.value("reader.age") < 60
    late = cluster.node()
    late.joined()
    assert steps(late.env()) == wanted
    until(lambda: (here.status().get("role"), there.status().get("role")) == ("source", "sink"))
    until(lambda: (there.status().get("origin") or [0, 0])[1] == learner.value("os.getpid()"))
    until(lambda: here.reports().keys() == {there.status()["node"], late.status()["node"]})
    until(lambda: here.status()["children"] == 2)
    report = here.reports()[there.status()["node"]]
    assert (report["state"], report["parent"][1]) == ("live", here.status()["node"])
    learner.run("writer.close()")
    until(lambda: env.value("reader.closed and not reader.writer_alive"))
    until(lambda: not (there.directory / f"{cluster.channel}@0").exists())
    assert steps(env) == wanted


def test_a_learner_that_is_killed_and_starts_again_here_or_there_goes_on(cluster: Cluster) -> None:
    here, there, learner, env = two_nodes(cluster)
    pid = here.status()["pid"]
    version = published(learner, 2)
    arrives(env, 2)
    here.kill(learner.value("os.getpid()"))
    alive(env, False)
    until(lambda: there.status().get("state") == "learner lost")
    assert steps(env) == 2
    assert not env.value("reader.closed")

    again = here.learner()
    alive(env)
    assert again.value("writer.version") > version
    until(lambda: numbers(env) == (again.value("writer.version"), 2))
    assert here.status()["pid"] == pid, "the relay outlives the learner"

    here.kill(again.value("os.getpid()"))
    alive(env, False)
    moved = there.learner()
    back = here.env()
    alive(back)
    wanted = moved.value("(writer.version, writer.epoch)")
    until(lambda: numbers(back) == wanted)
    assert wanted[1] == 3
    published(moved, 7)
    arrives(back, 7)
    until(lambda: (here.status().get("role"), there.status().get("role")) == ("sink", "source"))


def test_envs_go_on_while_a_relay_is_killed_and_service_comes_back(cluster: Cluster) -> None:
    here, there, learner, env = two_nodes(cluster)
    for node in (there, here):  # here is the store's node, too
        before = node.status()["pid"]
        parent = learner if node is here else env
        parent = partial(parent.call, "lambda pid: open(f'/proc/{pid}/stat').read().split()[3]")
        supervisor = parent(before)
        node.kill(before)
        published(learner, before)
        assert steps(env) > 0
        arrives(env, before)
        alive(env)
        until(lambda node=node, before=before: node.status().get("pid") not in (None, before))
        assert parent(node.status()["pid"]) == supervisor, "nothing had to be imported again"


@pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=pytest.mark.cluster)])
def test_a_node_that_was_cut_off_is_fresh_again(cluster: Cluster, seconds: int) -> None:
    _, there, learner, env = two_nodes(cluster)
    published(learner, 2)
    arrives(env, 2)
    there.cut()
    start = time.monotonic()
    published(learner, 3)
    if seconds > 2:
        alive(env, False)
        until(lambda: there.status().get("state") == "link lost")
    time.sleep(max(0, start + seconds - time.monotonic()))
    published(learner, 4)
    assert steps(env) == 2
    there.mend()
    arrives(env, 4)
    alive(env)


def test_a_second_learner_is_told_where_the_first_one_is(cluster: Cluster) -> None:
    _, there, learner, env = two_nodes(cluster)
    first = learner.value("os.getpid()")
    second = there.python()
    with pytest.raises(traincast.ChannelBusyError, match=f"process {first} on "):
        second.run(f"traincast.TrainingInfoWriter({cluster.channel!r})")
    # Where no relay runs yet it has the channel for a moment, and then loses it.
    other = cluster.node().python()
    other.run(f"run = traincast.Run({cluster.channel!r}, unique=False, start=99)")
    with pytest.raises(traincast.ChannelBusyError, match=f"process {first} on "):
        other.run("traincast.relay.join(run, job=1)")
    with pytest.raises(traincast.ChannelLostError, match=f"process {first} on "):
        other.run("while True: run.publish(100); time.sleep(0.01)")
    published(learner, 5)
    other.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r})")
    arrives(other, 5)
    arrives(env, 5)


def test_of_two_sources_after_a_cut_the_higher_term_wins_everywhere(cluster: Cluster) -> None:
    _, there, learner, env = two_nodes(cluster)
    third = cluster.node()
    third.joined()
    rival = the_higher_term_wins_after_a_cut(cluster, there, learner, env, third.env())
    rival.run("writer.update(approx_total_training_steps=52)")
    arrives(env, 52)


def the_higher_term_wins_after_a_cut(
    cluster: Cluster, there: Node, learner: Process, env: Process, watcher: Process
) -> Process:
    """Cut off `env`'s node, and have a learner begin there; returns that one."""
    there.cut()
    alive(env, False)
    rival = there.learner_alone()
    published(rival, 50)
    published(learner, 9)
    arrives(watcher, 9)
    there.mend()
    arrives(watcher, 50)
    with pytest.raises(traincast.ChannelLostError, match=f"process {rival.value('os.getpid()')} on "):
        learner.run("while True: writer.update(approx_total_training_steps=10); time.sleep(0.01)")
    learner.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r})")
    published(rival, 51)
    for process in (learner, watcher):
        arrives(process, 51)
    return rival


def test_a_node_has_one_relay_and_it_ends_with_its_job(cluster: Cluster) -> None:
    here = cluster.node()
    learner = here.learner()
    here.joined()
    first = here.status()["pid"]
    assert learner.value("member.status()['pid']") == first
    job = here.python()
    third = here.python()
    third.run(f"member = traincast.relay.join({cluster.channel!r}, 7, job={job.value('os.getpid()')})")
    relay = third.value("member.status()['pid']")
    third.run("member.leave()")
    here.kill(job.value("os.getpid()"))
    until(lambda: third.value("member.status()") is None)
    third.run(
        f"assert not os.path.exists('/proc/{relay}/cmdline') or not open('/proc/{relay}/cmdline').read()"
    )
    assert here.status()["pid"] == first
