"""Under torchrun and its like all ranks share a run: rank 0 publishes, the others follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from processes import Process

import traincast

STEPS = "approx_total_training_steps"

TRAIN = """
import json, os, sys, time, pathlib, traincast
from recording_envs import RecordingEnv
def wait_for(pattern, count):
    while len(list(place.glob(pattern))) < count:
        time.sleep(0.01)
rank, place, launch = int(os.environ["RANK"]), pathlib.Path(sys.argv[1]), int(sys.argv[2])
if rank == 0:
    time.sleep(1.0)  # the others come first, and wait
run = traincast.Run("ppo", start=launch * 1000)
env = run.wrap_env(RecordingEnv())
first = env.reset()[1]["known_steps"]
second_run = traincast.Run("other")
(place / f"reset-{launch}-{rank}").touch()
wait_for(f"reset-{launch}-*", 2)
if rank == 0:
    run.publish(launch * 1000 + 1, a=rank)
    (place / f"published-{launch}").touch()
else:
    assert run.publish(5) is None
    run.log_to(print)
    run.load_state_dict(run.state_dict())
wait_for(f"published-{launch}", 1)
last = env.reset()[1]["known_steps"]
result = [run.name, run.publishes, first, last, run.state_dict()["version"], second_run.name]
(place / f"result-{launch}-{rank}").write_text(json.dumps(result))
wait_for(f"result-{launch}-*", 2)
if sys.argv[3] == "killed" and rank == 0:
    os.kill(os.getpid(), 9)
