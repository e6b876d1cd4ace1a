"""The learner's side, on real runners that are initialised, not run; messages come as learners send them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sf_envs
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner

import traincast
from traincast import _core
from traincast.integrations.sample_factory import TrainingInfoObserver, load_training_info, wrap_env_func
from traincast.integrations.sample_factory.channel import channel_of

STEPS = "approx_total_training_steps"
Start = Callable[..., Any]


@pytest.fixture
def start(configuration: Any) -> Iterator[Start]:
    """Initialise a runner with an observer on it; return both."""
    observers = []

    def start(*argv: str, training_info: Any = None) -> tuple[Any, TrainingInfoObserver]:
        register_env("informed", wrap_env_func(sf_envs.make_env))
        _, runner = make_runner(configuration("--env=informed", "--experiment=here", *argv))
        observer = TrainingInfoObserver(training_info)
        runner.register_observer(observer)
        observers.append(observer)
        assert runner.init() == 0
        return runner, observer

    yield start
    for observer in observers:
        observer.close()


def report(runner: Any, steps: int, policy_id: int = 0) -> None:
    runner._process_msg({"learner_env_steps": steps, "policy_id": policy_id})


def deliver_signals(runner: Any) -> None:
    """Let the runner's event loop work until its queue is empty."""
    while runner.event_loop.signal_queue.qsize():
        runner.event_loop.process_events()


def test_nothing_is_published_before_the_learner_reports(start: Start) -> None:
    runner, observer = start()
    runner._propagate_training_info()  # with 0 steps, as at the start of each run
    deliver_signals(runner)
    assert _core.list_channels() == []
    report(runner, 640)
    assert traincast.TrainingInfoReader(observer.name).read() == {
        "policy_id": 0,
        STEPS: 640,
        "reward_shaping": None,
    }


def test_each_policy_has_a_channel(start: Start) -> None:
    runner, observer = start("--num_policies=3", "--async_rl=True")
    report(runner, 10, policy_id=2)
    report(runner, 20, policy_id=0)
    read = {
        c["policy_id"]: traincast.TrainingInfoReader(c["name"], c["policy_id"]).read() for c in channels()
    }
    assert {policy: info[STEPS] for policy, info in read.items()} == {0: 20, 2: 10}
    assert {c["name"] for c in channels()} == {observer.name}


def channels() -> list[dict[str, Any]]:
    return _core.list_channels()


def test_every_report_is_published_at_once(start: Start) -> None:
    runner, observer = start()
    report(runner, 0)
    reader = traincast.TrainingInfoReader(observer.name)
    for steps in range(0, 1000, 100):
        report(runner, steps)
        assert reader[STEPS] == steps


def test_a_message_that_waited_brings_nothing_old(start: Start) -> None:
    runner, observer = start()
    report(runner, 100)
    runner.update_reward_shaping(0, {"goal": 2.0})  # the message now waits, with 100 steps in it
    report(runner, 200)
    reader = traincast.TrainingInfoReader(observer.name)
    seen = reader.read()
    assert (seen[STEPS], seen["reward_shaping"]) == (200, {"goal": 2.0})
    deliver_signals(runner)
    seen = reader.read()
    assert (seen[STEPS], seen["reward_shaping"]) == (200, {"goal": 2.0})


def test_a_new_reward_shaping_does_not_wait_for_a_report(start: Start) -> None:
    runner, observer = start()
    report(runner, 100)
    runner.update_reward_shaping(0, {"goal": 2.0, "delta": (1.0, -1.0)})
    deliver_signals(runner)
    read = traincast.TrainingInfoReader(observer.name).read()
    assert read["reward_shaping"] == {"goal": 2.0, "delta": (1.0, -1.0)}
    assert type(read["reward_shaping"]["delta"]) is tuple


def test_what_a_subclass_of_the_runner_sends_arrives(start: Start) -> None:
    runner, observer = start()
    report(runner, 100)
    runner.update_training_info.emit({0: {"policy_id": 0, STEPS: 50, "league": ["a", "b"]}})
    deliver_signals(runner)
    report(runner, 300)
    read = traincast.TrainingInfoReader(observer.name).read()
    assert (read[STEPS], read["league"]) == (300, ["a", "b"])


