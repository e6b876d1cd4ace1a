"""Nodes that are gone, and envs that outlive everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import relay_soak
from nodes import Cluster, until, why_no_namespaces
from test_nodes import alive, arrives, numbers, published, steps, two_nodes


@pytest.mark.cluster
def test_when_the_learners_node_is_gone_a_learner_on_another_one_goes_on(cluster: Cluster) -> None:
    store, gone, there = cluster.node(), cluster.node(), cluster.node()
    store.joined()
    learner = gone.learner()
    there.joined()
    env, other = there.env(), store.env()
    published(learner, 5)
    for process in (env, other):
        arrives(process, 5)
    before = numbers(env)
    gone.crash()
    for process in (env, other):
        alive(process, False)
        assert steps(process) == 5
    again = there.learner()
    alive(other)
    assert numbers(other)[0] > before[0]
    assert numbers(other)[1] == before[1] + 1
    published(again, 6)
    for process in (env, other):
        arrives(process, 6)
    gone.reboot_after_crash()
    gone.joined()
    arrives(gone.env(), 6)


@pytest.mark.cluster
def test_envs_outlive_learner_relays_and_store(cluster: Cluster) -> None:
    here, there, learner, env = two_nodes(cluster)
    published(learner, 5)
    arrives(env, 5)
    joined = there._processes[0]
    relays = [(node, node.status()["pid"]) for node in (here, there)]
    joined.kill()
    learner.run("member.leave()")
    here.kill(learner.value("os.getpid()"))
    for node, pid in relays:
        node.kill(pid)
    alive(env, False)
    assert steps(env) == 5
    assert not env.value("reader.changed()")
    again = here.learner()
    there.joined()
    published(again, 6)
    arrives(env, 6)
    alive(env)
    assert numbers(env)[1] == 2


def test_an_engine_that_hangs_is_invisible_to_the_learner(cluster: Cluster) -> None:
    here, _, learner, env = two_nodes(cluster)
    published(learner, 5)
    arrives(env, 5)
    relay = here.status()["pid"]
    here.signal(relay, "STOP")
    worst = learner.value(
        "max((lambda t: (writer.publish({'approx_total_training_steps': i}), time.perf_counter() - t)[1])"
        "(time.perf_counter()) for i in range(6, 20_000))"
    )
    alive(env, False)
    assert steps(env) == 5
    assert worst < 60, "a watchdog: it never waits"
    here.signal(relay, "CONT")
    arrives(env, 19_999)
    alive(env)


def test_messages_of_strangers_change_nothing_and_are_counted(cluster: Cluster) -> None:
    cluster.environment["TRAINCAST_RELAY_FAN_OUT"] = "0"  # so that both listen to the store
    here, there, learner, env = two_nodes(cluster)
    stranger = there.python({"TRAINCAST_KEY": "another one"})
    port = learner.value("member.configuration.port")
    stranger.run(
        "import random\n"
        "from traincast.relay.tcpstore import StoreEngines\n"
        "from traincast.relay.message import Life, Message, Stamp, seal\n"
        f"engine = StoreEngines({here.address!r}, {port}, {cluster.channel + '@0'!r}).connect()\n"
        "chance = random.Random(1)\n"
        "for topic in ('snapshot', 'life') * 20:\n"
        "    engine.put(topic, chance.randbytes(chance.randrange(500)))\n"
        "    dead = Message(Life.CLOSED, 1, 2**63, 2**63, 0, Stamp(2**60, 1, 1), 'here', 1)\n"
        f"    engine.put(topic, seal(dead, {cluster.channel + '@0'!r}, None))\n"
        f"    engine.put(topic, seal(dead, {cluster.channel + '@0'!r}, b'another one'))\n"
        "    time.sleep(0.02)\n"
    )
    until(lambda: there.status().get("dropped", 0) > 20)
    published(learner, 5)
    arrives(env, 5)
    alive(env)
    assert learner.value("writer.closed") is False


@pytest.mark.cluster
def test_a_node_that_was_cut_off_for_a_minute_is_fresh_again(cluster: Cluster) -> None:
    _, there, learner, env = two_nodes(cluster)
    there.cut()
    alive(env, False)
    learner.run("time.sleep(60)")
    published(learner, 7)
    there.mend()
    arrives(env, 7)
    alive(env)


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_sixteen_nodes_follow_and_what_they_count_adds_up(cluster: Cluster) -> None:
    learner = cluster.node().learner()
    learner.run(f"board = traincast.scores.Scoreboard({cluster.channel!r}, 1)")
    envs = []
    for _ in range(16):
        env = cluster.node().joined()
        env.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r}, attach_timeout=100)")
        env.run(f"scores = traincast.scores.ScoreWriter({cluster.channel!r})")
        envs.append(env)
    for wanted in range(2, 20):
        published(learner, wanted)
        for env in envs:
            arrives(env, wanted)
    for env in envs:
        until(lambda env=env: env.value("scores.record(0)"), "a node has no scoreboard")
        env.run("for _ in range(999): assert scores.record(0)")
    learner.run("total = lambda: int((board.collect(), board.totals()['episodes'][0])[1])")
    until(lambda: learner.value("total()") == 16_000, "not all of it arrives")
    learner.run("time.sleep(3)")
    assert learner.value("total()") == 16_000


@pytest.mark.cluster
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("via", ["tcpstore", "zenoh"])
def test_nodes_that_come_and_go_leave_nothing_behind(tmp_path: Path, via: str) -> None:
    """A minute of it; `make soak-relay` is half an hour."""
    if why := why_no_namespaces():
        pytest.skip(why)
    root = tmp_path / "channels"
    root.mkdir(mode=0o700)
    found = relay_soak.run(root, 60, via)
    assert found.guests > 5
    assert [verdict for verdict in found.verdicts if not verdict.flat] == []
