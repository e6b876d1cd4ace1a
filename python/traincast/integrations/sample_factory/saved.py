"""Saves a run's last training information beside its checkpoints: in wire form, its curricula as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from sample_factory.utils.utils import experiment_dir

from traincast import InvalidSnapshotError
from traincast._core import decode_wire

__all__ = ["info_file", "load_state", "load_training_info", "save_wire"]


def load_training_info(cfg: Any, policy_id: int = 0) -> dict[str, Any] | None:
    """Return the training information that a run of this experiment saved last; None if there is none.

    Args:
        cfg: Sample Factory's configuration; `train_dir` and `experiment` say where to look.
        policy_id: the policy of the run.

    Raises:
        ValueError: the file does not hold a snapshot, or traincast 0.1 has saved it.
    """
    state = load_state(cfg, policy_id)
    return None if state is None else state["training_info"]


def load_state(cfg: Any, policy_id: int) -> dict[str, Any] | None:
    """Return `version`, `epoch`, `training_info` (and `curricula`) as last saved; None if there is none."""
    path = info_file(cfg, policy_id)
    try:
        with open(path, "rb") as file:
            return decode_wire(file.read()) | _load_curricula(path)
    except FileNotFoundError:
        _refuse_json(path)
        return None
    except InvalidSnapshotError as error:
        raise ValueError(
            f"{path} does not hold saved training information ({error}); remove it to go on without it"
        ) from error


def _load_curricula(path: str) -> dict[str, Any]:
    try:
        with open(_curricula_file(path), encoding="utf-8") as file:
            return {"curricula": json.load(file)}
    except FileNotFoundError:
        return {}


def _curricula_file(path: str) -> str:
    return os.path.join(os.path.dirname(path), "curricula.json")


def _refuse_json(path: str) -> None:
    json = os.path.splitext(path)[0] + ".json"
    if os.path.exists(json):
        raise ValueError(
            f"traincast 0.1 has saved {json}, in a form that this version does not read; remove it to go on "
            "without it: a resumed run then counts its versions from 1, and an evaluation needs eval_info="
        )


def save_wire(cfg: Any, policy_id: int, snapshot: bytes, curricula: Any = None) -> None:
    """Write a snapshot in wire form, and the states of curricula, each file as a whole or not at all.

    Raises:
        OSError: a file could not be written; the previous one is untouched.
    """
    path = info_file(cfg, policy_id)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if curricula is not None:
        _write(_curricula_file(path), json.dumps(curricula).encode())
    _write(path, snapshot)


def _write(path: str, content: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def info_file(cfg: Any, policy_id: int) -> str:
    """Return the path of the saved training information of one policy, in its checkpoint directory."""
    return os.path.join(experiment_dir(cfg, mkdir=False), f"checkpoint_p{policy_id}", "training_info.wire")
