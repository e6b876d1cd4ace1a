"""The training information in a trainer's checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.checkpoint import Checkpoint

from traincast._core import TrainingInfoWriter, decode_wire
from traincast.errors import ChannelNotFoundError, InvalidSnapshotError
from traincast.run import Run

__all__ = ["as_saved", "from_file", "from_saved"]

_SNAPSHOT = "snapshot"
_CURRICULA = "curricula"


def as_saved(run: Run) -> dict[str, torch.Tensor]:
    """Return the state of a run for a checkpoint, as bytes in tensors.

    All of TorchRL's checkpoint formats keep a tensor as it is. Of other values, some formats refuse arrays of
    some dtypes, and others turn keys that are numbers into strings.
    """
    curricula = run.state_dict().get(_CURRICULA)
    saved = {_SNAPSHOT: _tensor_of(_wire_of(run))}
    return saved if curricula is None else saved | {_CURRICULA: _tensor_of(json.dumps(curricula).encode())}


def _tensor_of(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _content_of(tensor: Any) -> bytes:
    return bytes(tensor.cpu().numpy())


def _wire_of(run: Run) -> bytes:
    with suppress(ChannelNotFoundError), run.channel.open() as reader:
        return reader.read_wire()
    # The run has been closed, but still has its last state.
    with TemporaryDirectory() as folder, TrainingInfoWriter(run.name, directory=folder) as writer:
        writer.load_state_dict(run.state_dict())
        wire = writer.read_wire()
        assert wire is not None
        return wire


def from_saved(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a run from what `as_saved` returned.

    Raises: ValueError if it is something else, or damaged.
    """
    try:
        state = decode_wire(_content_of(saved[_SNAPSHOT]))
        if _CURRICULA in saved.keys():  # noqa: SIM118 - a TensorDict does not support `in` itself
            state[_CURRICULA] = json.loads(_content_of(saved[_CURRICULA]))
        return state
    except (KeyError, TypeError, AttributeError, ValueError, InvalidSnapshotError) as error:
        raise ValueError(f"the state was not saved by a TrainingInfoHook, or is damaged: {error}") from None


class _Slot:
    """A component that keeps what a checkpoint has for it."""

    saved: Mapping[str, Any]

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.saved = state_dict


def from_file(path: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """Return the state of a run from a trainer's checkpoint in which a hook was saved under `name`.

    Raises: FileNotFoundError if there is no such file, KeyError if no hook of this name was saved in it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if Checkpoint.is_checkpoint(path):
        slot, component = _Slot(), f"trainer_module.{name}"
        if component not in Checkpoint.manifest(path)["components"]:
            raise _unsaved(path, name)
        Checkpoint(strict="error").register(component, slot).load(
            path, components=[component], map_location="cpu"
        )
        return from_saved(slot.saved)
    if path.is_dir():  # CKPT_BACKEND=memmap
        if not (path / name).is_dir():
            raise _unsaved(path, name)
        return from_saved(TensorDict.load_memmap(path / name))
    modules = torch.load(path, map_location="cpu", weights_only=True)  # CKPT_BACKEND=torch
    if name not in modules:
        raise _unsaved(path, name)
    return from_saved(modules[name])


def _unsaved(path: Path, name: str) -> KeyError:
    return KeyError(f"{path} has nothing of a TrainingInfoHook under the name {name!r}")
