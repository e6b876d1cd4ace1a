"""The learner's side: publishes what the runner knows, when it learns it."""

from __future__ import annotations

import atexit
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sample_factory.algo.runners.runner import AlgoObserver
from sample_factory.algo.utils.misc import LEARNER_ENV_STEPS
from sample_factory.utils.utils import log
from signal_slot.signal_slot import EventLoopObject

from traincast import StorageFullError, TrainingInfoWriter
from traincast.integrations.sample_factory.channel import hide_channel, show_channel
from traincast.integrations.sample_factory.saved import load_state, save_wire

__all__ = ["ExtraInfo", "TrainingInfoObserver"]

ExtraInfo = Callable[[Any, int], Mapping[str, Any] | None]

# What Sample Factory's runner sends by itself; the rest of a dictionary is the user's.
_STEPS, _POLICY, _SHAPING = "approx_total_training_steps", "policy_id", "reward_shaping"


class TrainingInfoObserver(AlgoObserver):
    """Publishes the training information of a Sample Factory run to the envs that `wrap_env_func` wrapped.

    It goes on the runner between its construction and `runner.init()`::

        cfg, runner = make_runner(cfg)
        runner.register_observer(TrainingInfoObserver())
        if runner.init() == ExperimentStatus.SUCCESS:
            runner.run()

    Each policy has a channel, under a name that only this run has. A snapshot holds what the runner's own
    `_propagate_training_info` sends (`policy_id`, `approx_total_training_steps` in env steps,
    `reward_shaping`, and what a subclass of the runner adds to it), and what `training_info(runner,
    policy_id)` returns. It is published at each report of that policy's learner and whenever the runner sends
    its own; never before the learner's first report, since until then the steps of a resumed run are unknown.

    The last snapshot is kept in wire form beside the checkpoints (`checkpoint_p0/training_info.wire`), for
    evaluation and for a resumed run, which goes on with its version and epoch numbers.

    Args:
        training_info: returns keys to add, or None. It may not return the three keys that the runner itself
            sends.

    Attributes:
        name: the name of this run's channels; empty before `runner.init()`.
    """

    def __init__(self, training_info: ExtraInfo | None = None) -> None:
        if training_info is not None and not callable(training_info):
            raise TypeError(
                f"training_info must be a function of (runner, policy_id), not {type(training_info).__name__}"
            )
        self.name = ""
        self._extra = training_info
        self._cfg: Any = None
        self._writers: dict[int, TrainingInfoWriter] = {}
        self._carried: dict[int, dict[str, Any]] = {}
        self._resumed: dict[int, dict[str, Any]] = {}
        self._slots: _Slots | None = None

    # --- called by the runner

    def on_init(self, runner: Any) -> None:
        """Open the channels; the configuration that the workers are about to receive carries their name."""
        cfg = runner.cfg
        self.name = _new_name(cfg.experiment)
        for policy_id in range(cfg.num_policies):
            self._writers[policy_id] = TrainingInfoWriter(self.name, policy_id, leftover="refuse")
            if cfg.restart_behavior == "resume" and (state := load_state(cfg, policy_id)):
                self._resumed[policy_id] = state
        self._cfg = cfg
        show_channel(cfg, self.name)
        # After the runner's own handler, so that the runner has the new number when ours reads it.
        runner.policy_msg_handlers[LEARNER_ENV_STEPS].append(self._on_learner_report)
        self._slots = _Slots(self, runner)
        atexit.register(self.close)

    def on_connect_components(self, runner: Any) -> None:
        """Listen to the runner's own training information, to checkpoints and to the end of the run."""
        slots = self._slots
        if slots is None:
            return  # a runner that was not initialised through init()
        runner.update_training_info.connect(slots.on_update_training_info)
        runner.all_components_stopped.connect(slots.on_all_components_stopped)
        for learner_worker in runner.learners.values():
            learner_worker.saved_model.connect(slots.on_saved_model)

    def on_stop(self, runner: Any) -> None:
        """Save; learners may report once more before they stop, so the channels stay open."""
        self.save()

    # --- publishing

    def publish(self, runner: Any, policy_id: int) -> None:
        """Publish what the runner knows of this policy; nothing if its learner has not reported yet."""
        writer = self._writers.get(policy_id)
        if writer is None or policy_id not in runner.env_steps:
            return
        info = self._carried.get(policy_id, {}) | {
            _POLICY: policy_id,
            _STEPS: runner.env_steps[policy_id],
            _SHAPING: runner.reward_shaping[policy_id],
        }
        if self._extra is not None:
            info |= _checked(self._extra(runner, policy_id))
        try:
            state = self._resumed.pop(policy_id, None)
            if state is None:
                writer.publish(info)
            else:
                writer.load_state_dict(writer.state_dict() | {**state, "training_info": info})
        except StorageFullError:
            if writer.version == 0:
                raise
            # A full /dev/shm may be someone else's doing and pass: the envs keep what they have, the training
            # goes on.
            log.exception("The training information of policy %d was not published", policy_id)

    def save(self, policy_id: int | None = None) -> None:
        """Write the last snapshot (of one policy, or of all) beside the checkpoints."""
        for each in self._writers if policy_id is None else (policy_id,):
            writer = self._writers.get(each)
            snapshot = None if writer is None else writer.read_wire()
            if snapshot is None:
                continue
            try:
                save_wire(self._cfg, each, snapshot)
            except OSError:
                log.exception("The training information of policy %d was not saved", each)

    def close(self) -> None:
        """Save, close the channels and remove their files; envs keep what they have. Twice is harmless."""
        atexit.unregister(self.close)
        self.save()
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()
        if self._cfg is not None:
            hide_channel(self._cfg)

    def _on_learner_report(self, runner: Any, _msg: Any, policy_id: int) -> None:
        self.publish(runner, policy_id)

    def _on_update_training_info(self, runner: Any, training_info: Mapping[int, Mapping[str, Any]]) -> None:
        # The message waited in a queue: only keys that the runner's attributes do not tell are taken from it.
        for policy_id, info in training_info.items():
            self._carried[policy_id] = dict(info)
            self.publish(runner, policy_id)


class _Slots(EventLoopObject):
    """The observer's ears on the runner's event loop."""

    def __init__(self, observer: TrainingInfoObserver, runner: Any) -> None:
        EventLoopObject.__init__(self, runner.event_loop, f"traincast-{observer.name}")
        self._observer = observer
        self._runner = runner

    def on_update_training_info(self, training_info: Mapping[int, Mapping[str, Any]]) -> None:
        self._observer._on_update_training_info(self._runner, training_info)

    def on_saved_model(self, policy_id: int) -> None:
        self._observer.save(policy_id)

    def on_all_components_stopped(self) -> None:
        self._observer.close()


def _checked(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if extra is None:
        return {}
    for key in (_POLICY, _STEPS, _SHAPING):
        if key in extra:
            raise ValueError(
                f"training_info(runner, policy_id) returned {key!r}, which the runner itself sends"
            )
    return extra


def _new_name(experiment: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", experiment).lstrip(".")
    return f"sf-{plain[:80]}-{uuid.uuid4().hex[:12]}"
