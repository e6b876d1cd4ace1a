"""Broadcast training information from a learner to its envs through shared memory.

Importing the package loads neither numpy, torch nor gymnasium: `TrainingInfoWrapper` and `curriculum` are
loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from traincast._core import TrainingInfoReader, TrainingInfoWriter
from traincast.errors import (
    ChannelBusyError,
    ChannelClosedError,
    ChannelExistsError,
    ChannelLostError,
    ChannelNotFoundError,
    CorruptChannelError,
    ForkedWriterError,
    IncompatibleChannelError,
    InsecureDirectoryError,
    InvalidNameError,
    InvalidSnapshotError,
    MissingKeyError,
    OutdatedSnapshotError,
    PayloadTooLargeError,
    StorageFullError,
    TraincastError,
    TraincastWarning,
    UnsupportedTypeError,
)
from traincast.interfaces import RewardShapingInterface, TrainingInfoInterface
from traincast.unwrapping import (
    find_reward_shaping_interface,
    find_training_info_interface,
    find_wrapper_interface,
    set_training_info,
)

if TYPE_CHECKING:
    from traincast import curriculum
    from traincast.wrapper import TrainingInfoWrapper

__all__ = [
    "ChannelBusyError",
    "ChannelClosedError",
    "ChannelExistsError",
    "ChannelLostError",
    "ChannelNotFoundError",
    "CorruptChannelError",
    "ForkedWriterError",
    "IncompatibleChannelError",
    "InsecureDirectoryError",
    "InvalidNameError",
    "InvalidSnapshotError",
    "MissingKeyError",
    "OutdatedSnapshotError",
    "PayloadTooLargeError",
    "RewardShapingInterface",
    "StorageFullError",
    "TraincastError",
    "TraincastWarning",
    "TrainingInfoInterface",
    "TrainingInfoReader",
    "TrainingInfoWrapper",
    "TrainingInfoWriter",
    "UnsupportedTypeError",
    "curriculum",
    "find_reward_shaping_interface",
    "find_training_info_interface",
    "find_wrapper_interface",
    "set_training_info",
]


def __getattr__(name: str) -> Any:
    if name == "TrainingInfoWrapper":
        return import_module("traincast.wrapper").TrainingInfoWrapper
    if name == "curriculum":
        return import_module("traincast.curriculum")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
