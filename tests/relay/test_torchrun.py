"""Two nodes under real torchruns: the recipe of docs/nodes.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nodes import Cluster, Node, until

pytestmark = pytest.mark.cluster

SCRIPT = """
import os, sys, time
import traincast

run = traincast.Run("ppo")
traincast.relay.join(run)
reader = traincast.TrainingInfoReader(run.name, attach_timeout=100)
if run.publishes:
    while not os.path.exists(sys.argv[1]):
        run.publish(run.steps + 1)
        time.sleep(0.01)
    run.close()
else:
    last = 0
    while not reader.closed:
        steps = reader.read()["approx_total_training_steps"]
        assert steps >= last
        last = steps
        if steps > 100 and not os.path.exists(sys.argv[1]):
            open(sys.argv[1], "w").close()
        time.sleep(0.001)
    print(f"rank {os.environ['RANK']} saw {last > 100}", flush=True)
"""


def torchrun(node: Node, script: Path, flag: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *node.prefix,
            *("env", f"TRAINCAST_DIR={node.directory}", "TRAINCAST_KEY=secret", "OMP_NUM_THREADS=1"),
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(node.number)),
            *("--master-addr", node.cluster.nodes[0].address, "--master-port", str(port)),
            *(str(script), str(flag)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ranks_on_another_node_see_what_rank_0_publishes(cluster: Cluster, tmp_path: Path) -> None:
    script, flag = tmp_path / "train.py", tmp_path / "seen"
    script.write_text(SCRIPT)
    nodes = [cluster.node(), cluster.node()]
    runs = [torchrun(node, script, flag, 29500) for node in nodes]
    try:
        assert [run.wait() for run in runs] == [0, 0]
        assert runs[1].stdout is not None
        assert "rank 1 saw True" in runs[1].stdout.read()
        # The relays end with their torchruns, and leave nothing.
        for node in nodes:
            until(lambda node=node: not any(path.suffix == ".relay" for path in node.directory.iterdir()))
            assert [path.name for path in node.directory.iterdir()] == []
    finally:
        for run in runs:
            run.kill()
            run.wait()
            assert run.stdout is not None
            run.stdout.close()
