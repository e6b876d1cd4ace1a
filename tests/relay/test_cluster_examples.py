"""The examples for clusters train on two nodes, and the envs on both follow the curriculum."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import Cluster, Node, until
from rays import TOKEN, ray_nodes
from slurms import slurm_on, why_no_slurm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from recordings import EXAMPLES, RECORDER, Recording, read_records

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def records_of(node: Node) -> Path:
    return node.cluster.root / f"records{node.number}"


def recorded(node: Node) -> dict[str, str]:
    """Variables with which each Python of a node notes what its runs publish and its envs see.

    All nodes have one name for the directory of their channels, and each another one under it.
    """
    records_of(node).mkdir(exist_ok=True)
    channels = node.cluster.root / "channels"
    for directory in (channels, node.directory):
        directory.mkdir(mode=0o700, exist_ok=True)
    subprocess.run([*node.prefix, "mount", "--bind", str(node.directory), str(channels)], check=True)
    path = [str(RECORDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "RECORD_DIR": str(records_of(node)),
        "PYTHONPATH": os.pathsep.join(path),
        "TRAINCAST_DIR": str(channels),
        "HOME": str(node.cluster.root),
    }


def start(node: Node, environment: dict[str, str], *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*node.prefix, "env", *(f"{name}={value}" for name, value in environment.items()), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def check(nodes: list[Node], output: str, steps: int) -> None:
    """The envs of each node saw one and the same run go on, from its start to near its end."""
    recordings: list[Recording] = [read_records(records_of(node), output) for node in nodes]
    runs = {run for recording in recordings for run in recording.runs}
    assert len(runs) == 1, f"{runs}\n{output}"
    published = {event["steps"] for recording in recordings for event in recording.publishes}
    for node, recording in zip(nodes, recordings, strict=True):
        resets = sorted(recording.training_resets, key=lambda reset: reset["began"])
        seen = [reset["steps"] for reset in resets]
        assert {reset["run"] for reset in resets} == runs, f"node {node.number}\n{output}"
        assert set(seen) <= published
        assert len(set(seen)) >= 4, f"node {node.number} saw {set(seen)}\n{output}"
        assert seen[0] < steps / 4
        assert seen[-1] > steps / 2
        for env in {(reset["pid"], reset["env"]) for reset in resets}:
            own = [reset["steps"] for reset in resets if (reset["pid"], reset["env"]) == env]
            assert own == sorted(own), "an env went back"


def test_rllib_trains_on_ray_nodes_and_the_curriculum_follows_on_both(cluster: Cluster) -> None:
    """`TrainingInfoCallback` starts the relays by itself."""
    cluster.root.mkdir(exist_ok=True)
    steps = 6_000
    environments: dict[Node, dict[str, str]] = {}

    def environment_of(node: Node) -> dict[str, str]:
        return environments.setdefault(node, recorded(node))

    with ray_nodes(cluster, environment_of) as nodes:
        environment = environments[nodes[0]] | TOKEN | {"RAY_ADDRESS": f"{nodes[0].address}:6379"}
        ready = "import ray; ray.init(log_to_driver=False); exit(len(ray.nodes()) != 2)"
        until(lambda: not _status(nodes[0], environment, sys.executable, "-c", ready), "Ray is not ready")
        example = str(EXAMPLES / "cluster_ray.py")
        training = start(nodes[0], environment, sys.executable, example, "--steps", str(steps))
        output, _ = training.communicate()
        assert training.returncode == 0, output
        assert "2 env runners on 2 nodes" in output
        check(nodes, output, steps)
        assert not any((cluster.root / "channels").iterdir()), "nodes share memory, and prove nothing"
        # Its end reaches the other node, too.
        until(lambda: not any(path.suffix == "" for path in nodes[1].directory.iterdir()))


def _status(node: Node, environment: dict[str, str], *command: str) -> int:
    process = start(node, environment, *command)
    process.communicate()
    return process.returncode


def test_torchrun_trains_on_two_nodes_and_the_curriculum_follows_on_both(cluster: Cluster) -> None:
    cluster.root.mkdir(exist_ok=True)
    steps = 8_000
    nodes = [cluster.node(), cluster.node()]
    runs = []
    for node in nodes:
        environment = recorded(node) | {
            "TRAINCAST_KEY": "secret",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "eth0",
            "NODE0": nodes[0].address,
            "NODE_RANK": str(node.number),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        launch, example = EXAMPLES / "cluster" / "torchrun.sh", EXAMPLES / "cluster_torchrun.py"
        runs.append(start(node, environment, "sh", str(launch), str(example), "--steps", str(steps)))
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    check(nodes, "\n".join(outputs), steps)
    for rank, output in enumerate(outputs):
        gravities = [
            float(line.split("gravity")[1].split()[0]) for line in output.splitlines() if "gravity" in line
        ]
        assert f"rank {rank}:" in output
        assert gravities[0] < 4 < 6 < gravities[-1]
    for node in nodes:
        until(lambda node=node: not list(node.directory.iterdir()), "something is left after a normal end")


@pytest.mark.skipif(why_no_slurm() is not None, reason=str(why_no_slurm()))
def test_slurm_trains_on_two_nodes_and_the_curriculum_follows_on_both(
    cluster: Cluster, tmp_path: Path
) -> None:
    """File and example are as a user copies them."""
    cluster.root.mkdir(exist_ok=True)
    for file in (EXAMPLES / "cluster" / "slurm.sbatch", EXAMPLES / "cluster_torchrun.py"):
        shutil.copy(file, tmp_path)
    with slurm_on(cluster) as slurm:
        records = slurm.root / "records"
        records.mkdir()
        environment: dict[str, str] = {}
        for node in slurm.nodes:
            environment |= recorded(node)
            subprocess.run([*node.prefix, "mount", "--bind", str(records_of(node)), str(records)], check=True)
        environment |= {"RECORD_DIR": str(records), "GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}
        submit = f"cd {tmp_path} && sbatch --wait --output=output slurm.sbatch"
        submitted = slurm.command(slurm.nodes[0], environment, "sh", "-c", submit)
        done = subprocess.run(submitted, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output = (tmp_path / "output").read_text() if (tmp_path / "output").exists() else ""
        assert done.returncode == 0, done.stdout + output
        check(slurm.nodes, output, 20_000)
        for node in slurm.nodes:
            until(
                lambda node=node: not list(node.directory.iterdir()), "something is left after a normal end"
            )
