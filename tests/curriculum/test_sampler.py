"""`TaskSampler`: the distribution of prioritized level replay, what it does to learning, its checkpoints."""

from __future__ import annotations

import json
import math
import statistics

import numpy as np
import pytest
from chains import TASKS, Agent, ChainEnv
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.curriculum import PooledCurriculum, TaskCurriculum, TaskSampler
from traincast.scores import ScoreWriter

UNIFORM = {"temperature": 1e9, "staleness": 0.0}


@pytest.fixture
def run(channel_name):
    with traincast.Run(channel_name, unique=False) as run:
        yield run


def reference(tasks, scores, played, count, temperature, staleness):
    """The paper's formulas, task by task: `scores` and `played` have those that were seen."""
    by_rank = sorted(scores, key=lambda task: (-scores[task], task))
    weight = {task: (1 / (rank + 1)) ** (1 / temperature) for rank, task in enumerate(by_rank)}
    age = {task: count - played[task] for task in scores}
    if not any(age.values()):
        age = dict.fromkeys(scores, 1)
    replay = len(scores) / tasks
    return [
        replay
        * ((1 - staleness) * weight[task] / sum(weight.values()) + staleness * age[task] / sum(age.values()))
        if task in scores
        else (1 - replay) / (tasks - len(scores))
        for task in range(tasks)
    ]


@given(data=st.data())
def test_the_probabilities_are_those_of_the_paper(data):
    tasks = data.draw(st.integers(1, 6))
    settings = {
        "temperature": data.draw(st.sampled_from([0.1, 0.5, 1.0, 10.0])),
        "staleness": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
    }
    scores, played, count = {}, {}, 0
    with traincast.Run("paper") as run:
        sampler = TaskSampler(run, tasks=tasks, **settings)
        writer = ScoreWriter(run)
        assert sampler.probabilities.tolist() == pytest.approx([1 / tasks] * tasks)
        for _ in range(data.draw(st.integers(0, 6))):
            batch = data.draw(
                st.lists(st.tuples(st.integers(0, tasks - 1), st.integers(-3, 3)), min_size=1, max_size=5)
            )
            count += len(batch)
            for task, score in batch:
                writer.record(task, score=score)
                scores[task], played[task] = score, None
            for task, _ in batch:
                played[task] = count
            assert sampler.update()
            expected = reference(tasks, scores, played, count, **settings)
            assert sampler.probabilities.tolist() == pytest.approx(expected)
        assert sampler.probabilities.sum() == pytest.approx(1)
        published = run.state_dict()["training_info"]["curriculum"]["probabilities"]
        assert published.tolist() == sampler.probabilities.tolist()


def episodes_until_solved(seed, **settings):
    with traincast.Run("chains") as run:
        sampler = TaskSampler(run, tasks=TASKS, score=None, **settings)
        env = run.wrap_env(TaskCurriculum(ChainEnv(), "chain"))
        agent, episodes, played = Agent(seed), 0, []
        while not agent.solves_all:
            task, score = agent.play(env, seed if episodes == 0 else None)
            sampler.give_scores(task, score)
            sampler.update()
            played.append(task)
            episodes += 1
    return episodes, played


def test_prioritized_replay_needs_fewer_episodes_than_uniform_sampling():
    """The paper's main result, in the small: "significantly improves sample-efficiency"."""
    seeds = range(9)
    uniform = [episodes_until_solved(seed, **UNIFORM)[0] for seed in seeds]
    replay = [episodes_until_solved(seed)[0] for seed in seeds]
    assert statistics.median(replay) < 0.6 * statistics.median(uniform), (replay, uniform)


def test_it_induces_a_curriculum_of_increasing_difficulty():
    """ "An emergent curriculum of increasingly difficult levels", which uniform sampling has not."""

    def growth(played):
        thirds = np.array_split(np.array(played[TASKS:]), 3)
        return float(np.mean(thirds[-1]) - np.mean(thirds[0]))

    replay = statistics.median(growth(episodes_until_solved(seed)[1]) for seed in range(5))
    uniform = statistics.median(growth(episodes_until_solved(seed, **UNIFORM)[1]) for seed in range(5))
    assert replay > uniform + 1, (replay, uniform)


