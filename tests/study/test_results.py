"""What the study keeps, and what it computes from it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from benches.study.figures import groups
from benches.study.job import Job
from benches.study.page import text
from benches.study.plan import plan
from benches.study.results import Result, Results
from benches.study.table import terminal

CONTEXT = {"began": "2026-01-01 10:00", "load before": 0.5, "load after": 0.5}
CONTEXT |= {"processor": "a processor", "cores": 2, "virtual machine": False, "versions": {}}

STEPS = {"traincast": 72_000, "delay-2500": 97_000}


def result(arm: str, seed: int, steps: int, *, solved: bool = True, rate: float | None = None, seconds=1.0):
    job = Job("lock", arm, seed, 16, rate)
    outcome = {"solved": solved, "steps": steps, "seconds": seconds, "promotions": [0] * 10}
    outcome |= {"stale_steps": steps // 2, "resets": 100, "stale_resets": 25}
    return Result(job, outcome, CONTEXT)


def test_what_was_appended_is_there_and_the_first_of_two_counts(tmp_path):
    results = Results(tmp_path / "deep" / "results.jsonl")
    assert results.all() == []
    one, two, again = result("traincast", 0, 10), result("traincast", 1, 20), result("traincast", 0, 30)
    for each in (one, two, again):
        results.append(each)
    assert results.all() == [one, two]


def test_two_processes_append_whole_lines(tmp_path):
    path = tmp_path / "results.jsonl"
    program = (
        "import sys; from pathlib import Path; from tests.study.test_results import result, Results\n"
        "r = Results(Path(sys.argv[1]))\n"
        "for i in range(200): r.append(result('traincast', 1000 * int(sys.argv[2]) + i, i))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(Results(path).all()) == 400


def test_the_prediction_is_fresh_plus_promotions_times_lag_and_r2_says_how_well():
    exact = [result("traincast", seed, 100) for seed in range(3)]
    exact += [result("delay-50", seed, 100 + 10 * 50) for seed in range(3)]
    (group,) = groups(exact)
    said = group.prediction()
    assert said is not None
    assert (said.fresh, said.promotions, said(50), said.r2, said.trainings) == (100, 10, 600, 1.0, 6)
    assert said.is_check
    assert group.share_of_lag("delay-50") == 1.0
    assert group.apart("delay-50")

    (group,) = groups([*exact[:3], *(result("delay-50", seed, 100) for seed in range(3))])
    said = group.prediction()
    assert said is not None
    assert not said.is_check
    assert group.share_of_lag("delay-50") == 0.0
    assert not group.apart("delay-50")


def test_unsolved_trainings_are_a_lower_bound_and_a_speed_that_was_not_held_is_marked():
    found = groups(
        [
            *(result("none", seed, 900_000, solved=seed == 0) for seed in range(3)),
            result("samplefactory", 0, 50_000, rate=50_000, seconds=1.0),
            result("timer-500", 0, 50_000, rate=50_000, seconds=2.0),
        ]
    )
    shown = terminal(found)
    assert "> 900k" in shown
    assert "1 of 3" in shown
    assert "Sample Factory's queue  " in shown
    assert "queue every 0.5 s (stand-in) †" in shown
    assert "did not hold the stated speed" in shown


def test_trainings_at_another_speed_or_gate_are_not_compared():
    one, two = result("traincast", 0, 10), result("traincast", 0, 10, rate=100.0)
    other = dataclasses.replace(two, job=dataclasses.replace(two.job, gate=64))
    assert len(groups([one, two, other])) == 3


def test_the_short_plan_has_three_arms_and_three_seeds_and_the_full_one_five():
    short, full = plan("short"), plan("full")
    assert len({job.arm for job in short}) == len({job.seed for job in short}) == 3
    assert len(short) == 9
    for jobs in (short, full):
        assert len({job.key for job in jobs}) == len(jobs)
    arms = {(job.task, job.arm, job.gate) for job in full}
    assert len(full) == 5 * len(arms)
    assert len({arm for task, arm, _ in arms if task == "lock" and arm.startswith("delay")}) >= 4
    assert {task for task, _, _ in arms} == {"lock", "lock-16", "multiroom", "mountain-car", "ppo"}


def test_the_page_says_what_is_recorded_and_that_it_is_not_all():
    few = [result("traincast", 0, 72_000), result("delay-2500", 0, 97_000)]
    assert "costs 1.00 of the lag" not in text(few)  # two trainings say nothing about that
    page = text(few + [result(arm, seed, n) for arm, n in STEPS.items() for seed in (1, 2)])
    assert "takes\n72k env steps with fresh information, 97k with a delay of 2,500 env steps" in page
    assert "**This page is not complete**" in page
    assert "a promotion costs 1.00 of the lag" in page
    assert "samplefactory" not in page.lower().replace(" ", "").partition("##what")[0]


def test_a_page_of_other_tasks_alone_claims_nothing_of_the_lock():
    row = result("traincast", 0, 72_000)
    page = text([dataclasses.replace(row, job=dataclasses.replace(row.job, task="mountain-car"))])
    assert "72k" in page
    assert "on a lock takes" not in page


@pytest.mark.parametrize("name", ["short", "full"])
def test_every_arm_of_a_plan_has_a_name(name):
    from benches.study.arms import parts
    from benches.study.table import arm_name

    for job in plan(name):
        assert arm_name(job.arm)
        assert parts(job.arm)[0] in job.arm