"""


def launch(tmp_path, number, port, *, killed=False):
    """Run the script with torchrun; return what each rank wrote."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    shell = tmp_path / "rank.sh"  # a parent of its own for each rank, as with profilers and numactl
    shell.write_text('"$@"\nexit $?\n')
    python = [script] if killed else ["--no-python", "bash", shell, sys.executable, script]
    support = os.path.join(os.path.dirname(os.path.dirname(__file__)), "support")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--master-addr", "127.0.0.1", "--master-port", str(port)),
            *(*python, tmp_path, str(number), "killed" if killed else "closed"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([support, *sys.path]), "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode == 0) is not killed, done.stderr
    return [json.loads((tmp_path / f"result-{number}-{rank}").read_text()) for rank in (0, 1)]


def test_the_ranks_of_a_torchrun_launch_share_a_run(tmp_path, traincast_dir):
    # The second launch has the port of the first one, which has left its channel.
    names = set()
    for number, killed in ((1, True), (2, False)):
        zero, one = launch(tmp_path, number, 29517, killed=killed)
        assert zero[0] == one[0]
        assert zero[5] == one[5]
        assert (zero[1], one[1]) == (True, False)
        assert zero[2:5] == one[2:5] == [number * 1000, number * 1000 + 1, 2]
        names |= {zero[0], zero[5]}
    assert len(names) == 2  # the port is all that is known of a launch
    assert os.listdir(traincast_dir) == []


def ranks(world, **told):
    """The environments of all ranks of a launch."""
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", **told}
    return [common | {"RANK": str(rank)} for rank in range(world)]


def test_ranks_of_several_nodes_agree_on_a_name():
    told = {"LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "job-17"}
    with Process(environment=ranks(2, **told)[0]) as zero, Process(environment=ranks(2, **told)[1]) as one:
        for process in (zero, one):
            process.run("run = traincast.Run('ppo'); again = traincast.Run('ppo')")
        assert zero.value("run.name") == one.value("run.name")
        assert zero.value("again.name") == one.value("again.name") != zero.value("run.name")
        assert [zero.value("run.publishes"), one.value("run.publishes")] == [True, False]
        assert one.value("run.publish(3)") is None
        assert zero.value("run.publish(3)") == 2
        assert one.value("run.state_dict()['training_info']") == {STEPS: 3}
        assert one.value("repr(run)").endswith("rank 1>")


def test_ranks_that_train_by_themselves_publish_each_to_its_own_run():
    told = ranks(2, TORCHELASTIC_RUN_ID="job-17")
    with Process(environment=told[0]) as zero, Process(environment=told[1]) as one:
        for rank, process in enumerate((zero, one)):
            process.run(f"run = traincast.Run('seed', per_rank=True, start={rank})")
            assert process.value("run.publish(100 * run.steps)") == 2
        assert zero.value("run.name") != one.value("run.name")
        assert one.value("run.state_dict()['training_info']") == {STEPS: 100}


def test_a_launch_starts_anew_where_an_earlier_one_of_the_same_port_was_killed():
    """Of a launch on several nodes nothing is known but address and port, and these may be the same again."""
    told = ranks(2, LOCAL_WORLD_SIZE="1")
    with Process(environment=told[0]) as zero:
        zero.run("run = traincast.Run('ppo'); run.publish(77, old=True)")
        name = zero.value("run.name")
        zero.kill()
    assert traincast.TrainingInfoReader(name).read()[STEPS] == 77
    with Process(environment=told[1]) as one, Process(environment=told[0]) as zero:
        one.run("import sys; sys.path.insert(0, 'tests/support'); from recording_envs import RecordingEnv")
        one.run("run = traincast.Run('ppo'); env = run.wrap_env(RecordingEnv())")
        one.start("known = env.reset()[1]['known_steps']")  # waits
        zero.run("run = traincast.Run('ppo', start=5)")
        one.finish()
        assert one.value("known") == 5
        assert zero.value("run.name") == name
        assert zero.value("run.state_dict()['training_info']") == {STEPS: 5}


def test_an_elastic_restart_goes_on_from_a_checkpoint():
    told = ranks(2, LOCAL_WORLD_SIZE="1")
    with Process(environment=told[0]) as zero:
        zero.run("run = traincast.Run('ppo'); run.publish(50, a=1)")
        state = zero.value("run.state_dict()")
        zero.run("run.publish(60, a=2)")
        zero.kill()
    with Process(environment=told[0]) as zero, Process(environment=told[1]) as one:
        for process in (zero, one):
            process.run(f"run = traincast.Run(state={state!r})")
        assert one.value("run.name") == zero.value("run.name")
        assert one.value("run.state_dict()['training_info']") == {STEPS: 50, "a": 1}
        assert zero.value("run.publish(61)") > 3


def test_launches_without_a_port_are_told_apart_by_their_parent():
    told = [{"RANK": "0", "WORLD_SIZE": "2"}, {"RANK": "1", "WORLD_SIZE": "2"}]
    with Process(environment=told[0]) as zero, Process(environment=told[1]) as one:
        for process in (zero, one):
            process.run("run = traincast.Run('ppo')")
        assert zero.value("run.name") == one.value("run.name")
        elsewhere = (
            "__import__('subprocess').run([__import__('sys').executable, '-c', "
            "'import traincast; print(traincast.Run(\"ppo\").name)'], capture_output=True, text=True).stdout"
        )
        assert zero.value(elsewhere).strip() not in ("", zero.value("run.name"))


def test_with_a_fixed_name_too_only_rank_0_publishes():
    told = ranks(2)
    with Process(environment=told[0]) as zero, Process(environment=told[1]) as one:
        for process in (zero, one):
            process.run("run = traincast.Run('fixed', unique=False)")
        zero.run("run.publish(4)")
        assert one.value("run.publish(9)") is None
        assert one.value("run.state_dict()['training_info']") == {STEPS: 4}


@pytest.mark.parametrize(
    "told",
    [
        {"RANK": "3"},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "a", "WORLD_SIZE": "b"},
        {"RANK": "1", "WORLD_SIZE": ""},
        {"WORLD_SIZE": "4"},
        {"LOCAL_RANK": "1", "SLURM_PROCID": "1"},
    ],
)
def test_other_environments_are_no_launchers(told):
    with Process(environment=told) as process:
        process.run("run = traincast.Run('ppo')")
        assert process.value("run.publish(1)") == 2
        assert process.value("run.name != traincast.Run('ppo').name")


def test_a_rank_whose_rank_0_never_comes_says_so():
    with Process(environment=ranks(2)[1]) as one:
        one.run("import sys; sys.path.insert(0, 'tests/support'); from recording_envs import RecordingEnv")
        one.run("run = traincast.Run('ppo'); env = run.wrap_env(RecordingEnv(), attach_timeout=0.2)")
        with pytest.raises(traincast.ChannelNotFoundError, match=r"Waited for 0.2 s \(attach_timeout\)"):
            one.run("env.reset()")
