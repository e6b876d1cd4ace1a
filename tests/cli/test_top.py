"""`traincast top` as its user sees it: real channels, real readers, textual's own pilot."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from shell import Shell, Start
from textual.pilot import Pilot
from textual.widgets import Static

import traincast
from traincast.cli.live.app import Top
from traincast.cli.live.monitor import Monitor
from traincast.cli.live.rows import CHANNELS, spark, steps_text
from traincast.cli.live.table import LiveTable

Scene = Callable[[Top, Pilot[None]], Awaitable[None]]
READER = (
    "import sys, traincast; r = traincast.TrainingInfoReader(sys.argv[1]); r.read();"
    "print('read', flush=True); sys.stdin.read()"
)


def play(scene: Scene, size: tuple[int, int] = (120, 40), **arguments: Any) -> None:
    async def run() -> None:
        app = Top(interval=0.1, **arguments)
        async with app.run_test(size=size) as pilot:
            await scene(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait until a condition holds; the tests' watchdog ends a wait in vain."""
    while not holds():
        await pilot.pause(0.05)


def shown(app: Top, table: str = "channels") -> list[list[str]]:
    """The cells of a table, by row."""
    its = app.query_one(f"#{table}", LiveTable)
    return [[str(cell).strip() for cell in its.get_row_at(y)] for y in range(its.row_count)]


def names(app: Top) -> list[str]:
    return [row[0] for row in shown(app)]


def summary(app: Top) -> str:
    return str(app.query_one("#summary", Static).render())


def screen(app: Top) -> list[str]:
    """What the terminal shows, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips][:height] if width else []


@contextmanager
def reading(name: str) -> Iterator[int]:
    """A process that has read a channel once; yields its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", READER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_channels_are_shown_with_rate_age_size_readers_and_steps(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1_500_000)

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["run"])
        for i in range(10):
            writer.publish(approx_total_training_steps=1_500_000 + 1000 * i)
            await pilot.pause(0.1)
        titles = [column.title for column in CHANNELS]
        await until(pilot, lambda: "▁" in shown(app)[0][8] and "█" in shown(app)[0][8])
        row = dict(zip(titles, shown(app)[0], strict=True))
        assert row["WRITER"] == "alive"
        assert row["STEPS"] == "1.51M"
        assert float(row["RATE"].removesuffix("/s")) > 0
        assert row["AGE"].endswith("s")
        assert row["SIZE"].endswith("KiB")
        assert row["READERS"] == "1"
        assert "1 channel, 1 alive, 1 reader " in summary(app)

    with reading("run"):
        play(scene)


def test_channels_come_die_break_and_go_and_so_does_the_directory(
    learner: Start, traincast_dir: Path
) -> None:
    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "0 channels" in summary(app))
        first, second = learner("first"), learner("second")
        first.publish(approx_total_training_steps=1)
        second.publish(approx_total_training_steps=2)
        await until(pilot, lambda: names(app) == ["first", "second"])
        second.kill()
        await until(pilot, lambda: shown(app)[1][1] == "dead")
        (traincast_dir / "second@0").write_bytes(b"junk")
        await until(pilot, lambda: shown(app)[1][1] == "broken")
        await pilot.press("down")
        await until(pilot, lambda: "is broken" in str(app.query_one("#head", Static).render()))
        first.close()
        await until(pilot, lambda: names(app) == ["second"])
        traincast_dir.chmod(0o755)
        await until(pilot, lambda: str(traincast_dir) in summary(app) and not shown(app))
        traincast_dir.chmod(0o700)
        await until(pilot, lambda: names(app) == ["second"])
        for path in traincast_dir.iterdir():
            path.unlink()
        traincast_dir.rmdir()
        await until(pilot, lambda: not shown(app))
        traincast_dir.mkdir(mode=0o700)
        third = learner("third")
        third.publish(approx_total_training_steps=3)
        await until(pilot, lambda: names(app) == ["third"])

    play(scene)


