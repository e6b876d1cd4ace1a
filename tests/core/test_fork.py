"""Processes made by fork, spawn and forkserver; what a forked child may do; who takes over from the dead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast
from traincast import _core

# Forks happen in processes with one thread of their own: this one has a watchdog's thread.


def writer_in(process: Process, name: str, *snapshots: object) -> None:
    process.run(f"writer = traincast.TrainingInfoWriter({name!r})")
    for snapshot in snapshots:
        process.call("writer.publish", snapshot)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_reader_can_be_handed_to_workers(channel_name: str, method: str, tmp_path: Path) -> None:
    """As an argument, the way in which env factories hand it over."""
    (tmp_path / "worker.py").write_text(
        "def follow(reader, answers):\n"
        "    answers.put((reader['i'], reader.version))\n"
        "    while reader['i'] < 100:\n"
        "        reader.wait()\n"
        "    answers.put((reader['i'], reader.version))\n"
    )
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(i=1))
        other.run(f"""
import multiprocessing, sys
sys.path.insert(0, {str(tmp_path)!r})
from worker import follow
context = multiprocessing.get_context({method!r})
reader = traincast.TrainingInfoReader({channel_name!r})
reader.read()
answers = context.Queue()
workers = [context.Process(target=follow, args=(reader, answers)) for _ in range(3)]
for worker in workers: worker.start()
first = [answers.get() for _ in workers]
""")
        assert other.value("first") == [(1, 1)] * 3
        for i in range(2, 101):
            writer.publish(info(i=i))
        other.run("last = [answers.get() for _ in workers]\nfor worker in workers: worker.join()")
        assert other.value("last") == [(100, 100)] * 3
        assert other.value("[worker.exitcode for worker in workers]") == [0] * 3
        other.run("answers.close(); answers.join_thread()")


def test_a_forked_child_can_use_an_inherited_reader(channel_name: str) -> None:
    """Before and after its first read; parent and child do not disturb each other."""
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(i=1))
        other.run(f"fresh, used = (traincast.TrainingInfoReader({channel_name!r}) for _ in range(2))")
        other.run("held = used.read()")
        writer.publish(info(i=2))
        look = "lambda: (fresh['i'], held['i'], used['i'], used.version, used.writer_alive, used.closed)"
        assert other.value(f"forked({look})") == (2, 1, 2, 2, True, False)
        assert other.value("(used.version, held['i'], used['i'], fresh['i'])") == (1, 1, 2, 2)
        writer.publish(info(i=3, a=bytes(10**6)))  # to a bigger file
        assert other.value("forked(lambda: (fresh['i'], used['i']))") == (3, 3)
        assert other.value("forked(lambda: forked(lambda: (fresh['i'], used['i'])))") == (3, 3)
        assert other.value("forked(lambda: (used.close(), fresh['i'])[1])") == 3
        assert other.value("(fresh['i'], used['i'])") == (3, 3)


def test_a_forked_child_of_a_writer_may_read_but_not_publish(channel_name: str) -> None:
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        sentence = (
            f'^this writer of channel "{channel_name}" \\(policy 0\\) belongs to the process that made it; '
            "a forked child may read the channel, or write another one of its own$"
        )
        for use in (
            "writer.publish({'approx_total_training_steps': 0})",
            "writer.update(i=2)",
            "writer.update()",
            "writer.load_state_dict(dict(version=9, epoch=9, training_info=None))",
        ):
            for expected in (traincast.ForkedWriterError, RuntimeError):
                with pytest.raises(expected, match=sentence):
                    other.value(f"forked(lambda: {use})")
                with pytest.raises(expected, match=sentence):
                    other.value(f"forked(lambda: forked(lambda: {use}))")
        name = repr(channel_name)
        assert other.value(f"forked(lambda: traincast.TrainingInfoReader({name})['i'])") == 1
        assert other.value(f"forked(lambda: traincast.TrainingInfoReader({name}).writer_alive)")
        assert other.value("forked(lambda: (writer.version, writer.epoch, writer.name, writer.closed))") == (
            1,
            1,
            channel_name,
            False,
        )
        # The parent is not disturbed.
        assert other.call("writer.publish", info(i=2)) == 2
        assert traincast.TrainingInfoReader(channel_name)["i"] == 2


def test_a_forked_child_cannot_close_or_take_the_parents_channel(
    channel_name: str, traincast_dir: Path
) -> None:
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        reader = traincast.TrainingInfoReader(channel_name)
        files = sorted(traincast_dir.iterdir())
        other.run("def let_go():\n    global writer\n    del writer")
        other.run("def leave_context():\n    with writer: pass")
        for use in ("writer.close()", "leave_context()", "let_go()"):
            other.value(f"forked(lambda: {use})")
            assert not reader.closed
            assert reader.writer_alive
            assert sorted(traincast_dir.iterdir()) == files
        with pytest.raises(traincast.ChannelBusyError, match=f"has a live writer: process {other.pid};"):
            other.value(f"forked(lambda: traincast.TrainingInfoWriter({channel_name!r}))")
        with pytest.raises(traincast.ChannelBusyError):  # looking has not dropped the parent's lock
            traincast.TrainingInfoWriter(channel_name)
        other.run("list(map(lambda _: traincast._core.list_channels(), range(3)))")
        with pytest.raises(traincast.ChannelBusyError):
            traincast.TrainingInfoWriter(channel_name)
        assert other.call("writer.publish", info(i=2)) == 2
        assert reader["i"] == 2


def test_a_forked_child_may_write_a_channel_of_its_own(channel_name: str) -> None:
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        other.run(f"""
def of_its_own():
    with traincast.TrainingInfoWriter({channel_name + "-child"!r}) as mine:
        mine.publish({info()!r} | dict(i='of the child'))
        reader = traincast.TrainingInfoReader({channel_name + "-child"!r})
        return reader['i'], reader.writer_alive, reader.version
