"""Faults of the machine, besides full storage: descriptors, signals, lost files, a clock that goes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast


def test_any_number_of_free_descriptors_works_or_gets_a_clear_error(
    channel_name: str, traincast_dir: Path
) -> None:
    """Each step works or raises an exception that says what to do; nothing is lost or left behind."""
    with Process() as other:
        other.run("import resource, traincast.errors")
        other.run("hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]")
        other.run(f"""
def attempt(step):
    try:
        return step()
    except OSError as error:
        assert "ulimit -n" in str(error), error
        failed.append(step)

def life(free):
    first = os.open("/", os.O_RDONLY)
    os.close(first)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + free, hard))
    try:
        writer = attempt(lambda: traincast.TrainingInfoWriter({channel_name!r}))
        if writer is None: return
        reader = None
        published = []
        for size in (0, 1, 80_000, 2):
            if attempt(lambda: writer.publish({info()!r} | dict(a=bytes(size)))):
                published.append(size)
                if reader is None:
                    reader = attempt(lambda: traincast.TrainingInfoReader({channel_name!r}))
                if reader is not None:
                    assert len(reader["a"]) in published
                    attempt(lambda: reader.wait(0.001))
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
""")
        failures = []
        for free in range(12):
            other.run(f"failed = []\nlife({free})")
            failures.append(other.value("len(failed)"))
            with traincast.TrainingInfoWriter(channel_name) as writer:  # whatever could not be removed
                writer.publish(info())
            assert list(traincast_dir.iterdir()) == []
        assert failures[0] > 0
        assert failures[-1] == 0


def test_a_storm_of_signals_disturbs_no_call(channel_name: str, traincast_dir: Path) -> None:
    """A handler of Python's every half millisecond: nothing fails, and `wait` keeps its time."""
    with Process() as other:
        other.run(f"""
import signal, time
calls = 0
def handler(*_):
    global calls
    calls += 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for life in range(5):
    with traincast.TrainingInfoWriter({channel_name!r}) as writer:
        for i, size in enumerate((0, 100_000, 1_000_000, 1)):
            writer.publish({info()!r} | dict(i=i, a=bytes(size)))
            reader = traincast.TrainingInfoReader({channel_name!r}, attach_timeout=1)
            assert (reader["i"], len(reader["a"])) == (i, size)
        start = time.monotonic()
        assert not reader.wait(0.1)
        assert time.monotonic() - start >= 0.1
        assert reader.writer_alive
start = time.monotonic()
try:
    traincast.TrainingInfoReader("nothing", attach_timeout=0.1)
except traincast.ChannelNotFoundError:
    assert time.monotonic() - start >= 0.1
signal.setitimer(signal.ITIMER_REAL, 0)
""")
        assert other.value("calls") > 50
    assert list(traincast_dir.iterdir()) == []


@pytest.mark.parametrize("lost", ["segment", "lock", "roster", "all", "directory"])
@pytest.mark.parametrize("how", ["unlinked", "replaced by its copy", "replaced by zeros"])
def test_lost_files_do_not_disturb_live_readers_and_their_writer(
    channel_name: str, traincast_dir: Path, lost: str, how: str
) -> None:
    """What is mapped works on; after the writer's end, and `clean`, everything works for all."""
    segment = traincast_dir / f"{channel_name}@0"
    files = {"segment": [segment], "lock": [Path(f"{segment}.lock")], "roster": [Path(f"{segment}.roster")]}
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(i=1))
        other.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader["i"] == other.value("reader['i']") == 1
        for path in files.get(lost, [path for paths in files.values() for path in paths]):
            content = path.read_bytes()
            path.unlink()
            if how != "unlinked":
                path.write_bytes(content if "copy" in how else bytes(len(content)))
                path.chmod(0o600)
        if lost == "directory":
            shutil.rmtree(traincast_dir)
        writer.publish(info(i=2))
        assert reader["i"] == other.value("reader['i']") == 2
        assert not reader.wait(0.01) or lost in ("segment", "all")
        assert reader["i"] in (1, 2)  # 1: what has the name now says so
    traincast_dir.mkdir(0o700, exist_ok=True)
    for entry in traincast._core.leftovers():
        assert traincast._core.remove_leftover(entry["path"])
    assert list(traincast_dir.iterdir()) == []
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=3))
        assert traincast.TrainingInfoReader(channel_name)["i"] == 3


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

