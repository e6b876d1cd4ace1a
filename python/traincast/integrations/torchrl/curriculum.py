"""`CurriculumInfoReader`: reads the numbers that a curriculum shows in infos into TorchRL's data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.data import Composite, Unbounded
from torchrl.envs.gym_like import BaseInfoDictReader

from traincast._warnings import warn_once

__all__ = ["CurriculumInfoReader", "numbers_of_batch"]


class CurriculumInfoReader(BaseInfoDictReader):
    """Reads the numbers that a curriculum shows in `info` into the data of a `GymWrapper`.

    Curricula show them at the reset and in the last step of an episode. In the data, each step has those of
    its episode: float32 of shape `()` under `("curriculum", key)` and `("next", "curriculum", key)`. They are
    nan while the curriculum has none. A `TrainingInfoHook` logs their mean over each batch as
    `"curriculum/<key>"`; policies may use them as inputs.

    Each env needs a reader of its own.

    Args:
        keys: what to read: the names of a `ProgressCurriculum`'s attributes and `"progress"`; `"level"` and
            `"average"` of a `PerformanceCurriculum`.
        info_key: the `info_key` of the curriculum; also the first key in the data.

    Raises: KeyError, at a reset, if the curriculum shows no such key.

    Example:
        >>> env = ProgressCurriculum(env, {"length": Linear(...)})  # doctest: +SKIP
        >>> env = GymWrapper(hook.wrap_env(env))  # doctest: +SKIP
        >>> env.set_info_dict_reader(CurriculumInfoReader(["progress", "length"]))  # doctest: +SKIP
    """

    def __init__(self, keys: Sequence[str], info_key: str = "curriculum") -> None:
        if isinstance(keys, str):
            raise TypeError(f"keys must be a list of names, not the string {keys!r}: [{keys!r}]")
        self.keys = list(keys)
        self.info_key = info_key
        self._numbers = dict.fromkeys(self.keys, math.nan)
        self._spec = Composite({info_key: Composite({key: Unbounded(()) for key in self.keys})})

    @property
    def info_spec(self) -> Composite:
        """The spec of what it adds to the observations of the env."""
        return self._spec

    def __call__(self, info_dict: dict[str, Any], tensordict: TensorDictBase) -> TensorDictBase:
        """Write the numbers of this episode into `tensordict`."""
        shown = info_dict.get(self.info_key)
        if isinstance(shown, Mapping):
            absent = [key for key in self.keys if key not in shown]
            if absent:
                raise KeyError(f"the curriculum shows no {', '.join(absent)}, only {', '.join(shown)}")
            self._numbers = {key: float(shown[key]) for key in self.keys}
        elif all(map(math.isnan, self._numbers.values())):
            warn_once(
                ("no curriculum", self.info_key),
                f"the info of the env has no {self.info_key!r} for a CurriculumInfoReader: put a curriculum "
                "with this info_key inside of the GymWrapper",
            )
        for key, number in self._numbers.items():
            tensordict.set((self.info_key, key), torch.tensor(number))
        return tensordict


def numbers_of_batch(batch: TensorDictBase | None, key: str = "curriculum") -> dict[str, float]:
    """Return the mean of each number that a `CurriculumInfoReader` has put into a batch."""
    if batch is None or (shown := batch.get(("next", key), None)) is None:
        return {}
    mask = batch.get(("collector", "mask"), None)  # where trajectories are padded to one length
    means = {
        name: (values if mask is None else values[mask]).nanmean().item() for name, values in shown.items()
    }
    return {f"{key}/{name}": mean for name, mean in means.items() if not math.isnan(mean)}
