"""One writer per channel, whatever happens to its lock and its files; and the loser finds out."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from processes import Process
from snapshots import info

import traincast
from traincast import _core

NOW = {"verify_every": 0.0}
SIZE = 2000


def others_may_write(name: str) -> bool:
    with Process() as other:
        try:
            other.run(f"traincast.TrainingInfoWriter({name!r})")
        except traincast.ChannelBusyError:
            return False
        return True


def drop_the_lock(directory: Path, name: str) -> None:
    """What an experiment tracker does when it copies the run's directory."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)


def test_a_lock_dropped_by_a_copy_is_taken_again(channel_name: str, traincast_dir: Path) -> None:
    with traincast.TrainingInfoWriter(channel_name, **NOW) as writer:
        writer.publish(info(i=1))
        drop_the_lock(traincast_dir, channel_name)
        writer.publish(info(i=2))
        assert not others_may_write(channel_name)


def test_a_writer_that_lost_its_channel_is_told_at_its_next_publish(
    channel_name: str, traincast_dir: Path
) -> None:
    reader = None
    with traincast.TrainingInfoWriter(channel_name, **NOW) as writer, Process() as other:
        writer.publish(info(i=1))
        reader = traincast.TrainingInfoReader(channel_name)
        drop_the_lock(traincast_dir, channel_name)
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info(i="other"))
        for expected in (traincast.ChannelLostError, BlockingIOError, traincast.TraincastError):
            with pytest.raises(expected, match=f"process {other.pid} has it"):
                writer.publish(info(i=2))
        with pytest.raises(traincast.ChannelLostError):
            writer.update(i=2)
        assert writer.closed
        writer.close()  # removes nothing of the other's
        assert reader["i"] == "other"
        assert other.call("writer.publish", info(i="again")) >= 3
        assert traincast.TrainingInfoReader(channel_name)["i"] == "again"
        assert [c["status"] for c in _core.list_channels()] == ["live"]


def test_two_writers_at_full_speed_mix_nothing(channel_name: str, traincast_dir: Path) -> None:
    """Each snapshot holds one number, many times; stamps only grow."""
    publish = f"""
number = {{start}}
try:
    while time.monotonic() < stop:
        number += 2
        writer.publish({{{{"approx_total_training_steps": number, "x": [float(number)] * {SIZE}}}}})
    ended = "time"
except traincast.ChannelLostError:
    ended = "lost"
"""
    watch = f"""
reader = traincast.TrainingInfoReader({channel_name!r})
mixed = backward = reads = 0
last = (0, 0)
while time.monotonic() < stop:
    values = reader.read()["x"]
    stamp = reader.epoch, reader.version
    reads += 1
    mixed += len(set(values)) != 1
    backward += stamp < last
    last = stamp
"""
    with Process() as first, Process() as second, Process() as env:
        for process in (first, second, env):
            process.run(
                f"import shutil, tempfile, time\nstop = time.monotonic() + 4\nname = {channel_name!r}"
            )
        first.run("writer = traincast.TrainingInfoWriter(name, verify_every=0.2)")
        first.call("writer.publish", info(x=[1.0] * SIZE))
        env.start(watch)
        first.run(f"shutil.copytree({str(traincast_dir)!r}, tempfile.mkdtemp(), dirs_exist_ok=True)")
        second.run("writer = traincast.TrainingInfoWriter(name)")
        first.start(publish.format(start=1))
        second.start(publish.format(start=2))
        for process in (first, second, env):
            process.finish()
        assert first.value("ended") == "lost"
        assert second.value("ended") == "time"
        assert env.value("reads") > 100
        assert env.value("(mixed, backward)") == (0, 0)


REMOVED: dict[str, Callable[[Path, str], object]] = {
    "directory": lambda directory, _: shutil.rmtree(directory),
    "segment": lambda directory, name: (directory / f"{name}@0").unlink(),
    "lock": lambda directory, name: (directory / f"{name}@0.lock").unlink(),
    "record": lambda directory, name: (directory / f"{name}@0.owner").unlink(),
    "roster": lambda directory, name: (directory / f"{name}@0.roster").unlink(),
    "all files": lambda directory, _: [path.unlink() for path in directory.iterdir()],
}


