"""`TrainInfoObserver`: for algorithms of rl_games that do not call `set_train_info`."""

from __future__ import annotations

from typing import Any

from rl_games.common.algo_observer import DefaultAlgoObserver

__all__ = ["TrainInfoObserver"]


class TrainInfoObserver(DefaultAlgoObserver):
    """An `AlgoObserver` that calls `set_train_info` for algorithms that do not, which is SAC.

    Example:
        >>> Runner(TrainInfoObserver()).run({"train": True})  # doctest: +SKIP
    """

    def after_init(self, algo: Any) -> None:
        """Tell the vec env the frames so far: SAC resets the envs after this call."""
        super().after_init(algo)
        self._tell()

    def after_print_stats(self, frame: int, epoch_num: int, total_time: float) -> None:
        """Tell the vec env the frames after an epoch."""
        super().after_print_stats(frame, epoch_num, total_time)
        self._tell()

    def _tell(self) -> None:
        if self.algo.vec_env is not None:
            self.algo.vec_env.set_train_info(self.algo.frame, self.algo)