/* The clock of the wall goes back an hour whenever somebody looks at it. The others are left alone. */
static long looks;

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec -= 3600 * __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    library.with_suffix(".c").write_text(CLOCK)
    compiler = [
        "cc",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        "-o",
        library,
        library.with_suffix(".c"),
        "-ldl",
    ]
    subprocess.run(compiler, check=True)
    return library


def test_clock_that_goes_back(channel_name: str, clock: Path) -> None:
    """Only `created` depends on it: ages, timeouts and the order of snapshots do not."""
    with Process(environment={"LD_PRELOAD": str(clock)}) as other:
        other.run("import time\nassert time.time() > time.time() + 1800, 'the clock does go back'")
        other.run(f"""
with traincast.TrainingInfoWriter({channel_name!r}) as writer:
    for i in range(1, 50):
        assert writer.publish({info()!r} | dict(i=i, a=bytes(4000 * i))) == i  # grows twice
        if i == 1: reader = traincast.TrainingInfoReader({channel_name!r})
        assert reader["i"] == i and reader.version == i
        assert 0 <= reader.age < 60, reader.age
    start = time.monotonic()
    assert not reader.wait(0.1)
    assert 0.1 <= time.monotonic() - start < 60
    start = time.monotonic()
    try:
        traincast.TrainingInfoReader("nothing", attach_timeout=0.1)
    except traincast.ChannelNotFoundError:
        assert 0.1 <= time.monotonic() - start < 60
    (channel,) = traincast._core.list_channels()
    assert channel["status"] == "live" and 0 <= channel["age"] < 60
    assert all(reader["alive"] for reader in channel["readers"])
""")
        # The successor of a writer from the future, for a reader in the present.
        other.run(f"""
try:
    forked(lambda: (globals().update(dead=traincast.TrainingInfoWriter({channel_name!r})),
                    dead.publish({info()!r} | dict(i=100)), os.kill(os.getpid(), 9)))
except ChildProcessError:
    pass
""")
        reader = traincast.TrainingInfoReader(channel_name)
        assert_identical(reader.read(), info(i=100))
        assert not reader.writer_alive
        with traincast.TrainingInfoWriter(channel_name) as writer:
            assert (writer.version, writer.epoch) == (1, 2)
            writer.publish(info(i=101))
            assert reader["i"] == 101
            assert 0 <= reader.age < 60
            assert other.value(f"traincast.TrainingInfoReader({channel_name!r})['i']") == 101


def test_time_namespace(channel_name: str) -> None:
    """There the monotonic clock has another zero: ages use the wall clock then; all else works."""
    command = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", "1000000"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    with traincast.TrainingInfoWriter(channel_name) as writer, Process(prefix=command) as later:
        writer.publish(info(i=1))
        later.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
        for i in range(2, 20):
            writer.publish(info(i=i))
            assert later.value("reader['i']") == i
        assert 0 <= later.value("reader.age") < 900_000
        later.run(f"writer = traincast.TrainingInfoWriter({channel_name + '-2'!r})")
        later.call("writer.publish", info(i=1))
        reader = traincast.TrainingInfoReader(f"{channel_name}-2")
        assert reader["i"] == 1
        assert 0 <= reader.age < 900_000
        assert not reader.wait(0.01)
        later.run("writer.close()")
        assert reader.closed


def test_truncation_by_its_owner_ends_processes(channel_name: str, traincast_dir: Path) -> None:
    """What SECURITY.md says of a malicious process of the same user. The next writer starts anew."""
    with Process() as learner, Process() as env:
        learner.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        learner.call("writer.publish", info(i=1))
        env.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
        os.truncate(traincast_dir / f"{channel_name}@0", 0)
        for process, use in ((env, "reader.read()"), (learner, "writer.update(i=2)")):
            with pytest.raises(ChildProcessError, match=f"status -{signal.SIGBUS.value}"):
                process.run(use)
    with pytest.raises(traincast.CorruptChannelError, match="it has 0 bytes"):
        traincast.TrainingInfoReader(channel_name)
    for entry in traincast._core.leftovers():
        assert traincast._core.remove_leftover(entry["path"])
    assert list(traincast_dir.iterdir()) == []
