"""The writer of a node without the learner: messages in any order, from any sender, and none at all."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import traincast
from traincast.relay.lines import Line
from traincast.relay.message import Gate, Life, Message, seal, wire_header
from traincast.relay.scores import Scores
from traincast.relay.sink import Sink
from traincast.relay.tcpstore import StoreEngines


class Learner:
    """A learner on another node, and what its source says."""

    def __init__(self, directory: Path, node: int = 1, **options: str) -> None:
        self.writer = traincast.TrainingInfoWriter("run", directory=directory, **options)  # type: ignore[arg-type]
        self.node, self.sender, self.numbers = node, time.time_ns(), itertools.count(1)
        self.publish(0)

    def publish(self, steps: int) -> Message:
        self.writer.publish({"approx_total_training_steps": steps})
        self.last = self.says(snapshot=True)
        return self.last

    def says(self, life: Life = Life.ALIVE, *, snapshot: bool = False) -> Message:
        wire = self.writer.read_wire()
        assert wire is not None
        header = wire_header(wire)
        return Message(
            life,
            self.node,
            self.sender,
            next(self.numbers),
            time.monotonic_ns(),
            header.stamp,
            header.host,
            header.pid,
            wire if snapshot else b"",
        )


@pytest.fixture
def far(traincast_dir: Path) -> Path:
    return traincast_dir / "far"


@pytest.fixture
def sink(traincast_dir: Path) -> Iterator[Sink]:
    sink = Sink(Gate("run@0", None), "run", 0, str(traincast_dir / "here"), lease=0.3)
    yield sink
    sink.end()


@pytest.fixture
def learner(far: Path) -> Iterator[Learner]:
    learner = Learner(far)
    yield learner
    learner.writer.close()


def give(sink: Sink, *messages: Message) -> None:
    """As a relay does: what follows the last snapshot is taken without being looked into."""
    for message in messages:
        if not (message.wire and sink.receive_next(seal(message, "run@0", None))):
            sink.receive(message)


def reader(sink: Sink) -> traincast.TrainingInfoReader:
    return traincast.TrainingInfoReader("run", directory=sink.directory)


def steps(sink: Sink) -> int:
    return reader(sink).read()["approx_total_training_steps"]


def test_snapshots_and_signs_of_life_make_an_ordinary_channel(sink: Sink, learner: Learner) -> None:
    give(sink, learner.publish(7), learner.says())
    env = reader(sink)
    assert env.read()["approx_total_training_steps"] == 7
    assert (env.version, env.epoch) == (learner.writer.version, learner.writer.epoch)
    assert env.writer_alive
    assert not env.closed
    assert sink.link == "live"
    assert 0 <= env.age < 60


def test_a_snapshot_without_a_sign_of_life_waits_for_one(sink: Sink, learner: Learner) -> None:
    """It may have lain in the engine since its learner closed the channel."""
    give(sink, learner.publish(7))
    with pytest.raises(traincast.ChannelNotFoundError):
        reader(sink)
    give(sink, learner.says(Life.CLOSED))
    with pytest.raises(traincast.ChannelNotFoundError):
        reader(sink)


def test_a_snapshot_whose_source_says_no_more_is_published_and_nobody_lives(
    sink: Sink, learner: Learner
) -> None:
    give(sink, learner.publish(7))
    for _ in range(20):
        time.sleep(0.05)
        sink.tick()
    assert steps(sink) == 7
    assert not reader(sink).writer_alive
    assert sink.link == "link lost"


def test_nothing_older_comes_after_something_newer_in_any_order(sink: Sink, learner: Learner) -> None:
    chance = random.Random(1)
    messages = [learner.says() if chance.random() < 0.2 else learner.publish(i) for i in range(2, 200)]
    give(sink, learner.says())
    last = 0
    late = sorted(range(len(messages)), key=lambda i: i + chance.uniform(0, 8))
    for i in late:
        give(sink, messages[i])
        if not (Path(sink.directory or "") / "run@0").exists():
            continue
        now = steps(sink)
        assert now >= last
        last = now
    assert steps(sink) == learner.writer.state_dict()["training_info"]["approx_total_training_steps"]
    assert reader(sink).writer_alive


def test_the_writers_lock_is_held_while_the_learner_is_heard_of_and_no_longer(
    sink: Sink, learner: Learner
) -> None:
    give(sink, learner.says(), learner.publish(7))
    env = reader(sink)
    assert env.read()
    with pytest.raises(traincast.ChannelBusyError):
        traincast.TrainingInfoWriter("run", directory=sink.directory)
    give(sink, learner.says(Life.LOST))
    assert (env.writer_alive, env.closed, sink.link) == (False, False, "learner lost")
    sink.tick()
    assert not sink.writing

    # It is heard of again: alive, and no news for the env.
    give(sink, learner.says())
    assert env.writer_alive
    assert env.read_if_changed() is None

    time.sleep(0.4)
    sink.tick()
    assert (env.writer_alive, env.closed, sink.link) == (False, False, "link lost")
    give(sink, learner.publish(8))
    assert (env.writer_alive, env.read()["approx_total_training_steps"]) == (True, 8)

    give(sink, learner.says(Life.CLOSED))
    assert (env.writer_alive, env.closed, sink.link) == (False, True, "learner closed")
    with pytest.raises(traincast.ChannelNotFoundError):
        reader(sink)


def test_the_last_snapshot_of_a_learner_counts_also_if_the_news_of_its_end_was_faster(
    sink: Sink, learner: Learner
) -> None:
    give(sink, learner.says(), learner.publish(7))
    last = learner.publish(8)
    give(sink, learner.says(Life.LOST), last)
    assert steps(sink) == 8
    assert not reader(sink).writer_alive
    assert sink.link == "learner lost"


def test_a_snapshot_that_overtakes_a_sign_of_life_does_not_hide_the_scoreboard(
    sink: Sink, learner: Learner
) -> None:
    sign = dataclasses.replace(learner.says(), board=7, tasks=3)
    give(sink, learner.publish(7), sign)
    assert sink.living is not None
    assert (sink.living.board, sink.living.tasks) == (7, 3)
    give(sink, dataclasses.replace(learner.says(), board=8, tasks=4), sign)
    assert (sink.living.board, sink.living.tasks) == (8, 4)
    give(sink, learner.says(Life.LOST))
    assert sink.living is None


def test_old_signs_of_life_revive_nobody(sink: Sink, learner: Learner) -> None:
    old = learner.says()
    give(sink, learner.says(), learner.publish(7), learner.says(Life.LOST), old)
    assert not reader(sink).writer_alive


def test_a_learner_of_this_node_takes_over_what_is_left(sink: Sink, learner: Learner) -> None:
    give(sink, learner.says(), learner.publish(7), learner.says(Life.LOST))
    with traincast.TrainingInfoWriter("run", directory=sink.directory) as here:
        here.publish({"approx_total_training_steps": 8})
        assert here.version > learner.writer.version
        assert here.epoch == learner.writer.epoch + 1
        give(sink, learner.says(), learner.publish(9))  # it lives after all: this node's is not disturbed
        assert steps(sink) == 8


def test_of_two_learners_the_later_one_is_followed(sink: Sink, far: Path, learner: Learner) -> None:
    first = [learner.says(), learner.publish(7)]
    give(sink, *first)
    later = Learner(far.parent / "farther", node=2)
    give(sink, later.publish(1), later.says())
    assert steps(sink) == 1
    give(sink, learner.publish(8), learner.says())
    assert steps(sink) == 1
    assert sink.counts.outdated == 2
    later.writer.close()


def test_a_channel_that_was_closed_begins_anew(sink: Sink, far: Path, learner: Learner) -> None:
    give(sink, learner.says(), learner.publish(7))
    env = reader(sink)
    env.read()
    give(sink, learner.says(Life.CLOSED))
    learner.writer.close()
    again = Learner(far)
    give(sink, again.publish(1), again.says())
    assert env.read()["approx_total_training_steps"] == 1
    assert env.version == again.writer.version
    assert env.writer_alive
    again.writer.close()


def test_the_file_of_a_refused_learner_is_replaced_though_its_numbers_are_later(
    sink: Sink, learner: Learner
) -> None:
    first = [learner.says(), learner.publish(7)]
    refused = Learner(Path(sink.directory or ""))
    refused.publish(100)
    env = reader(sink)
    assert env.read()["approx_total_training_steps"] == 100
    refused.writer.leave("link lost")  # as after its loss
    give(sink, *first)
    assert steps(sink) == 100
    sink.replaces = True
    give(sink, learner.publish(8))
    assert env.read()["approx_total_training_steps"] == 8


def test_snapshots_that_are_damaged_or_do_not_fit_are_counted(sink: Sink, learner: Learner) -> None:
    give(sink, learner.says(), learner.publish(7))
    message = learner.publish(8)
    with pytest.warns(traincast.TraincastWarning, match="dropped"):
        give(sink, dataclasses.replace(message, wire=message.wire[:-8] + b"xxxxxxxx"))
    assert sink.gate.dropped.total() == 1
    assert steps(sink) == 7
    give(sink, learner.publish(9))
    assert steps(sink) == 9


def test_a_sink_that_is_killed_leaves_what_the_next_one_goes_on_with(sink: Sink, learner: Learner) -> None:
    give(sink, learner.says(), learner.publish(7))
    env = reader(sink)
    env.read()
    sink.end()
    assert not env.writer_alive
    successor = Sink(sink.gate, "run", 0, sink.directory)
    give(successor, learner.says(), learner.says(snapshot=True))
    assert env.writer_alive
    assert env.read_if_changed() is None
    give(successor, learner.publish(8))
    assert steps(successor) == 8
    successor.end()


def test_snapshots_that_follow_one_another_are_counted_and_keep_their_learner_alive(
    sink: Sink, learner: Learner
) -> None:
    give(sink, learner.says(), learner.publish(1))
    env = reader(sink)
    followed = 0
    for number in range(2, 12):  # longer than the lease
        time.sleep(0.05)
        if number == 5:
            learner.publish(0)  # overtaken
        message = learner.publish(number)
        followed += sink.receive_next(seal(message, "run@0", None))
        assert env.read()["approx_total_training_steps"] == number
        assert env.writer_alive
        assert env.age < 0.3
        if number % 3 == 0:
            sink.tick()
    sink.tick()
    assert followed == 10
    counts = sink.counts
    assert (counts.published, counts.coalesced, counts.outdated) == (11, 1, 0)
    assert sink.link == "live"
    assert counts.lag is not None
    assert counts.lag < 0.3
    time.sleep(0.4)
    sink.tick()
    assert sink.link == "link lost"
    assert not env.writer_alive
    assert not sink.receive_next(seal(learner.publish(12), "run@0", None))


def test_a_later_learner_ends_a_succession(sink: Sink, learner: Learner, far: Path) -> None:
    give(sink, learner.says(), learner.publish(1), learner.publish(2))
    learner.writer.close()
    later = Learner(far, node=2)
    give(sink, later.says(), later.publish(10))
    assert not sink.receive_next(seal(dataclasses.replace(learner.last, number=99), "run@0", None))
    assert steps(sink) == 10
    assert sink.receive_next(seal(later.publish(11), "run@0", None))
    assert steps(sink) == 11
    later.writer.close()


@pytest.mark.parametrize("tasks", [2**20 + 1, 2**64 - 1])
def test_a_scoreboard_that_cannot_be_is_told_once_and_not_kept(
    sink: Sink, learner: Learner, tasks: int
) -> None:
    """The numbers of a message are anybody's."""
    give(sink, dataclasses.replace(learner.says(), board=7, tasks=tasks), learner.publish(1))
    engines = StoreEngines("127.0.0.1", 1, "run@0")
    scores = Scores(sink.gate, "run", 0, sink.directory, 9, Line(engines), sink)
    with pytest.warns(traincast.TraincastWarning, match="1 to 1048576 tasks, not"):
        scores._look()
    scores._look()
    assert scores._part is None
    assert steps(sink) == 1
