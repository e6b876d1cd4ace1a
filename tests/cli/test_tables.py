"""Tables fit the terminal: no line is wrapped, and a note tells what was left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell, Start
from terminal import on_terminal

import traincast
from traincast.cli._tables import Column, fit, fitted
from traincast.cli._text import age, printable, shorten, shorten_middle, size

TITLES = {"NAME", "POLICY", "WRITER", "PID", "VERSION", "EPOCH", "AGE", "SIZE", "READERS", "BEHIND"}
LONG = "ppo-humanoid-walk-2025-03-01-12-30-59-lr-0.0003-seed-000017"


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("name", ["my-run", LONG], ids=["short", "long"])
def test_ls_breaks_no_title_and_no_cell(learner: Start, columns: int, name: str) -> None:
    learner(name, 3).publish(approx_total_training_steps=1)
    with traincast.TrainingInfoReader(name, 3) as reader:
        reader.read()
        code, text = on_terminal(["ls"], columns)
    assert code == 0
    titles, row, *notes = text.splitlines()
    assert set(titles.split()) <= TITLES
    assert max(len(titles), len(row)) <= columns
    assert {"NAME", "POLICY", "WRITER", "AGE", "READERS", "BEHIND"} <= set(titles.split()) or columns < 60
    assert "alive" in row
    left_out = TITLES - set(titles.split())
    assert bool(left_out) == bool(notes)
    for title in left_out:
        assert title in notes[0]
    if columns == 200 or name == "my-run":
        assert row.startswith(name)
    else:
        start, cut, end = row.split()[0].partition("…")
        assert name.startswith(start)
        assert name.endswith(end)
        assert not cut or left_out >= {"EPOCH", "SIZE", "PID"}  # a name is cut last


def test_at_80_columns_a_usual_name_is_shown_in_full(learner: Start) -> None:
    name = "ppo-20250301-1f3a"
    learner(name).publish(approx_total_training_steps=1)
    _, text = on_terminal(["ls"], 80)
    assert text.splitlines()[1].startswith(name)


def test_numbers_are_right_aligned(learner: Start) -> None:
    learner("a", 1).publish(approx_total_training_steps=1)
    learner("b", 65535).publish(approx_total_training_steps=1)
    _, text = on_terminal(["ls"], 120)
    titles, first, second, *_ = text.splitlines()
    end = titles.index("POLICY") + len("POLICY")
    assert (first[:end].split()[-1], second[:end].split()[-1]) == ("1", "65535")


def test_readers_lose_the_middle_of_their_command_and_nothing_else(learner: Start) -> None:
    learner("run").publish(approx_total_training_steps=1)
    with traincast.TrainingInfoReader("run") as reader:
        reader.read()
        _, text = on_terminal(["ls", "--readers"], 60)
        titles, row, *rest = text.splitlines()
    assert titles.split() == ["NAME", "POLICY", "PID", "READER", "VERSION", "BEHIND", "COMMAND"]
    assert len(row) <= 60
    assert not rest


def test_without_a_terminal_nothing_is_cut(
    shell: Shell, learner: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "n" * 128
    learner(name).publish(approx_total_training_steps=1)
    titles, row = shell("ls").stdout.splitlines()
    assert set(titles.split()) == TITLES
    assert row.startswith(f"{name}  ")


columns = st.builds(
    Column,
    title=st.text("ABC", min_size=1, max_size=8),
    right=st.booleans(),
    spare=st.integers(0, 4),
    least=st.sampled_from([0, 4, 12]),
    flexible=st.booleans(),
    keeps_start=st.booleans(),
)


@given(
    st.lists(st.tuples(columns, st.text("xyz ", max_size=40)), min_size=1, max_size=8), st.integers(1, 120)
)
def test_a_line_is_as_wide_as_the_room_or_nothing_could_be_left_out_or_cut(
    cells: list[tuple[Column, str]], room: int
) -> None:
    all_columns = [column for column, _ in cells]
    row = [text for _, text in cells]
    lines, left_out = fitted(all_columns, [[c.title for c in all_columns], row], room)
    widths = [max(len(column.title), len(text)) for column, text in cells]
    shown = fit(all_columns, widths, room)
    assert len(lines) == 2
    assert len(left_out) == len(all_columns) - len(shown)
    if max(line.cell_len for line in lines) > room:
        assert all(column.spare == 0 for i, column in enumerate(all_columns) if i in shown)
        assert all(
            width <= max(all_columns[i].least, 0) or not all_columns[i].least for i, width in shown.items()
        )
    if sum(widths) + 2 * (len(widths) - 1) <= room:
        assert shown == dict(enumerate(widths))


@given(st.text(), st.integers(0, 30))
def test_shortened_text_has_the_width_that_was_asked_for(text: str, width: int) -> None:
    from rich.cells import cell_len

    text = printable(text, "utf-8")
    for cut in (shorten, shorten_middle):
        assert cell_len(cut(text, width)) <= max(width, 1)


@given(st.text())
def test_printable_text_has_no_control_characters_and_can_be_encoded(text: str) -> None:
    for encoding in ("ascii", "latin-1", "utf-8"):
        shown = printable(text, encoding)
        shown.encode(encoding)
        assert shown.isprintable()
        assert "\n" not in shown


def test_ages_and_sizes_have_a_suitable_unit() -> None:
    said = [age(s) for s in (-1, 0, 0.0004, 0.012, 0.9999, 3.41, 59, 119, 300, 5400, 7300, 90_000, 1e15)]
    assert said[:11] == [
        "0 s", "0 s", "0 s", "12 ms", "1.0 s", "3.4 s", "59 s", "119 s", "5 minutes", "90 minutes", "2 hours"
    ]  # fmt: skip
    assert said[11] == "a day"
    assert all(text.isascii() for text in said)
    assert [size(n) for n in (0, 1, 900, 1024, 270_336, 1_572_864)] == [
        "0 B", "1 B", "900 B", "1 KiB", "264 KiB", "1.5 MiB"
    ]  # fmt: skip