def test_the_users_keys_are_asked_for_at_each_report(start: Start) -> None:
    def training_info(runner: Any, policy_id: int) -> dict[str, Any]:
        return {"half": runner.env_steps[policy_id] / 2, "scores": np.arange(3, dtype=np.float32)}

    runner, observer = start(training_info=training_info)
    report(runner, 100)
    report(runner, 300)
    read = traincast.TrainingInfoReader(observer.name).read()
    assert read["half"] == 150.0
    np.testing.assert_array_equal(read["scores"], np.arange(3, dtype=np.float32))
    assert read["scores"].dtype == np.float32


def test_the_users_function_may_have_nothing_to_say(start: Start) -> None:
    runner, observer = start(training_info=lambda runner, policy_id: None)
    report(runner, 100)
    assert traincast.TrainingInfoReader(observer.name)[STEPS] == 100


def test_keys_that_are_not_returned_again_stay(start: Start) -> None:
    returned = iter([{"level": 1, "name": "a"}, {"level": 2}, None])
    runner, observer = start(training_info=lambda runner, policy_id: next(returned))
    for steps in (100, 200, 300):
        report(runner, steps)
    read = traincast.TrainingInfoReader(observer.name).read()
    assert (read[STEPS], read["level"], read["name"]) == (300, 2, "a")


def test_a_key_that_is_no_string_is_named(start: Start) -> None:
    runner, _ = start(training_info=lambda runner, policy_id: {3: "x"})
    with pytest.raises(TypeError, match="the key 3, which is no string"):
        report(runner, 100)


def test_the_run_of_a_policy_is_there_from_its_first_report_on(start: Start) -> None:
    runner, observer = start("--num_policies=2", "--async_rl=True")
    assert observer.runs == {}
    report(runner, 100, policy_id=1)
    assert list(observer.runs) == [1]
    observer.runs[1].publish(110, urgent=True)
    assert traincast.TrainingInfoReader(observer.name, 1).read()["urgent"] is True
    observer.close()
    assert observer.runs == {}


