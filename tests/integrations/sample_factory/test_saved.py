"""The file beside the checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import traincast
from traincast.integrations.sample_factory import load_training_info
from traincast.integrations.sample_factory.saved import info_file, load_state, save_wire

STEPS = "approx_total_training_steps"


@pytest.fixture
def cfg(configuration: Any) -> Any:
    return configuration("--env=informed", "--experiment=here")


@pytest.fixture
def wire(channel_name: str) -> Callable[[dict[str, Any]], bytes]:
    """A dictionary as a learner saves it."""

    def wire(info: dict[str, Any]) -> bytes:
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info)
            message = writer.read_wire()
            assert message is not None
            return message

    return wire


def test_without_a_file_nothing_is_loaded(cfg: Any) -> None:
    assert load_state(cfg, 0) is None
    assert load_training_info(cfg) is None


def test_what_was_saved_is_loaded(cfg: Any, channel_name: str) -> None:
    info = {
        STEPS: 1 << 100,
        "tuple": (1, 2.5, None),
        3: b"x",
        "array": np.arange(6, dtype=">i2").reshape(2, 3),
        "tensor": torch.ones(2, dtype=torch.bfloat16),
    }
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.load_state_dict({"version": 6, "epoch": 1, "training_info": info})
        save_wire(cfg, 1, writer.read_wire() or b"")
        expected = writer.state_dict()
    state = load_state(cfg, 1)
    assert state is not None
    assert (state["version"], state["epoch"]) == (expected["version"], expected["epoch"]) == (7, 2)
    loaded = load_training_info(cfg, 1)
    for found in (state["training_info"], loaded):
        assert found is not None
        assert list(found) == list(info)
        assert [found[key] for key in (STEPS, "tuple", 3)] == [info[key] for key in (STEPS, "tuple", 3)]
        assert found["array"].dtype == info["array"].dtype
        np.testing.assert_array_equal(found["array"], info["array"])
        assert torch.equal(found["tensor"], info["tensor"])
    assert load_training_info(cfg, 0) is None
    assert [path.name for path in Path(info_file(cfg, 1)).parent.iterdir()] == ["training_info.wire"]


@pytest.mark.parametrize("damage", ["empty", "cut", "a bit", "other"])
def test_a_damaged_file_is_named(cfg: Any, wire: Any, damage: str) -> None:
    whole = wire({STEPS: 1, "text": "x" * 100})
    flipped = bytearray(whole)
    flipped[-20] ^= 1
    content = {"empty": b"", "cut": whole[:-8], "a bit": bytes(flipped), "other": b"{}" * 200}[damage]
    path = Path(info_file(cfg, 0))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"training_info\.wire does not hold saved training information .* remove it"
    ):
        load_training_info(cfg)


def test_a_file_of_an_earlier_version_is_refused_until_there_is_a_new_one(cfg: Any, wire: Any) -> None:
    path = Path(info_file(cfg, 0))
    path.parent.mkdir(parents=True)
    path.with_suffix(".json").write_text('{"format": 1, "version": 1, "epoch": 1, "training_info": {}}')
    for load in (load_training_info, lambda cfg: load_state(cfg, 0)):
        with pytest.raises(ValueError, match=r"0\.1 has saved .*training_info\.json.* remove it to go on"):
            load(cfg)
    save_wire(cfg, 0, wire({STEPS: 7}))
    assert load_training_info(cfg) == {STEPS: 7}


def test_a_failed_save_leaves_the_file_before_it(cfg: Any, wire: Any, monkeypatch: Any) -> None:
    save_wire(cfg, 0, wire({STEPS: 1}))

    def full(*_: Any) -> None:
        raise OSError("no space left")

    message = wire({STEPS: 2})
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        save_wire(cfg, 0, message)
    assert load_training_info(cfg) == {STEPS: 1}
    assert [path.name for path in Path(info_file(cfg, 0)).parent.iterdir()] == ["training_info.wire"]