def test_the_selected_channel_shows_its_readers_and_its_newest_values(learner: Start) -> None:
    writers = {name: learner(name) for name in ("a", "b")}
    for writer in writers.values():
        writer.publish(approx_total_training_steps=1, shaping={"goal": 1.0})

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["a", "b"])
        await pilot.press("down")
        await until(pilot, lambda: len(shown(app, "readers")) == 1)
        row = shown(app, "readers")[0]
        assert row[:3] == [str(pid), "alive", "0 s"]
        assert row[3].endswith("read() b")
        await pilot.pause(0.5)
        writers["b"].publish(approx_total_training_steps=2, shaping={"goal": 0.25})
        await until(pilot, lambda: ["shaping.goal", "0.25"] in shown(app, "values"))
        await until(pilot, lambda: shown(app, "readers")[0][2] != "0 s")
        assert app.selected is not None
        assert app.selected.channel["name"] == "b"
        await pilot.press("up")
        await until(pilot, lambda: ["shaping.goal", "1.0"] in shown(app, "values"))
        assert shown(app, "readers") == []

    with reading("b") as pid:
        play(scene)


def test_sorting_puts_the_greatest_first_and_keeps_the_selected_channel(learner: Start) -> None:
    for i, name in enumerate(("a", "b", "c")):
        learner(name).publish(approx_total_training_steps=10 * (i + 1))

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("r")
        assert names(app) == ["c", "b", "a"]
        await pilot.press("s", "s")
        assert app.query_one("#channels", LiveTable)._titles[2] == "STEPS▼"
        assert names(app) == ["c", "b", "a"]
        await pilot.press("r")
        assert names(app) == ["a", "b", "c"]
        await pilot.press("down")
        assert app.selected is not None
        assert app.selected.channel["name"] == "b"
        learner("B0").publish(approx_total_training_steps=15)  # comes before it
        await until(pilot, lambda: names(app) == ["a", "B0", "b", "c"])
        assert app.selected.channel["name"] == "b"
        await pilot.click("#channels", offset=(2, 0))  # the title CHANNEL
        await until(pilot, lambda: names(app) == ["B0", "a", "b", "c"])

    play(scene)


def test_the_filter_narrows_the_list_while_it_is_typed(learner: Start) -> None:
    for name in ("ppo-ant", "ppo-cheetah", "sac-ant"):
        learner(name).publish(approx_total_training_steps=1)

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 3)
        await pilot.press("slash", *"ant")
        await until(pilot, lambda: names(app) == ["ppo-ant", "sac-ant"])
        await pilot.press(*" ppo")
        await until(pilot, lambda: names(app) == ["ppo-ant"])
        await pilot.press("enter")
        assert names(app) == ["ppo-ant"]
        assert "1 of 3 channels" in summary(app)
        await pilot.press("q")  # no letter of the filter any more

    play(scene)

    async def cleared(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: names(app) == ["sac-ant"])
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 3)

    play(cleared, pattern="sac")


@pytest.mark.parametrize("size", [(200, 60), (80, 24), (60, 20), (40, 10), (20, 5)])
def test_it_lives_with_any_size_and_breaks_no_line(learner: Start, size: tuple[int, int]) -> None:
    for i in range(20):
        learner(f"ppo-humanoid-walk-2025-03-01-seed-{i:06d}", i).publish(
            approx_total_training_steps=1, **{f"key{j}": "x" * 300 for j in range(40)}
        )

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(names(app)) == 20)
        await pilot.resize_terminal(*size)
        await pilot.pause(0.3)
        lines = screen(app)
        table = app.query_one("#channels", LiveTable)
        titles = lines[table.region.y]
        whole = {column.title for column in CHANNELS}
        if size[0] >= 40:
            assert {title.rstrip("▲▼") for title in titles.split()} - set("▁▂▃▄▅▆▇█") <= whole
            assert {"CHANNEL▲", "WRITER", "AGE", "BEHIND"} <= set(titles.split())
            assert sum("alive" in line for line in lines) >= 1
        await pilot.press("end", "enter")
        await pilot.pause(0.3)
        assert app.has_class("zoomed")
        assert not table.display
        await pilot.press("escape")
        assert not app.has_class("zoomed")
        assert table.display

    play(scene)