def test_each_rank_of_a_launcher_trains_by_itself(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(variable, value)
    runner, observer = start()
    report(runner, 100)
    assert traincast.TrainingInfoReader(observer.name)[STEPS] == 100
    _, other = start()
    assert other.name != observer.name


@pytest.mark.parametrize("key", ["policy_id", STEPS, "reward_shaping"])
def test_the_users_function_may_not_replace_the_runners_keys(start: Start, key: str) -> None:
    runner, _ = start(training_info=lambda runner, policy_id: {key: 7})
    with pytest.raises(ValueError, match=f"returned '{key}', which the runner itself sends"):
        report(runner, 100)


def test_a_value_that_cannot_be_sent_is_named(start: Start) -> None:
    runner, _ = start(training_info=lambda runner, policy_id: {"seen": [{1, 2}]})
    with pytest.raises(traincast.UnsupportedTypeError, match=r'info\["seen"\]\[0\]'):
        report(runner, 100)


def test_training_info_must_be_a_function() -> None:
    with pytest.raises(TypeError, match=r"function of \(runner, policy_id\), .*, not dict"):
        TrainingInfoObserver({"level": 3})  # type: ignore[arg-type]


def test_runs_do_not_share_a_channel(start: Start) -> None:
    _, first = start()
    _, second = start()
    assert first.name != second.name


def test_any_experiment_name_gives_a_channel_name(start: Start) -> None:
    runner, observer = start("--experiment=..ünï/code and more" + "x" * 100)
    report(runner, 1)
    assert [c["name"] for c in channels()] == [observer.name]
    assert len(observer.name) <= 128


def test_closing_removes_the_channel_and_readers_keep_the_last_snapshot(start: Start) -> None:
    runner, observer = start()
    report(runner, 100)
    reader = traincast.TrainingInfoReader(observer.name)
    assert reader[STEPS] == 100
    observer.close()
    observer.close()
    assert channels() == []
    assert reader.closed
    assert reader[STEPS] == 100
    report(runner, 200)  # a learner that stops late
    assert reader[STEPS] == 100


def test_the_configuration_tells_the_name_only_while_the_run_lasts(start: Start) -> None:
    runner, observer = start()
    saved = Path(runner.cfg.train_dir) / "here" / "config.json"
    assert observer.name not in saved.read_text()
    assert channel_of(runner.cfg) == observer.name
    observer.close()
    assert channel_of(runner.cfg) is None


def test_saved_at_each_checkpoint_and_when_training_stops(start: Start) -> None:
    runner, _ = start()
    report(runner, 100)
    assert load_training_info(runner.cfg) is None
    runner.learners[0].saved_model.emit(0)
    deliver_signals(runner)
    saved = load_training_info(runner.cfg)
    assert saved is not None
    assert saved[STEPS] == 100
    report(runner, 200)
    runner._observers_call(type(runner.observers[0]).on_stop, runner)
    saved = load_training_info(runner.cfg)
    assert saved is not None
    assert saved[STEPS] == 200


def test_a_resumed_run_continues_the_numbers_but_not_the_values(start: Start) -> None:
    first, observer = start()
    for steps in (100, 200, 300):
        report(first, steps)
    observer.close()
    second, observer = start()
    report(second, 250)  # the last checkpoint was older than the last report
    reader = traincast.TrainingInfoReader(observer.name)
    assert reader.read() == {"policy_id": 0, STEPS: 250, "reward_shaping": None}
    assert (reader.version, reader.epoch) == (4, 2)


def test_a_new_run_takes_nothing_from_an_old_one(start: Start) -> None:
    first, observer = start()
    report(first, 100)
    observer.close()
    second, observer = start("--restart_behavior=overwrite")
    assert load_training_info(second.cfg) is None
    report(second, 0)
    reader = traincast.TrainingInfoReader(observer.name)
    assert (reader[STEPS], reader.version, reader.epoch) == (0, 1, 1)


def test_a_file_that_cannot_be_saved_does_not_stop_the_training(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    runner, observer = start()
    report(runner, 100)
    directory = Path(runner.cfg.train_dir) / "here" / "checkpoint_p0"
    directory.parent.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*"):
        path.unlink()
    directory.rmdir() if directory.exists() else None
    directory.write_text("in the way")
    observer.save()
    assert "was not saved" in caplog.text
    report(runner, 200)
    assert traincast.TrainingInfoReader(observer.name)[STEPS] == 200


FULL = """
import os
import sys

sys.path.insert(0, {support!r})
import sf_envs
import sf_train
from sample_factory.envs.env_utils import register_env
from sample_factory.train import make_runner

import traincast
from traincast.integrations.sample_factory import TrainingInfoObserver, wrap_env_func


def main():
    register_env("informed", wrap_env_func(sf_envs.make_env))
    _, runner = make_runner(sf_train.configuration(["--env=informed", "--train_dir=" + sys.argv[1]]))
    extra = {{"blob": b""}}
    observer = TrainingInfoObserver(lambda runner, policy_id: extra)
    runner.register_observer(observer)
    assert runner.init() == 0
    seen = []
    for steps, size in ((100, 0), (200, 4_000_000), (300, 0)):
        extra["blob"] = os.urandom(size)
        runner._process_msg({{"learner_env_steps": steps, "policy_id": 0}})
        seen.append(traincast.TrainingInfoReader(observer.name)["approx_total_training_steps"])
    observer.close()
    assert seen == [100, 100, 300], seen
    print("went on")


if __name__ == "__main__":
    main()
"""


def test_a_full_dev_shm_does_not_stop_the_training(tmp_path: Path) -> None:
    channel_dir = tmp_path / "channels"
    channel_dir.mkdir(mode=0o700)
    script = tmp_path / "full.py"
    script.write_text(FULL.format(support=str(Path(__file__).parent / "support")))
    # In a mount namespace of its own: nothing outside sees the small file system.
    command = (
        'mount -t tmpfs -o size=1m,mode=0700 tmpfs "$1" && TRAINCAST_DIR="$1" SF_RECORD="$2" TMPDIR="$2" '
        'exec "$3" -W ignore "$4" "$2/train_dir"'
    )
    result = subprocess.run(
        [
            *("unshare", "--user", "--mount", "--map-root-user", "bash", "-c", command, "bash"),
            *(str(channel_dir), str(tmp_path), sys.executable, str(script)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("went on\n")
    assert "was not published" in result.stdout + result.stderr


def test_what_was_published_last_is_saved(start: Start) -> None:
    runner, observer = start(training_info=lambda runner, policy_id: {"table": np.eye(2)})
    report(runner, 100)
    observer.close()
    saved = load_training_info(runner.cfg)
    assert saved is not None
    assert saved[STEPS] == 100
    np.testing.assert_array_equal(saved["table"], np.eye(2))
