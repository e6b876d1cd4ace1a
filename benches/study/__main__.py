"""Runs the study, or what is missing of it: `python -m benches.study [--plan short] [--results FILE]`.

Trainings run one after the other, each in a process of its own. Results are appended to FILE, and trainings
in it are not run again, so a run may be stopped and continued later. At the end it makes a table and a
picture.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benches.harness import ROOT, machine
from benches.study.figures import groups
from benches.study.job import Job
from benches.study.live import Display, display
from benches.study.plan import PLANS, plan
from benches.study.results import Result, Results, now
from benches.study.table import terminal


def trained(job: Job, python: str, shown: Display) -> Result:
    """Run one training in a fresh process."""
    context: dict[str, Any] = {"began": now(), "load before": machine.load()}
    began = time.monotonic()
    command = [python, "-W", "ignore", "-m", "benches.study.job", json.dumps(dataclasses.asdict(job))]
    last: dict[str, Any] = {}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            last = json.loads(line)
            if "steps" in last:
                shown.progress(job, last["steps"], last["level"], time.monotonic() - began)
    if child.returncode or "outcome" not in last:
        raise SystemExit(f"{job} failed with exit code {child.returncode}; its error is above")
    described = machine.describe()
    context |= {"load after": machine.load()}
    context |= {key: described[key] for key in ("processor", "cores", "virtual machine")}
    return Result(job, last["outcome"], context | {"versions": last["versions"]})


def run(jobs: Sequence[Job], results: Results, pythons: dict[str, str], console: Console) -> None:
    """Run the trainings that are missing."""
    there = {result.job.key for result in results.all()}
    missing = [job for job in jobs if job.key not in there]
    if len(missing) < len(jobs):
        console.print(
            f"{len(jobs) - len(missing)} of {len(jobs)} trainings are there already",
            highlight=False,
            soft_wrap=True,
        )
    with display(len(missing), console) as shown:
        for job in missing:
            if job.key in {result.job.key for result in results.all()}:
                continue  # another session has run it meanwhile
            result = trained(job, pythons.get(job.arm, sys.executable), shown)
            results.append(result)
            shown.ended(result)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benches.study", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--plan", choices=PLANS, default="short")
    parser.add_argument("--results", type=Path, default=Path("target/study/results.jsonl"))
    parser.add_argument("--rate", type=float, help="env steps per second; else the plan's")
    parser.add_argument("--only", metavar="TASK", help="of this task alone")
    parser.add_argument(
        "--sample-factory", type=os.path.abspath, metavar="PYTHON", help="a Python that has Sample Factory"
    )
    parser.add_argument("--picture", type=Path, metavar="FOLDER", help="where the pictures go")
    options = parser.parse_args()
    console = Console()
    jobs = [job for job in plan(options.plan, options.rate) if options.only in (None, job.task)]
    pythons = {"samplefactory": options.sample_factory} if options.sample_factory else {}
    if not pythons:
        left_out = sum(job.arm == "samplefactory" for job in jobs)
        jobs = [job for job in jobs if job.arm != "samplefactory"]
        if left_out:
            console.print(
                f"{left_out} trainings are left out: --sample-factory names no Python",
                highlight=False,
                soft_wrap=True,
            )
    results = Results(options.results)
    try:
        run(jobs, results, pythons, console)
    except KeyboardInterrupt:
        raise SystemExit("Stopped. What has ended is kept; the same command goes on.") from None
    wanted = {job.key for job in jobs}
    found = groups(result for result in results.all() if result.job.key in wanted)
    print(terminal(found))
    if options.picture:
        from benches.study.picture import draw

        for path in draw(found, options.picture):
            print(f"Picture: {path}")
    print(f"Results: {options.results}")


if __name__ == "__main__":
    main()
