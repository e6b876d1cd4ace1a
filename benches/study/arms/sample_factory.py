"""Sample Factory's own way to the envs, behind the same gate.

It uses these parts of Sample Factory 2.1: `Runner._propagate_training_info`, which makes and emits the
message; the runner's timer of 5 s on signal_slot's event loop; the queue of each worker's loop (faster-fifo);
the slot `on_update_training_info` of `RolloutWorker`, called between turns; and `set_training_info` on the
env's interface at each reset. The message has room for coefficients in `reward_shaping`, where
population-based training puts them: it carries the level there. Sampler and learner are the study's own, as
in all arms.
"""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

from sample_factory.algo.runners.runner import Runner
from sample_factory.algo.sampling.rollout_worker import RolloutWorker
from sample_factory.envs.env_utils import TrainingInfoInterface, set_training_info
from sample_factory.utils.utils import log
from signal_slot.signal_slot import EventLoop, EventLoopObject, TightLoop, Timer, signal

import traincast
from benches.study.arms.arm import Setting, Source
from benches.study.arms.gated import Gated, GatedSource

__all__ = ["SECONDS", "SampleFactory"]

log.setLevel(logging.ERROR)

SECONDS = 5.0  # `Runner.update_training_info_every_sec`


class _Runner(EventLoopObject):  # type: ignore[misc] # Sample Factory is untyped
    """What `Runner._propagate_training_info` needs of a runner."""

    def __init__(self, loop: EventLoop, arm: SampleFactory) -> None:
        super().__init__(loop, "runner")
        self.cfg = SimpleNamespace(num_policies=1)
        self._arm = arm

    @property
    def env_steps(self) -> dict[int, int]:
        return {0: self._arm.setting.shared.now()}

    @property
    def reward_shaping(self) -> list[dict[str, int]]:
        return [{"level": self._arm.level}]

    @signal  # type: ignore[untyped-decorator]
    def update_training_info(self) -> None: ...

    _propagate_training_info = Runner._propagate_training_info


class _RolloutWorker(EventLoopObject):  # type: ignore[misc]
    """What `RolloutWorker`'s slot needs of a worker."""

    def __init__(self, loop: EventLoop, worker: int) -> None:
        super().__init__(loop, f"rollout_worker_{worker}")
        self.training_info: list[dict[str, Any] | None] = [None]

    on_update_training_info = RolloutWorker.on_update_training_info


class SampleFactory(Gated):
    """The level by Sample Factory's queue, every 5 s."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._loop = EventLoop("main_loop")
        self._runner = _Runner(self._loop, self)
        self._timer = Timer(self._loop, SECONDS)
        self._timer.timeout.connect(self._runner._propagate_training_info)
        loops = [EventLoop(f"rollout_proc{worker}_evt_loop") for worker in range(setting.workers)]
        self._receivers = [_RolloutWorker(loop, worker) for worker, loop in enumerate(loops)]
        for receiver in self._receivers:
            self._runner.update_training_info.connect(receiver.on_update_training_info)
        self._thread = threading.Thread(target=self._loop.exec, daemon=True)

    def started(self) -> None:
        self._timer.stop()
        self._timer.start()  # so that the five seconds begin with the training
        self._thread.start()

    def source(self, worker: int) -> Source:
        return _QueueSource(self.run, self._receivers[worker])

    def close(self) -> None:
        self._loop.stop()
        if self._thread.is_alive():
            self._thread.join()
        super().close()


class _QueueSource(GatedSource):
    def __init__(self, run: traincast.Run, receiver: _RolloutWorker) -> None:
        super().__init__(run)
        self._receiver = receiver
        self._interface = TrainingInfoInterface()
        TightLoop(receiver.event_loop)  # so that a look at the queue does not wait

    def level(self, env: int, now: int) -> int:
        if (info := self._receiver.training_info[0]) is not None:
            set_training_info(self._interface, info)
        return int(self._interface.training_info.get("reward_shaping", {"level": 0})["level"])

    def between(self, now: int) -> None:
        self._receiver.event_loop.process_events()
