"""The learner and the tasks of the study, without processes."""

from __future__ import annotations

import random

import gymnasium
import numpy as np
import pytest
from benches.study.learners import Learner, chosen, solves
from benches.study.shared import STALE_STEPS, STEPS, Shared
from benches.study.tasks import make_task
from benches.study.tasks.task import Task

LEVELS = {"lock": 20, "lock-16": 20, "mountain-car": 10}


def practise(task: Task, learner: Learner, values, level: int, episodes: int) -> list[bool]:
    """Episodes that explore, each followed by a greedy one: whether that succeeded."""
    rng = random.Random(1)
    found = []
    for episode in range(2 * episodes):
        greedy = episode % 2
        states, actions, ended, terminated, success = [task.reset(level, rng)], [], False, False, False
        while not ended:
            explore = not greedy and rng.random() < task.exploration
            action = rng.randrange(task.actions) if explore else chosen(values, states[-1], task.actions, rng)
            state, ended, terminated, success = task.step(action)
            states.append(state)
            actions.append(action)
        learner.learn(states, actions, success, terminated)
        if greedy:
            found.append(success)
    return found


@pytest.mark.parametrize("name", ["lock", "mountain-car"])
def test_the_learner_solves_the_easiest_level_and_not_yet_the_real_task(name):
    task = make_task(name, 3)
    shared = Shared(1, task.states * task.actions)
    successes = practise(task, Learner(shared.values, task), shared.values, 0, 300)
    assert np.mean(successes[-50:]) >= 0.8
    assert not solves(shared.values, task)


def test_level_by_level_the_learner_solves_the_lock():
    task = make_task("lock", 3)
    shared = Shared(1, task.states * task.actions)
    learner = Learner(shared.values, task)
    for level in range(task.levels):
        practise(task, learner, shared.values, level, 200)
    assert solves(shared.values, task)


@pytest.mark.parametrize("name", LEVELS)
def test_a_task_has_its_levels_and_its_last_one_is_the_real_task(name):
    task = make_task(name, 3)
    assert task.levels == LEVELS[name]
    rng = random.Random(0)
    starts = [{task.reset(level, rng) for _ in range(30)} for level in range(task.levels)]
    assert len({frozenset(states) for states in starts}) == task.levels
    real = task.begin_at(task.starts()[0])
    assert real not in starts[0]
    assert all(0 <= state < task.states for states in starts for state in states)
    if name != "mountain-car":  # whose starts are random
        assert starts[-1] == {real}


def test_each_seed_has_a_lock_of_its_own_and_copies_have_the_same():
    def opened(task: Task) -> list[int]:
        """The right action of each step, found out by trying."""
        combination: list[int] = []
        while len(combination) < 60:
            for action in range(task.actions):
                task.begin_at(len(combination))
                _, ended, _, success = task.step(action)
                if success or not ended:
                    combination.append(action)
                    break
        return combination

    one = make_task("lock", 1)
    assert opened(one) == opened(one.copy()) == opened(make_task("lock", 1)) != opened(make_task("lock", 2))


def test_mountain_car_moves_as_gymnasiums_does():
    ours = make_task("mountain-car", 0)
    theirs = gymnasium.make("MountainCar-v0").unwrapped
    theirs.reset(seed=0)
    rng = random.Random(4)
    for _ in range(20):
        start = rng.uniform(-0.6, -0.4)
        ours.begin_at(start)
        theirs.state = (start, 0.0)
        push = 1
        for _ in range(200):
            push = rng.choice([push, push, push, 0, 1, 2])
            _, ended, _, reached = ours.step(push)
            _, _, terminated, _, _ = theirs.step(push)
            assert (ours.position, ours.speed) == tuple(map(float, theirs.state))
            assert reached == terminated
            if ended:
                break


def test_the_clock_is_the_steps_of_all_workers():
    shared = Shared(3, 1)
    for worker, steps in enumerate((5, 7, 11)):
        shared.row(worker)[STEPS] = steps
        shared.row(worker)[STALE_STEPS] = worker
    shared.level = 4
    assert (shared.now(), shared.total(STALE_STEPS), shared.level) == (23, 3, 4)
