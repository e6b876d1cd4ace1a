"""Broadcast training information from a learner to its envs through shared memory.

Importing the package does not import numpy, torch or gymnasium: the wrappers and the modules `curriculum`,
`relay`, `scores` and `sinks` are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from traincast._core import TrainingInfoKey, TrainingInfoReader, TrainingInfoWriter
from traincast._core import __version__ as __version__
from traincast._native import get_include
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
from traincast.run import Run
from traincast.unwrapping import (
    find_reward_shaping_interface,
    find_training_info_interface,
    find_wrapper_interface,
    set_training_info,
)

if TYPE_CHECKING:
    from traincast import curriculum, relay, scores, sinks
    from traincast.wrappers.gymnasium import TrainingInfoWrapper
    from traincast.wrappers.pettingzoo import TrainingInfoAECWrapper, TrainingInfoParallelWrapper
    from traincast.wrappers.vector import TrainingInfoVectorWrapper

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
    "Run",
    "StorageFullError",
    "TraincastError",
    "TraincastWarning",
    "TrainingInfoAECWrapper",
    "TrainingInfoInterface",
    "TrainingInfoKey",
    "TrainingInfoParallelWrapper",
    "TrainingInfoReader",
    "TrainingInfoVectorWrapper",
    "TrainingInfoWrapper",
    "TrainingInfoWriter",
    "UnsupportedTypeError",
    "curriculum",
    "find_reward_shaping_interface",
    "find_training_info_interface",
    "find_wrapper_interface",
    "get_include",
    "relay",
    "scores",
    "set_training_info",
    "sinks",
]


__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submodules=["curriculum", "relay", "scores", "sinks"],
    submod_attrs={
        "wrappers.gymnasium": ["TrainingInfoWrapper"],
        "wrappers.pettingzoo": ["TrainingInfoAECWrapper", "TrainingInfoParallelWrapper"],
        "wrappers.vector": ["TrainingInfoVectorWrapper"],
    },
)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