@pytest.mark.parametrize("remove", REMOVED.values(), ids=REMOVED)
def test_removed_files_are_put_back(
    channel_name: str, traincast_dir: Path, remove: Callable[[Path, str], object]
) -> None:
    with traincast.TrainingInfoWriter(channel_name, **NOW) as writer:
        for i in range(6):
            writer.publish(info(i=i))
        old = traincast.TrainingInfoReader(channel_name)
        assert old["i"] == 5
        remove(traincast_dir, channel_name)
        assert writer.publish(info(i=6)) == 7
        assert sorted(path.name for path in traincast_dir.iterdir()) == [
            f"{channel_name}@0{suffix}" for suffix in ("", ".lock", ".owner", ".roster")
        ]
        assert old["i"] == 6
        with Process() as env:
            assert env.value(f"traincast.TrainingInfoReader({channel_name!r})['i']") == 6
        assert not others_may_write(channel_name)
        writer.publish(info(i=7))
        assert old["i"] == 7
        assert old.version == 8
    assert list(traincast_dir.iterdir()) == []


def test_a_directory_made_again_by_another_writer_belongs_to_that_one(
    channel_name: str, traincast_dir: Path
) -> None:
    with traincast.TrainingInfoWriter(channel_name, **NOW) as writer, Process() as other:
        writer.publish(info(i=1))
        shutil.rmtree(traincast_dir)
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info(i="other"))
        with pytest.raises(traincast.ChannelLostError):
            writer.publish(info(i=2))
        assert other.call("writer.publish", info(i="again")) == 2
        assert traincast.TrainingInfoReader(channel_name)["i"] == "again"


