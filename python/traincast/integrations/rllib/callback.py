"""`TrainingInfoCallback`: publishes in the algorithm's process, and wraps the envs in the env runners'."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ray
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from traincast._beginning import STEPS_KEY, whole_steps
from traincast._warnings import warn_once
from traincast.curriculum._learner import of_another_run
from traincast.errors import MissingKeyError
from traincast.integrations._publishing import Publishing, TrainingInfo
from traincast.integrations.rllib import runners
from traincast.integrations.rllib.checkpoints import join_checkpoints
from traincast.integrations.rllib.watch import Watch
from traincast.relay.ray import start
from traincast.run import Run
from traincast.sinks import numbers_of
from traincast.unwrapping import own_copy

__all__ = ["TrainingInfoCallback"]

_RESULTS = "traincast"


class TrainingInfoCallback(RLlibCallback):
    """Publishes RLlib's count of env steps, which all envs receive before they reset.

    Pass the class to `config.callbacks`; with arguments: `partial(TrainingInfoCallback, training_info=f)`.
    Each algorithm, and so each trial of a sweep, has a run of its own, which ends with `algo.stop()`.
    `Algorithm.from_checkpoint`, `algo.restore_from_path` and `algo.restore` go on with the count of the
    checkpoint, and with the curriculum as it was then.

    The result of `algo.train()` has the published numbers under `"traincast"`, and the numbers that curricula
    show in infos at the ends of episodes under `["env_runners"]["curriculum"]`, as means over recent
    episodes. In evaluation both are in `result["evaluation"]`.

    Args:
        training_info: entries beside `approx_total_training_steps`: a mapping, or a function that is called
            with the algorithm before each publish and returns the entries that have changed, such as a
            `PooledCurriculum`. It is called once before anything is sampled, then after each training
            iteration, before each evaluation, and after a restore.
        evaluation_info: what the envs of evaluation env runners see. None: the training information that is
            newest at the first evaluation; they keep it.
        wrapper_kwargs: further arguments of the `TrainingInfoWrapper` around each env, for instance
            `{"info_key": "curriculum"}`.
        curriculum_key: the key of infos under which curricula show their values (their `info_key`).
        start: training steps that came before RLlib's count.
        run: a run that the caller has made, and closes, in the process of the algorithm (not with Tune).
        options: arguments of `traincast.Run`.

    Raises: in `config.build_algo()`: TypeError if `training_info` is neither mapping nor function;
        MissingKeyError if `evaluation_info` lacks `approx_total_training_steps`; and as `Run`.

    Example:
        >>> config = PPOConfig().environment(MyEnv).callbacks(TrainingInfoCallback)  # doctest: +SKIP
    """

    def __init__(
        self,
        training_info: TrainingInfo | None = None,
        *,
        evaluation_info: Mapping[str, Any] | None = None,
        wrapper_kwargs: Mapping[str, Any] | None = None,
        curriculum_key: str = "curriculum",
        start: int = 0,
        run: Run | None = None,
        **options: Any,
    ) -> None:
        if evaluation_info is not None and STEPS_KEY not in evaluation_info:
            raise MissingKeyError(f"evaluation_info lacks {STEPS_KEY!r}, which envs rely on")
        self._training_info = training_info
        self._evaluation_info = evaluation_info
        self._wrapper_kwargs = dict(wrapper_kwargs or {})
        self._curriculum_key = curriculum_key
        self._options = {"start": start, "run": run, **options}
        # RLlib makes an object of this class in each env runner, too, where it stays None.
        self._publishing: Publishing | None = None
        self._lock = threading.Lock()

    @property
    def run(self) -> Run:
        """The run of the algorithm, in its process: `algo.callbacks[0].run`."""
        if self._publishing is None:
            raise RuntimeError(
                "there is no run here: it is made with the algorithm, in the process of the algorithm"
            )
        return self._publishing.run

    # In the process of the algorithm.

    def on_algorithm_init(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Make the run, and tell the env runners."""
        if not algorithm.config.enable_env_runner_and_connector_v2:
            raise ValueError(
                "TrainingInfoCallback is for RLlib's new API stack: config.api_stack("
                "enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)"
            )
        options = self._options
        in_a_trial = ray.get_runtime_context().get_actor_id() is not None
        if options["run"] is None and in_a_trial and "state" not in options:
            options = {"name": type(algorithm).__name__} | options  # the program is Ray's own
        self._publishing = Publishing(self._training_info, **options)
        self._before = self.run.steps
        close = _leave_open if options["run"] is not None else self.run.close
        relays = None
        if sum(node["Alive"] for node in ray.nodes()) > 1:  # other nodes do not share this node's memory
            relays = start(self.run)
            close = _closing_both(relays.stop, close)
        try:
            self._publish(algorithm)
            if relays is not None and not relays.wait():
                warn_once(
                    ("relays that do not start", self.run.channel),
                    f"not all nodes of the Ray cluster have run {self.run.name!r} after a minute; their envs "
                    "may reset without training information. See docs/nodes.md",
                )
            if algorithm.env_runner_group is not None:
                self._serve(algorithm.env_runner_group, self._service())
        except BaseException:
            close()  # a traceback may keep this object alive
            raise
        join_checkpoints(algorithm, self._saved, self._restored)
        self._watch = Watch(algorithm, close)
        self._watch.start()

    def on_env_runners_recreated(
        self,
        *,
        algorithm: Any,
        env_runner_group: Any,
        env_runner_indices: list[int],
        is_evaluation: bool,
        **kwargs: Any,
    ) -> None:
        """Tell env runners that were restarted; those of an evaluation are told when it starts."""
        if not is_evaluation:
            self._publish(algorithm)  # RLlib has just given them this count
            self._serve(
                env_runner_group,
                self._service(),
                remote_worker_ids=env_runner_indices,
                local_env_runner=False,
            )

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        """Publish, and add the published numbers to the result."""
        self._publish(algorithm)
        result[_RESULTS] = numbers_of(self.run.state_dict()["training_info"])

    def on_evaluate_start(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Tell the env runners of the evaluation what their envs see."""
        self._publish(algorithm)
        if algorithm.eval_env_runner_group is not None:
            if self._evaluation_info is None:
                self._evaluation_info = self._frozen()
            self._serve(algorithm.eval_env_runner_group, self._service(self._evaluation_info))
        elif algorithm.env_runner_group is not None:
            warn_once(
                ("evaluation in the envs of the training", self.run.channel),
                "this evaluation runs in the envs of the training: they see the training's information, and "
                "its episodes change their curricula by performance. To give it envs of its own, use "
                "config.evaluation(evaluation_interval=...)",
            )

    def on_evaluate_end(self, *, algorithm: Any, evaluation_metrics: dict[str, Any], **kwargs: Any) -> None:
        """Add the numbers that the envs of the evaluation saw to the result."""
        if algorithm.eval_env_runner_group is not None and self._evaluation_info is not None:
            evaluation_metrics[_RESULTS] = numbers_of(self._evaluation_info)

    def _publish(self, algorithm: Any) -> None:
        assert self._publishing is not None
        with self._lock:  # evaluation may be parallel to training
            self._publishing._publish_at(self._steps(algorithm), algorithm)

    def _steps(self, algorithm: Any) -> int:
        counted = algorithm.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        return self._before + whole_steps(counted)

    def _saved(self) -> dict[str, Any]:
        curricula = self.run.state_dict().get("curricula", {})
        return {key: of_another_run(state) for key, state in curricula.items()}

    def _restored(self, algorithm: Any, curricula: Mapping[str, Any] | None) -> None:
        """Go on from the checkpoint, which may be older: population based training goes back."""
        steps, state = self._steps(algorithm), self.run.state_dict()
        if curricula or steps < self.run.steps:
            restored = {
                "training_info": {**state["training_info"], STEPS_KEY: steps},
                "curricula": {**state.get("curricula", {}), **(curricula or {})},
            }
            self.run.load_state_dict({**state, **restored})
        self._publish(algorithm)

    def _service(self, evaluation_info: Mapping[str, Any] | None = None) -> runners.Service:
        return runners.Service(self.run, self._wrapper_kwargs, evaluation_info)

    def _serve(self, group: Any, service: runners.Service, **which: Any) -> None:
        for problem in group.foreach_env_runner(partial(runners.serve, service=service), **which):
            if problem is not None:
                warn_once(problem, problem)

    def _frozen(self) -> dict[str, Any]:
        info = own_copy(self.run.state_dict()["training_info"])
        if info[STEPS_KEY] == self._before:
            warn_once(
                ("frozen at the start", self.run.channel),
                f"the envs of the evaluation keep what they see now, at the start of the training "
                f"({STEPS_KEY}={info[STEPS_KEY]}). To give them something else, pass "
                "partial(TrainingInfoCallback, evaluation_info={...})",
            )
        return info

    # In the processes of the env runners.

    def on_environment_created(self, *, env_runner: Any, **kwargs: Any) -> None:
        """Wrap the envs."""
        runners.prepare(env_runner)

    def on_episode_end(
        self, *, episode: Any, env_runner: Any, metrics_logger: Any, env_index: int, **kwargs: Any
    ) -> None:
        """Log the curriculum of the episode."""
        runners.log_curriculum(env_runner, metrics_logger, episode, env_index, self._curriculum_key)


def _closing_both(stop: Callable[[], None], close: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        close()
        stop()

    return both


def _leave_open() -> None:
    """Leave the caller's run open."""
