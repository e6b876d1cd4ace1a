"""The learner's side: publishes what the runner knows as soon as it knows it."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sample_factory.algo.runners.runner import AlgoObserver
from sample_factory.algo.utils.misc import LEARNER_ENV_STEPS
from sample_factory.utils.utils import log
from signal_slot.signal_slot import EventLoopObject

from traincast import Run, StorageFullError, TraincastError, TrainingInfoWriter
from traincast._beginning import STEPS_KEY
from traincast._companions import Companion
from traincast._names import unique_name
from traincast.integrations.sample_factory.channel import hide_channel, show_channel
from traincast.integrations.sample_factory.saved import load_state, save_wire
from traincast.sinks import tensorboard

__all__ = ["ExtraInfo", "TrainingInfoObserver"]

ExtraInfo = Callable[[Any, int], Mapping[str, Any] | None] | Sequence[Companion[Any]]

# What Sample Factory's runner sends by itself; the rest of a dictionary is the user's.
_POLICY, _SHAPING = "policy_id", "reward_shaping"


class TrainingInfoObserver(AlgoObserver, EventLoopObject):
    """Publishes the training information of a Sample Factory run to the envs that `wrap_env_func` wrapped.

    Register it on the runner between its construction and `runner.init()`::

        cfg, runner = make_runner(cfg)
        runner.register_observer(TrainingInfoObserver())
        if runner.init() == ExperimentStatus.SUCCESS:
            runner.run()

    Each policy has a `traincast.Run`; the runs of a training have one unique name. A snapshot holds what the
    runner's own `_propagate_training_info` sends (`policy_id`, `approx_total_training_steps` in env steps,
    `reward_shaping`, and what a subclass of the runner adds to it), and what `training_info(runner,
    policy_id)` returns. It is published at each report of that policy's learner, and whenever the runner
    sends its own; never before the learner's first report, because until then the steps of a resumed training
    are unknown. So a policy's run begins with that report. Its numbers are among the policy's summaries,
    which TensorBoard shows under `traincast/`.

    The last snapshot is saved in wire form beside the checkpoints (`checkpoint_p0/training_info.wire`), for
    an evaluation and for a resumed training, whose version and epoch go on from it.

    Args:
        training_info: a function that returns the keys that have changed, or None; keys that it does not
            return stay. It must not return the three keys that the runner itself sends. Or a
            `PooledCurriculum` or `TaskSampler`; with several policies, a list that has one for each.

    Attributes:
        name: the name of the runs; empty before `runner.init()`.
        runs: the run of each policy whose learner has reported; empty after the training.
    """

    def __init__(self, training_info: ExtraInfo | None = None) -> None:
        self.event_loop: Any = None  # the runner's, from on_init on; the base class's destructor needs it
        self.name = ""
        self.runs: dict[int, Run] = {}
        self._extra: Callable[[Any, int], Mapping[str, Any] | None] | None = None
        self._curricula: list[Companion[Any]] = []
        if isinstance(training_info, Companion):
            self._curricula = [training_info]
        elif callable(training_info):
            self._extra = training_info
        elif training_info is not None:
            self._curricula = _curricula_in(training_info)
        self._cfg: Any = None
        self._carried: dict[int, dict[str, Any]] = {}
        self._resumed: dict[int, dict[str, Any]] = {}
        self._runner: Any = None

    # --- called by the runner

    def on_init(self, runner: Any) -> None:
        """Name the runs; the configuration that the workers are about to receive carries the name."""
        cfg = runner.cfg
        if self._curricula and len(self._curricula) != cfg.num_policies:
            raise ValueError(
                f"there are {cfg.num_policies} policies, but training_info has curricula for "
                f"{len(self._curricula)}: pass a list with one for each policy"
            )
        self.name = unique_name(f"sf-{cfg.experiment}", per_rank=True)
        TrainingInfoWriter(self.name).close()  # raises before workers start if the directory is not usable
        if cfg.restart_behavior == "resume":
            states = {policy_id: load_state(cfg, policy_id) for policy_id in range(cfg.num_policies)}
            self._resumed = {policy_id: state for policy_id, state in states.items() if state}
        self._cfg = cfg
        self._carried = {}
        show_channel(cfg, self.name)
        # After the runner's own handler, so that the runner has the new number when ours reads it.
        runner.policy_msg_handlers[LEARNER_ENV_STEPS].append(self._on_learner_report)
        self._runner = runner
        EventLoopObject.__init__(self, runner.event_loop, f"traincast-{self.name}")
        atexit.register(self.close)

    def on_connect_components(self, runner: Any) -> None:
        """Listen to the runner's own training information, to checkpoints and to the end of the run."""
        if self._runner is None:
            return  # a runner that was not initialised through init()
        runner.update_training_info.connect(self.on_update_training_info)
        runner.all_components_stopped.connect(self.on_all_components_stopped)
        for learner_worker in runner.learners.values():
            learner_worker.saved_model.connect(self.on_saved_model)

    def on_stop(self, runner: Any) -> None:
        """Save; learners may report once more before they stop, so the runs go on."""
        self.save()

    # --- called by the runner's event loop

    def on_update_training_info(self, training_info: Mapping[int, Mapping[str, Any]]) -> None:
        """The runner has sent its own training information."""
        # The message has waited in a queue: the keys that the runner has as attributes are newer there.
        for policy_id, info in training_info.items():
            self._carried[policy_id] = {key: value for key, value in info.items() if key != STEPS_KEY}
            self.publish(self._runner, policy_id)

    def on_saved_model(self, policy_id: int) -> None:
        """A learner has written a checkpoint."""
        self.save(policy_id)

    def on_all_components_stopped(self) -> None:
        """The training has ended."""
        self.close()

    # --- publishing

    def publish(self, runner: Any, policy_id: int) -> None:
        """Publish what the runner knows of this policy; nothing if its learner has not reported yet."""
        if self._cfg is None or policy_id not in runner.env_steps:
            return
        steps = runner.env_steps[policy_id]
        info = self._carried.get(policy_id, {}) | {
            _POLICY: policy_id,
            _SHAPING: runner.reward_shaping[policy_id],
        }
        if self._extra is not None:
            info |= _checked(self._extra(runner, policy_id))
        run = self.runs.get(policy_id)
        curriculum = self._curricula[policy_id] if self._curricula else None
        try:
            if run is None:
                self.runs[policy_id] = self._begin(runner, policy_id, steps, info, curriculum)
            else:
                if curriculum is not None:
                    info |= curriculum()
                run.publish(steps, **info)
        except StorageFullError:
            if run is None:
                raise
            # Another program may have filled /dev/shm for a while: the envs keep what they have, and the
            # training goes on.
            log.exception("The training information of policy %d was not published", policy_id)

    def save(self, policy_id: int | None = None) -> None:
        """Write the last snapshot (of one policy, or of all) beside the checkpoints."""
        for each, run in self.runs.items():
            if policy_id not in (None, each):
                continue
            try:
                curricula = run.state_dict().get("curricula")
                with run.channel.open() as reader:
                    save_wire(self._cfg, each, reader.read_wire(), curricula)
            except (OSError, TraincastError):
                log.exception("The training information of policy %d was not saved", each)

    def close(self) -> None:
        """Save, end the runs and remove their files; envs keep what they have. Closing twice is allowed."""
        atexit.unregister(self.close)
        self.save()
        runs, self.runs = self.runs, {}
        for run in runs.values():
            run.close()
        if self._cfg is not None:
            hide_channel(self._cfg)
            self._cfg = None

    def _begin(
        self,
        runner: Any,
        policy_id: int,
        steps: int,
        info: Mapping[str, Any],
        curriculum: Companion[Any] | None,
    ) -> Run:
        state = self._resumed.pop(policy_id, None)
        run = Run(
            self.name,
            policy_id,
            start=steps,
            state=state and {**state, "training_info": None},  # only version and epoch: its values are old
            training_info=info,
            curriculum=curriculum,
            unique=False,  # the name is unique already, and all policies share it
            per_rank=True,
        )
        run.log_to(tensorboard(runner.writers[policy_id]), every=runner.summaries_interval_sec)
        return run

    def _on_learner_report(self, runner: Any, _msg: Any, policy_id: int) -> None:
        self.publish(runner, policy_id)


def _curricula_in(training_info: Any) -> list[Companion[Any]]:
    if isinstance(training_info, Sequence) and all(isinstance(one, Companion) for one in training_info):
        return list(training_info)
    raise TypeError(
        "training_info must be a function of (runner, policy_id), or a curriculum, or a list with one for "
        f"each policy, not {type(training_info).__name__}"
    )


def _checked(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    for key in extra or {}:
        if key in (_POLICY, STEPS_KEY, _SHAPING):
            raise ValueError(
                f"training_info(runner, policy_id) returned {key!r}, which the runner itself sends"
            )
        if not isinstance(key, str):
            raise TypeError(f"training_info(runner, policy_id) returned the key {key!r}, which is no string")
    return extra or {}
