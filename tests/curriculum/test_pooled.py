"""`PooledCurriculum`: the rule on pooled results, what envs see of it, checkpoints, and what it says."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from climbing import LEVELS, LevelEnv, check_climbed, climbing, make_level_env, tallies
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.curriculum import PerformanceLevel, PooledCurriculum, TaskCurriculum, TaskSampler
from traincast.curriculum import _learner as learner
from traincast.curriculum._pooled_level import PooledLevel
from traincast.scores import ScoreWriter


@pytest.fixture
def run(channel_name):
    with traincast.Run(channel_name, unique=False) as run:
        yield run


def play(env, episodes=1):
    for _ in range(episodes):
        env.reset()
        while not env.step(0)[2]:
            pass


def level_in(run):
    return run.state_dict()["training_info"]["curriculum"]["level"]


# The rule.

RULE = {
    "promote_at": st.just(0.75),
    "demote_at": st.sampled_from([None, 0.25]),
    "window": st.integers(1, 6),
    "min_episodes": st.sampled_from([None, 1, 3, 9]),
    "higher_is_better": st.just(True),
}


@given(rule=st.fixed_dictionaries(RULE), results=st.lists(st.integers(0, 1), max_size=60))
def test_one_episode_at_a_time_it_is_a_performance_level(rule, results):
    one, pooled = PerformanceLevel(max_level=3, **rule), PooledLevel(max_level=3, **rule)
    for result in results:
        assert pooled.record_batch(1, result) == one.record(result)
        assert (pooled.level, pooled.episodes, pooled.average) == (one.level, one.episodes, one.average)


@given(
    rule=st.fixed_dictionaries(RULE),
    batches=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), max_size=30),
)
def test_batches_are_averaged_over_the_newest_that_make_a_window(rule, batches):
    """Against a plain reference: all batches at the level are kept, and looked at from the newest on."""
    pooled = PooledLevel(max_level=3, **rule)
    level, kept = 0, []
    for batch in batches:
        pooled.record_batch(len(batch), sum(batch))
        kept.append(batch)
        newest = []
        for other in reversed(kept):
            if len(newest) < rule["window"]:
                newest += other
        mean = sum(newest) / len(newest)
        if sum(map(len, kept)) >= (rule["min_episodes"] or rule["window"]):
            up = mean >= rule["promote_at"] and level < 3
            down = rule["demote_at"] is not None and mean <= rule["demote_at"] and level > 0
            if up or down:
                level, kept = level + up - down, []
        assert pooled.level == level
        copied = PooledLevel(max_level=3, **rule)
        copied.load_state_dict(json.loads(json.dumps(pooled.state_dict())))
        assert copied.state_dict() == pooled.state_dict()
        assert copied.average == pooled.average


@pytest.mark.parametrize(
    ("statistic", "promote_at", "higher", "result"),
    [
        ("success_rate", 1.0, True, {"success": True}),
        ("return", 7.0, True, {"episode_return": 7.0}),
        ("length", 12, False, {"length": 12}),
    ],
)
def test_each_statistic_moves_the_level(run, statistic, promote_at, higher, result):
    curriculum = PooledCurriculum(
        run, levels=2, promote_at=promote_at, window=2, statistic=statistic, higher_is_better=higher
    )
    scores = ScoreWriter(run)
    scores.record(0, **result)
    assert not curriculum.update()
    scores.record(0, **result)
    assert curriculum.update()
    assert level_in(run) == curriculum.level == 1


# What envs see, and where their episodes count.


def test_a_new_level_is_published_at_once_and_the_next_reset_has_it(run):
    curriculum = climbing()
    run.attach(curriculum)
    env = run.wrap_env(make_level_env())
    run.publish(500)
    while curriculum.level < LEVELS - 1:
        play(env)
        before = env.unwrapped.level
        if curriculum.update():
            assert level_in(run) == curriculum.level == before + 1
            assert run.steps == 500
            assert env.reset()[1]["curriculum"] == {"task": before + 1}
    play(env)
    curriculum.update()
    check_climbed(curriculum.state_dict())


def test_results_at_a_level_that_has_passed_never_count_for_the_new_one(run):
    curriculum = PooledCurriculum(run, levels=4, promote_at=0.5, demote_at=0.2, window=4)
    scores = ScoreWriter(run)
    for _ in range(4):
        scores.record(0, success=True)
    assert curriculum.update()
    for _ in range(100):
        scores.record(0, success=False)  # stragglers
        scores.record(2, success=True)  # nobody plays it yet
    assert not curriculum.update()
    assert (curriculum.level, curriculum.episodes, curriculum.average) == (1, 0, None)


def test_a_straggler_counts_under_the_level_that_it_began_at(run):
    curriculum = climbing()
    run.attach(curriculum)
    slow, fast = run.wrap_env(make_level_env()), run.wrap_env(make_level_env())
    slow.reset()
    play(fast, 8)
    assert curriculum.update()
    fast.reset()
    slow.step(0), slow.step(0)
    curriculum.update()
    assert tallies(curriculum.state_dict())[:2] == [(9, 9, 0.0), (0, 0, 0.0)]
    assert curriculum.episodes == 0


def test_setting_the_level_publishes_it_and_forgets_the_results(run):
    curriculum = PooledCurriculum(run, levels=3, promote_at=1.0, window=9)
    ScoreWriter(run).record(0, success=True)
    curriculum.update()
    curriculum.level = 2
    assert (level_in(run), curriculum.episodes) == (2, 0)
    with pytest.raises(ValueError, match=r"level 3 is not within 0\.\.\.2"):
        curriculum.level = 3


@pytest.mark.parametrize("options", [{}, {"training_info": {"approx_total_training_steps": 1}}])
def test_an_evaluation_plays_the_level_and_is_not_counted(run, options):
    curriculum = climbing(initial_level=1)
    run.attach(curriculum)
    if options:
        options["training_info"]["curriculum"] = run.state_dict()["training_info"]["curriculum"]
    run.publish(1)
    env = run.wrap_eval_env(make_level_env(), **options)
    play(env, 9)
    assert env.unwrapped.level == 1
    curriculum.update()
    assert sum(episodes for episodes, _, _ in tallies(curriculum.state_dict())) == 0


# Checkpoints and copies.


def test_a_learner_that_goes_on_counts_what_came_after_its_checkpoint_and_nothing_twice(channel_name):
    with traincast.Run(channel_name, unique=False) as run:
        curriculum = PooledCurriculum(run, levels=3, promote_at=1.0, window=10)
        scores = ScoreWriter(run)
        for _ in range(6):
            scores.record(0, success=True)
        curriculum.update()
        saved = json.loads(json.dumps(run.state_dict()))
        for _ in range(3):
            scores.record(0, success=True)
        curriculum.update()
        run.load_state_dict(saved)
        assert curriculum.episodes == 6
        curriculum.update()
        assert curriculum.episodes == 9
        scores.record(0, success=True)
        assert curriculum.update()
        assert level_in(run) == 1
    with traincast.Run(channel_name, unique=False, state=saved) as run:  # its counters went with the run
        curriculum = PooledCurriculum(run, levels=3, promote_at=1.0, window=10)
        assert curriculum.episodes == 6
        assert tallies(curriculum.state_dict())[0] == (6, 6, 0.0)


def test_a_run_with_a_new_name_sends_envs_to_its_own_scoreboard():
    with traincast.Run("first") as run:
        curriculum = climbing(initial_level=2)
        run.attach(curriculum)
        saved = run.state_dict()
    with traincast.Run(state=saved) as second:
        assert second.name != run.name
        again = climbing()
        second.attach(again)
        assert level_in(second) == again.level == 2
        second.load_state_dict(saved)
        env = second.wrap_env(make_level_env())
        play(env, 3)
        again.update()
        assert tallies(again.state_dict())[2][0] == 3


def test_a_copy_is_the_curriculum_itself_and_a_pickle_waits_for_a_run_of_its_own(run):
    curriculum = climbing()
    run.attach(curriculum)
    env = run.wrap_env(make_level_env())
    play(env, 8)
    curriculum.update()
    assert copy.deepcopy({"training_info": curriculum})["training_info"] is curriculum
    travelled = pickle.loads(pickle.dumps(curriculum))
    assert (travelled.run, travelled.level) == (None, 1)
    with traincast.Run("other", curriculum=travelled) as other:
        assert level_in(other) == 1
        assert travelled.state_dict()["rule"] == curriculum.state_dict()["rule"]


def test_a_curriculum_of_a_run_that_has_ended_goes_on_in_the_next():
    curriculum = climbing()
    with traincast.Run("one", curriculum=curriculum) as run:
        play(run.wrap_env(make_level_env()), 8)
        curriculum.update()
    assert not curriculum.update()
    with traincast.Run("two", curriculum=curriculum) as run:
        assert level_in(run) == 1
        play(run.wrap_env(make_level_env()), 8)
        assert curriculum()["curriculum"]["level"] == 2
    assert [row[0] for row in tallies(curriculum.state_dict())] == [8, 8, 0]


def test_a_rank_that_does_not_publish_does_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "1234")
    with traincast.Run("ranks") as run:
        curriculum = climbing()
        run.attach(curriculum)
        assert not curriculum.update()
        assert curriculum() == {}
        curriculum.level = 1


# What can be wrong.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 0, "promote_at": 1}, "levels must be a whole number"),
        ({"levels": 3, "promote_at": 80}, "a success rate is between 0 and 1"),
        ({"levels": 3, "promote_at": 0.5, "demote_at": 0.6}, "demote_at"),
        ({"levels": 3, "promote_at": 0.5, "initial_level": 3}, "not within"),
        ({"levels": 3, "promote_at": 0.5, "statistic": "reward"}, "statistic must be one of"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PooledCurriculum(**arguments)


def test_without_a_run_it_says_where_one_comes_from():
    with pytest.raises(RuntimeError, match=r"belongs to no run yet.*training_info="):
        climbing().update()
    with pytest.raises(TypeError, match=r"takes the traincast.Run"):
        PooledCurriculum("a-name", levels=3, promote_at=1.0)


def test_one_curriculum_for_two_runs_and_two_for_one_run_are_refused(run):
    curriculum = climbing()
    run.attach(curriculum)
    run.attach(curriculum)  # again: nothing changes
    with traincast.Run("other") as other, pytest.raises(RuntimeError, match=r"belongs to .* already"):
        other.attach(curriculum)
    for second in (climbing, lambda: TaskSampler(tasks=9, key="another")):
        with pytest.raises(ValueError, match="already, and one scoreboard"):
            run.attach(second())
    play(run.wrap_env(make_level_env()), 8)  # the first one still hears of them
    assert curriculum.update()
    assert curriculum.level == 1


def test_numbers_of_levels_may_be_numpys_and_have_no_fractions():
    curriculum = climbing(initial_level=np.int64(1))
    curriculum.level = np.int32(2)
    assert (curriculum.level, type(curriculum.level)) == (2, int)
    assert PooledCurriculum(levels=np.int64(4), promote_at=1.0).levels == 4
    with pytest.raises(TypeError):
        curriculum.level = 0.5
    with pytest.raises(TypeError):
        climbing(initial_level=0.5)


def test_a_state_of_other_levels_is_refused(run):
    with pytest.raises(ValueError, match="for 3 tasks, but"):
        PooledCurriculum(run, levels=4, promote_at=1.0, state=climbing().state_dict())
    with pytest.raises(ValueError, match="it lacks tasks, scores, rule"):
        climbing(state={"level": 1})


@pytest.mark.parametrize("ends", [False, True], ids=["after a while", "at the end"])
def test_a_learner_that_hears_of_no_episode_is_told(monkeypatch, ends):
    monkeypatch.setattr(learner, "_PATIENCE", 1e9 if ends else 0.0)
    curriculum = climbing()
    run = traincast.Run("silent", curriculum=curriculum)
    with pytest.warns(traincast.TraincastWarning, match=r"heard of no episode.*TaskCurriculum") as said:  # noqa: PT031
        for _ in range(150):
            curriculum.update()
        run.close()
    assert len(said) == 1


def test_a_curriculum_that_is_never_updated_says_so_at_the_end_of_its_run():
    run = traincast.Run("forgotten", curriculum=climbing())
    env = run.wrap_env(make_level_env())
    play(env, 100)
    with pytest.warns(
        traincast.TraincastWarning, match="100 episodes .* changed nothing. Call update"
    ) as said:
        run.close()
    assert len(said) == 1


def test_one_episode_is_enough_to_say_nothing(monkeypatch):
    monkeypatch.setattr(learner, "_PATIENCE", 0.0)
    curriculum = climbing()
    with warnings.catch_warnings(), traincast.Run("heard", curriculum=curriculum) as run:
        warnings.simplefilter("error")
        play(run.wrap_env(make_level_env()))
        for _ in range(150):
            curriculum.update()


def test_an_env_with_fewer_values_than_there_are_levels_is_refused(run):
    run.attach(climbing())
    env = run.wrap_env(TaskCurriculum(LevelEnv(), {"level": [0, 1]}))
    with pytest.raises(
        ValueError, match="the learner has 3 tasks, but TaskCurriculum has 2 values of 'level'"
    ):
        env.reset()
