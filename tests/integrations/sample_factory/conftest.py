"""Real runs of Sample Factory, each in a process of its own, and their event logs."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from places import place

import traincast

SUPPORT = Path(__file__).parent / "support"
HANG_SECONDS = 900  # a watchdog, not a measurement: several trainings share one process

sys.path.insert(0, str(SUPPORT))  # the workers import the envs by name, so the tests do, too
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Sample Factory uses what its dependencies have deprecated since
    import recording
    import sample_factory.train
    import sf_envs
    import sf_train

    from traincast.integrations.sample_factory import wrap_env_func
    from traincast.integrations.sample_factory.channel import show_channel

ONE_SAMPLE = "probability tensor contains either `inf`, `nan` or element < 0"

Events = list[dict[str, Any]]
Make = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SUPPORT.parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(HANG_SECONDS, method="thread"), append=False)
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(autouse=True, scope="session")
def what_killed_trainings_leave() -> Iterator[None]:
    """Remove what torch and multiprocessing share by name: a killed process does not do it."""
    began = time.time()
    yield
    for file in Path("/dev/shm").glob("[ts]*"):
        with suppress(FileNotFoundError):
            facts = file.stat()
            if facts.st_uid != os.getuid() or facts.st_mtime < began:
                continue
            maker = re.fullmatch(r"torch_(\d+)_\d+_\d+", file.name)
            gone = maker is not None and not Path(f"/proc/{maker[1]}").exists()
            # Semaphores lose their names as soon as they are made.
            forgotten = file.name.startswith("sem.mp-") and time.time() - facts.st_mtime > 60
            if gone or forgotten:
                file.unlink()


class Log:
    """The events of a process that went through several phases."""

    def __init__(self, directory: Path, channels: Path, output: str) -> None:
        self.events = recording.load(directory / "events")
        self.train_dir = directory / "train_dir"
        self.left_over = sorted(path.name for path in channels.iterdir())
        self.output = output

    def phase(self, number: int, kind: str | None = None) -> Events:
        starts = {e["number"]: e["time"] for e in self.events if e["kind"] == "phase"}
        end = starts.get(number + 1, float("inf"))
        inside = [e for e in self.events if starts[number] <= e["time"] < end]
        return inside if kind is None else [e for e in inside if e["kind"] == kind]


@pytest.fixture(scope="session")
def run_phases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Any], Log]]:
    """Run `sf_train.py` on some phases and return their log."""
    with ExitStack() as places:

        def run(name: str, phases: list[dict[str, Any]]) -> Log:
            directory = tmp_path_factory.mktemp(name)
            channels = places.enter_context(place())
            for inner in ("events", "tmp"):
                (directory / inner).mkdir()
            for phase in phases:
                phase["argv"] = [*phase["argv"], f"--train_dir={directory / 'train_dir'}"]
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")])),
                "SF_RECORD": str(directory / "events"),
                "TRAINCAST_DIR": str(channels),
                "TMPDIR": str(directory / "tmp"),
                "OMP_NUM_THREADS": "1",  # a dozen neurons gain nothing from more
            }
            environment.pop("TRAINCAST_NAME", None)
            command = [sys.executable, "-W", "ignore", str(SUPPORT / "sf_train.py"), json.dumps(phases)]
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=HANG_SECONDS - 60)
            finally:
                if process.poll() is None:  # its workers would outlive it
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            # What a component threw is told where it happened, and all the others stop after it.
            first = output.find("Traceback (most recent call last)")
            failure = output[max(0, first - 500) :][:6000] if first >= 0 else output[-6000:]
            assert process.returncode == 0, failure
            log = Log(directory, channels, output)
            assert [e["status"] for e in log.events if e["kind"] == "status"] == [0] * len(phases), failure
            return log

        yield run


@pytest.fixture(scope="session")
def basic(run_phases: Any) -> Log:
    """Train, evaluate, resume: with the queue, then with traincast."""

    def phases(how: str, **train: Any) -> list[dict[str, Any]]:
        argv = ["--env=informed", f"--experiment={how}"]
        return [
            {"do": "train", "how": how, "argv": argv, **train},
            {
                "do": "enjoy",
                "how": how,
                "argv": [*argv, "--no_render", "--max_num_episodes=3"],
                "options": {} if how == "queue" else {"on_missing": "raise"},
            },
            {"do": "train", "how": how, "argv": [*argv, "--train_for_env_steps=600"], "timer": 0.01},
        ]

    return run_phases("basic", phases("queue", propagate_each_step=True) + phases("traincast"))


@pytest.fixture(scope="session")
def population(run_phases: Any) -> Log:
    """Two policies under PBT, drawn for each episode: a team of two agents, then one agent.

    PBT leaves it to chance whether a reward shaping changes, so the run changes it, too.
    """
    pbt = [
        *("--num_policies=2", "--with_pbt=True", "--pbt_mix_policies_in_one_env=True", "--async_rl=True"),
        *("--pbt_period_env_steps=50", "--pbt_start_mutation=50", "--pbt_mutation_rate=1.0"),
        *("--pbt_replace_reward_gap=0.0", "--pbt_replace_reward_gap_absolute=0.0"),
        "--train_for_env_steps=300",
        # A trajectory of two policies needs two buffers. Where none is free, Sample Factory waits 100 s for
        # the batcher to return one; in serial mode that is the same thread, and it loses the trajectory.
        "--num_batches_to_accumulate=20",
    ]
    phases = [
        {
            "do": "train",
            "how": how,
            "argv": [f"--env={env}", f"--experiment={env}_{how}", *pbt],
            "reshape_every": 4,
        }
        for env in ("team", "informed_shaped")
        for how in ("queue", "traincast")
    ]
    for name in ("population", "population_again"):
        try:
            return run_phases(name, copy.deepcopy(phases))
        except AssertionError as failure:
            # A batch of this size may have one valid sample, of which Sample Factory takes the standard
            # deviation: its weights are no numbers then, with its queue as with us.
            if ONE_SAMPLE not in str(failure):
                raise
    pytest.fail(f"Sample Factory ended twice with: {ONE_SAMPLE}")


@pytest.fixture(scope="session")
def env_info_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where Sample Factory keeps what it finds out about envs, in a process of its own each time."""
    return str(tmp_path_factory.mktemp("env_info"))


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env_info_cache: str) -> Callable[..., Any]:
    """Make a configuration whose files stay in this test's directory, and the event log with it."""
    monkeypatch.setenv("SF_RECORD", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", env_info_cache)

    def make(*argv: str) -> Any:
        return sf_train.configuration([f"--train_dir={tmp_path / 'train_dir'}", *argv])

    return make


@pytest.fixture
def writer(channel_name: str) -> Iterator[traincast.TrainingInfoWriter]:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        yield writer


@pytest.fixture
def make(configuration: Any) -> Make:
    def make(
        name: str, *argv: str, channel: str | None = None, env_config: Any = sf_envs.WORKER, **options: Any
    ) -> Any:
        cfg = configuration(f"--env={name}", "--experiment=here", *argv)
        if channel is not None:
            show_channel(cfg, channel)
        return wrap_env_func(sf_envs.make_env, **options)(name, cfg, env_config, None)

    return make


__all__ = ["Log", "basic", "configuration", "population", "run_phases", "sample_factory", "sf_envs"]