""")
        assert other.value("forked(of_its_own)") == ("of the child", True, 1)
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader(f"{channel_name}-child")
        assert other.call("writer.publish", info(i=2)) == 2


def fork_one_that_lives(process: Process) -> int:
    """A child that lives until the process is closed here; its pid."""
    process.run("child = os.fork()\nif child == 0:\n    outlive()\n    os._exit(0)")
    return process.value("child")


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state not in "ZX"


@pytest.mark.parametrize("leftover", ["continue", "replace"])
def test_a_channel_can_be_taken_over_while_children_of_the_dead_writer_live(
    channel_name: str, leftover: str
) -> None:
    with Process() as dead:
        writer_in(dead, channel_name, info(i=1), info(i=2))
        children = [fork_one_that_lives(dead) for _ in range(3)]
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader["i"] == 2
        with pytest.raises(traincast.ChannelBusyError):
            traincast.TrainingInfoWriter(channel_name)
        dead.kill()
        assert not reader.writer_alive
        with traincast.TrainingInfoWriter(channel_name, leftover=leftover) as writer:
            assert all(map(alive, children))
            assert writer.version == (2 if leftover == "continue" else 0)
            writer.publish(info(i=3))
            assert reader["i"] == 3
            assert reader.writer_alive
        assert all(map(alive, children))


def test_a_closed_channel_is_free_though_forked_children_live(channel_name: str, traincast_dir: Path) -> None:
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        child = fork_one_that_lives(other)
        other.run("writer.close()")
        assert list(traincast_dir.iterdir()) == []
        with traincast.TrainingInfoWriter(channel_name) as writer:
            assert alive(child)
            assert writer.publish(info(i=2)) == 1
            writer_in(other, f"{channel_name}-2", info(i=3))
            with pytest.raises(traincast.ChannelBusyError):
                other.run(f"traincast.TrainingInfoWriter({channel_name!r})")


def test_a_child_that_outlives_its_parent_can_take_over(channel_name: str) -> None:
    """It inherited the descriptor of the lock, not the lock: it has to take it like anybody else."""
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        other.run(f"""
pid = os.fork()
if pid == 0:
    outlive()
    heir = traincast.TrainingInfoWriter({channel_name!r})
    heir.publish({info()!r} | dict(i=heir.epoch))
    os.kill(os.getpid(), 9)
""")
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader["i"] == 1
    assert reader.wait(60)
    assert reader["i"] == 2
    assert (reader.version, reader.epoch) == (2, 2)
    while reader.writer_alive:  # the process is about to kill itself
        time.sleep(0.001)


def test_a_fork_beside_busy_threads_leaves_no_lock_held(channel_name: str) -> None:
    """Threads of the parent read, publish and wait; its children find no lock held for ever."""
    with Process() as other:
        other.run("import threading, warnings")
        other.run("warnings.simplefilter('ignore', DeprecationWarning)  # of fork in a process with threads")
        writer_in(other, channel_name, info(i=0))
        other.run(f"""
stop = threading.Event()
def publish():
    while not stop.is_set(): writer.update(i=writer.version)
def attach():
    while not stop.is_set(): traincast.TrainingInfoReader({channel_name!r}).read()
def wait():
    reader = traincast.TrainingInfoReader({channel_name!r})
    while not stop.is_set():
        reader.read()
        reader.wait(0.01)
def come_and_go():
    while not stop.is_set():
        with traincast.TrainingInfoWriter({channel_name + "-2"!r}) as second: second.publish({info()!r})
threads = [threading.Thread(target=target) for target in (publish, attach, wait, come_and_go)]
for thread in threads: thread.start()
def child():
    reader = traincast.TrainingInfoReader({channel_name!r})
    with traincast.TrainingInfoWriter({channel_name + "-3"!r}) as mine:
        mine.publish({info()!r})
        return reader['i'] >= 0 and reader.writer_alive
""")
        try:
            for _ in range(60):
                assert other.value("forked(child)") is True
        finally:
            other.run("stop.set()\nfor thread in threads: thread.join()")


def test_the_exit_of_a_child_leaves_the_channel_alone(channel_name: str, traincast_dir: Path) -> None:
    """Not by os._exit but as an interpreter ends, with its destructors."""
    with Process() as other:
        writer_in(other, channel_name, info(i=1))
        other.run("import multiprocessing\nchild = multiprocessing.get_context('fork').Process(target=str)")
        other.run("child.start(); child.join()")
        assert other.value("child.exitcode") == 0
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.writer_alive
        assert not reader.closed
        assert _core.list_channels()[0]["status"] == "live"
        assert_identical(reader.read(), info(i=1))
        assert other.call("writer.publish", info(i=2)) == 2
        assert reader["i"] == 2
