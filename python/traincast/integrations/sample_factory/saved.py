"""The last training information of a run, as JSON beside its checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from sample_factory.utils.utils import experiment_dir

from traincast.integrations.sample_factory.plain import from_plain, to_plain

__all__ = ["info_file", "load_state", "load_training_info", "save_state"]

_FORMAT = 1


def load_training_info(cfg: Any, policy_id: int = 0) -> dict[str, Any] | None:
    """Return the training information that a run of this experiment saved last; None if there is none.

    Args:
        cfg: Sample Factory's configuration; `train_dir` and `experiment` say where to look.
        policy_id: which policy of the run.

    Raises:
        ValueError: the file is there, but not what `save_state` writes.
    """
    state = load_state(cfg, policy_id)
    return None if state is None else state["training_info"]


def load_state(cfg: Any, policy_id: int) -> dict[str, Any] | None:
    """Return `version`, `epoch` and `training_info` as last saved; None if there is none."""
    path = info_file(cfg, policy_id)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r} is not {_FORMAT}")
        info = from_plain(content["training_info"])
        if not isinstance(info, dict):
            raise TypeError(f"training_info is {type(info).__name__}, not a dictionary")
        return {"version": int(content["version"]), "epoch": int(content["epoch"]), "training_info": info}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold saved training information ({error}); remove it to go on without it"
        ) from error


def save_state(cfg: Any, policy_id: int, state: Mapping[str, Any]) -> None:
    """Write a writer's `state_dict()`; whoever reads meanwhile sees the old file or the new one.

    Raises:
        OSError: the file could not be written; the one before is untouched.
    """
    content = {
        "format": _FORMAT,
        "version": state["version"],
        "epoch": state["epoch"],
        "training_info": to_plain(state["training_info"]),
    }
    path = info_file(cfg, policy_id)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(content, file, allow_nan=False)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def info_file(cfg: Any, policy_id: int) -> str:
    """Return the path of the saved training information of one policy, in its checkpoint directory."""
    return os.path.join(experiment_dir(cfg, mkdir=False), f"checkpoint_p{policy_id}", "training_info.json")