def test_it_is_not_listed_as_a_reader_and_holds_no_lock(learner: Start) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=1)

    def listing() -> str:
        return subprocess.run(
            [sys.executable, "-m", "traincast.cli", "ls", "--json"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    async def between_two_looks() -> None:
        app = Top(interval=3600)
        async with app.run_test() as pilot:
            await until(pilot, lambda: names(app) == ["run"])
            for i in range(5):
                writer.publish(approx_total_training_steps=i)
                app.look()
                (channel,) = json.loads(listing())
                assert channel["readers"] == []
                assert f" {os.getpid()} " not in Path("/proc/locks").read_text()

    asyncio.run(between_two_looks())


def test_hostile_names_of_processes_and_values_draw_nothing(learner: Start) -> None:
    learner("run").publish(approx_total_training_steps=1, **{"[red]x[/": "\x1b[2J[bold]y", "\x1b]0;t\x07": 1})

    async def scene(app: Top, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(shown(app, "values")) == 3)
        assert shown(app, "values")[1:] == [["[red]x[/", r"\x1b[2J[bold]y"], [r"\x1b]0;t\x07", "1"]]
        await pilot.pause(0.2)
        assert not any("\x1b" in line for line in screen(app))

    play(scene)


def test_steps_that_are_not_numbers_do_no_harm() -> None:
    for value in ("many", None, float("nan"), 10**400, [1]):
        with traincast.TrainingInfoWriter("odd", leftover="replace") as writer:
            writer.publish({"approx_total_training_steps": value})
            monitor = Monitor()
            monitor.look()
            (track,) = monitor.tracks.values()
            assert track.steps is None
            assert list(track.history) == []


def test_rates_start_again_with_another_channel_of_that_name(learner: Start) -> None:
    now = 0.0
    monitor = Monitor(clock=lambda: now)
    first = learner("run")
    for i in range(100):
        first.publish(approx_total_training_steps=i)
    monitor.look()
    (track,) = monitor.tracks.values()
    assert track.rate is None
    for i in range(20):
        first.publish(approx_total_training_steps=100 + i)
    now = 2.0
    monitor.look()
    assert monitor.tracks[("run", 0)].rate == 10
    first.close()
    learner("run").publish(approx_total_training_steps=0)
    now = 3.0
    monitor.look()
    assert monitor.tracks[("run", 0)].rate is None
    assert list(monitor.tracks[("run", 0)].history) == [0]


def test_curves_go_from_the_least_to_the_greatest() -> None:
    assert spark([], 8) == ""
    assert spark([5, 5, 5], 8) == "▁▁▁"
    assert spark(range(100), 8) == "▁▂▃▄▅▆▇█"
    assert spark([-1e308, 1e308], 8) == "▁▁"
    assert [steps_text(n) for n in (0, 999, 12_345, 4_100_000, 0.5)] == ["0", "999", "12.3k", "4.10M", "0.5"]


def test_without_a_terminal_it_says_what_to_use(shell: Shell) -> None:
    done = shell("top")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "traincast: top needs a terminal; use traincast ls, or traincast top --json\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_on_a_terminal_of_any_encoding_it_draws_and_quits(learner: Start, encoding: str, key: bytes) -> None:
    writer = learner("run")
    writer.publish(approx_total_training_steps=4321, place="Zürich")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "top", "-i", "0.1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "TERM": "xterm-256color",
            "COLUMNS": "80",
            "LINES": "30",
            "PYTHONIOENCODING": encoding,
        },
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen = b""
        while b"4.32k" not in seen or b"rich" not in seen:
            seen += os.read(ours, 65536)
        time.sleep(0.3)
        os.write(ours, key)
        while True:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # how Linux reports that the other side has closed
                break
        assert process.wait() == 0
    os.close(ours)
    text = seen.decode(encoding)
    assert "Traceback" not in text
    assert r"\u25" not in text  # block characters have lookalikes, not escapes, which would break the lines
    assert text.count("\x1b[?1049l") == 1  # the screen as it was before
    assert ("Zürich" in text) == (encoding != "ascii")


def test_ctrl_c_ends_json_lines_without_a_word(learner: Start) -> None:
    learner("run").publish(approx_total_training_steps=1)
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "top", "--json", "--count", "0", "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(3):
            assert json.loads(process.stdout.readline())["channels"][0]["name"] == "run"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == ""
        assert process.wait() == 130
