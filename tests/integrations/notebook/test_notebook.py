"""The notebook, run by nbclient in a kernel of its own; its first cells twice, as people do."""

from __future__ import annotations

import ast
import copy

import nbformat
import pytest
from nbclient import NotebookClient
from recordings import EXAMPLES, RECORDER, channels, read_records
from traitlets.config import Config


@pytest.fixture
def notebook():
    return nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)


@pytest.fixture
def records(tmp_path, monkeypatch):
    records = tmp_path / "records"
    records.mkdir()
    monkeypatch.setenv("RECORD_DIR", str(records))
    monkeypatch.setenv("PYTHONPATH", str(RECORDER))
    return records


def execute(notebook, folder):
    patient = Config(
        {"KernelManager": {"shutdown_wait_time": 240.0}}
    )  # else a busy machine's kernel is killed
    resources = {"metadata": {"path": folder}}
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources=resources, config=patient
    ).execute()


def cell(notebook, name):
    (found,) = (cell for cell in notebook.cells if cell.id == name)
    return found


def result(cell):
    (value,) = (
        output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"
    )
    return ast.literal_eval(value.replace("np.float64", "").replace("np.float32", ""))


def test_its_first_cells_run_twice(notebook, records, tmp_path, traincast_dir):
    first, train = cell(notebook, "envs"), cell(notebook, "train")
    again = [copy.deepcopy(one) for one in (first, train, train)]  # anew, and then on
    for number, one in enumerate(again):
        one.id += f"-again-{number}"
    at = notebook.cells.index(train) + 1
    notebook.cells[at:at] = again
    nbformat.validate(notebook)
    execute(notebook, tmp_path)

    recording = read_records(records)
    recording.check(updates=10)
    names = [result(first), result(again[0])]
    assert recording.runs == names
    assert names[0] != names[1]
    for name in names:  # a cell that is run again starts afresh; only the training cell goes on
        resets = [reset for reset in recording.training_resets if reset["run"] == name]
        assert min(resets, key=lambda reset: reset["began"])["steps"] == 0
    last = [event["steps"] for event in recording.publishes if event["run"] == names[1]]
    assert last == sorted(last)
    assert last[-1] == 20_000
    assert {reset["steps"] for reset in recording.frozen_resets} == {10_000}
    assert result(cell(notebook, "evaluate"))[0] == 9.8
    assert any("image/png" in output.get("data", {}) for output in cell(notebook, "plot").outputs)
    assert channels(traincast_dir) == set()


def test_a_kernel_that_is_shut_down_leaves_nothing(notebook, records, tmp_path, traincast_dir):
    train = cell(notebook, "train")
    assert "range(2_500)" in train.source
    train.source = train.source.replace("range(2_500)", "range(100)")
    notebook.cells = notebook.cells[: notebook.cells.index(train) + 1]
    execute(notebook, tmp_path)
    assert read_records(records).publishes
    assert channels(traincast_dir) == set()


def test_the_file_holds_no_outputs(notebook):
    assert all(not one.get("outputs") and one.get("execution_count") is None for one in notebook.cells)