def test_a_function_makes_scores_of_what_all_envs_have_counted(run):
    def learnability(added):
        rate = added["successes"] / added["episodes"].clip(1)
        return rate * (1 - rate)

    sampler = TaskSampler(run, tasks=3, score=learnability, staleness=0.0, temperature=0.5)
    writer = ScoreWriter(run)
    for task, successes in enumerate([(1, 1), (1, 0), (0, 0)]):  # mastered, at the edge, hopeless
        for success in successes:
            writer.record(task, success=bool(success))
    sampler.update()
    assert sampler.scores.tolist() == [0.0, 0.25, 0.0]
    assert sampler.probabilities.argmax() == 1


def test_a_function_that_fails_costs_no_episode(run):
    answers = [np.full(3, math.nan), np.zeros(3)]
    sampler = TaskSampler(run, tasks=3, score=lambda added: answers.pop(0))
    writer = ScoreWriter(run)
    writer.record(1)
    with pytest.raises(ValueError, match="those of tasks"):
        sampler.update()
    writer.record(2)
    sampler.update()
    assert sampler.episodes == 2


def test_a_resumed_sampler_goes_on_exactly(channel_name):
    def played(writer, sampler, rounds):
        for task, score in rounds:
            writer.record(task, score=score)
            sampler.update()
        return sampler.state_dict()["rule"], sampler.probabilities.tolist()

    before, after = [(0, 1.0), (2, 3.0), (0, 2.0)], [(1, 5.0), (2, 0.5)]
    with traincast.Run("whole") as run:
        whole = played(ScoreWriter(run), TaskSampler(run, tasks=4), before + after)
    with traincast.Run(channel_name, unique=False) as run:
        sampler = TaskSampler(run, tasks=4)
        played(ScoreWriter(run), sampler, before)
        saved = json.loads(json.dumps({"sampler": sampler.state_dict()}))["sampler"]
    with traincast.Run(channel_name, unique=False) as run:
        sampler = TaskSampler(run, tasks=4, state=saved)
        assert played(ScoreWriter(run), sampler, after) == whole


@pytest.mark.parametrize(
    "rule", [{"scores": [0.0]}, {"scores": [math.nan] * 3}, {"episodes": "many"}], ids=str
)
def test_a_state_that_is_none_changes_nothing(rule):
    sampler = TaskSampler(tasks=3)
    sampler.give_scores([1], [2.0])
    before = sampler.state_dict()
    with pytest.raises(ValueError, match="the state is not one of a TaskSampler"):
        sampler.load_state_dict({**before, "rule": {**before["rule"], **rule}})
    assert sampler.state_dict() == before
    with pytest.raises(ValueError, match="the state is not one of a TaskSampler"):
        sampler.load_state_dict(PooledCurriculum(levels=3, promote_at=1.0).state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": 0}, "tasks must be a whole number"),
        ({"tasks": 2, "temperature": 0}, "temperature must be above 0"),
        ({"tasks": 2, "staleness": 1.1}, "staleness must be between 0 and 1"),
        ({"tasks": 2, "score": "td"}, "score must be"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TaskSampler(**arguments)


def test_scores_that_cannot_be_are_refused(run):
    sampler = TaskSampler(run, tasks=2, score=None)
    with pytest.raises(ValueError, match="those of tasks \\[1\\] are not"):
        sampler.give_scores([0, 1], [1.0, float("nan")])
    with pytest.raises(ValueError, match="tasks are 0\\.\\.\\.1, not 0\\.\\.\\.2"):
        sampler.give_scores([0, 2], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"tasks have the shape \(2,\), but scores \(1,\)"):
        sampler.give_scores([0, 1], [1.0])
    assert np.isnan(sampler.scores).all()