def test_files_that_cannot_be_put_back_are_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "parent" / "channels"
    monkeypatch.setenv("TRAINCAST_DIR", str(directory))
    with traincast.TrainingInfoWriter("run", **NOW) as writer:
        writer.publish(info(i=1))
        reader = traincast.TrainingInfoReader("run")
        shutil.rmtree(directory.parent)
        with pytest.warns(traincast.TraincastWarning, match="cannot be put back"):
            writer.publish(info(i=2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # not again
            for i in range(3, 6):
                writer.publish(info(i=i))
        assert reader["i"] == 5
        directory.parent.mkdir()
        writer.publish(info(i=6))
        assert traincast.TrainingInfoReader("run")["i"] == 6
        assert reader["i"] == 6


def another_copy() -> ModuleType:
    """The native module once more, as from a vendored copy of the package."""
    path = Path(tempfile.mkdtemp()) / Path(_core.__file__).name
    shutil.copy(_core.__file__, path)
    spec = importlib.util.spec_from_file_location("traincast_copy._core", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.rmtree(path.parent)
    return module


def test_another_copy_of_the_library_in_the_process_is_refused(channel_name: str) -> None:
    script = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from test_ownership import another_copy
copy = another_copy()
assert copy.TrainingInfoWriter is not traincast.TrainingInfoWriter
writer = traincast.TrainingInfoWriter({channel_name!r}, verify_every=0.0)
writer.publish({info(i=1)!r})
"""
    with Process() as both:
        both.run("import sys\n" + script)
        with pytest.raises(traincast.ChannelBusyError, match="another copy of traincast"):
            both.run(f"copy.TrainingInfoWriter({channel_name!r})")
        assert both.value("[channel['status'] for channel in copy.list_channels()]") == ["live"]
        assert both.value("copy.leftovers()") == []
        assert not others_may_write(channel_name)  # looking has not dropped the lock
        assert both.call("writer.publish", info(i=2)) == 2
        both.run("writer.close()")
        both.run(f"other = copy.TrainingInfoWriter({channel_name!r})")
        both.call("other.publish", info(i=3))
        assert not others_may_write(channel_name)


DENY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#define DENIED(name)                                              \
    int name(int fd, int command, ...) {                          \
        va_list list;                                             \
        va_start(list, command);                                  \
        void *argument = va_arg(list, void *);                    \
        va_end(list);                                             \
        if (command == F_SETLK) { errno = EACCES; return -1; }    \
        static int (*real)(int, int, ...);                        \
        if (!real) real = dlsym(RTLD_NEXT, #name);                \
        return real(fd, command, argument);                       \
    }
DENIED(fcntl)
DENIED(fcntl64)
"""


def test_a_denied_lock_is_an_error_at_once(channel_name: str, tmp_path: Path) -> None:
    source, library = tmp_path / "deny.c", tmp_path / "deny.so"
    source.write_text(DENY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    denied = pytest.raises(PermissionError, match="file locks are denied here")
    with Process(environment={"LD_PRELOAD": str(library)}) as learner, denied:
        learner.run(f"traincast.TrainingInfoWriter({channel_name!r})")


LEAVES = {
    "the end of the script": "",
    "sys.exit": "import sys; sys.exit(3)",
    "an exception": "raise RuntimeError",
    "a writer in a cycle": "class A: pass\na = A(); a.me = a; a.writer = writer; del a, writer",
}


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_a_normal_exit_closes_the_channel(channel_name: str, traincast_dir: Path, leave: str) -> None:
    script = f"""
import traincast
writer = traincast.TrainingInfoWriter({channel_name!r}, required=())
writer.publish({{}})
{leave}
"""
    subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert list(traincast_dir.iterdir()) == []


def test_a_forked_child_that_exits_normally_closes_nothing(channel_name: str, traincast_dir: Path) -> None:
    script = f"""
import os, sys, traincast
writer = traincast.TrainingInfoWriter({channel_name!r}, required=())
writer.publish({{"i": 1}})
if os.fork() == 0:
    sys.exit(0)
os.wait()
assert traincast.TrainingInfoReader({channel_name!r})["i"] == 1
assert writer.publish({{"i": 2}}) == 2
print("lives on")
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "lives on\n"
    assert list(traincast_dir.iterdir()) == []


def test_a_reader_makes_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINCAST_DIR", str(tmp_path / "missing"))
    with pytest.raises(traincast.ChannelNotFoundError):
        traincast.TrainingInfoReader("run")
    assert _core.list_channels() == []
    assert _core.leftovers() == []
    assert not (tmp_path / "missing").exists()


def test_clean_beside_starts_never_makes_one_fail(channel_name: str) -> None:
    start = (
        "import os, traincast\n"
        f"writer = traincast.TrainingInfoWriter({channel_name!r}, required=())\n"
        "writer.publish({})\n"
        "os._exit(0)"
    )
    with Process() as cleaner:
        cleaner.start(
            "import time\nfrom traincast import _core\nstop = time.monotonic() + 5\nremoved = 0\n"
            "while time.monotonic() < stop:\n"
            "    for file in _core.leftovers():\n"
            "        removed += _core.remove_leftover(file['path'])"
        )
        starts = 0
        stop = time.monotonic() + 4
        while time.monotonic() < stop:
            done = subprocess.run([sys.executable, "-c", start], check=False, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
            starts += 1
        cleaner.finish()
        assert starts > 3
        assert cleaner.value("removed") > 0


def test_verification_is_at_most_once_in_its_interval(channel_name: str, traincast_dir: Path) -> None:
    with traincast.TrainingInfoWriter(channel_name, verify_every=3600.0) as writer:
        writer.publish(info(i=1))
        shutil.rmtree(traincast_dir)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for i in range(100):
                writer.publish(info(i=i))
        assert not traincast_dir.exists()
    traincast_dir.mkdir(exist_ok=True)
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="verify_every"):
            traincast.TrainingInfoWriter(channel_name, verify_every=bad)
    assert os.listdir(traincast_dir) == []


def test_closing_does_not_put_the_directory_back(traincast_dir: Path, channel_name: str) -> None:
    writer = traincast.TrainingInfoWriter(channel_name)
    writer.publish(info())
    reader = traincast.TrainingInfoReader(channel_name)
    shutil.rmtree(traincast_dir)
    writer.close()
    found = traincast_dir.exists()
    traincast_dir.mkdir(exist_ok=True)
    assert not found
    assert reader.closed
