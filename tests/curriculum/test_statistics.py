"""Which number an episode is judged by."""

from __future__ import annotations

import pytest

from traincast.curriculum import Episode
from traincast.curriculum.statistics import statistic_of

EPISODE = Episode(
    total_reward=2.5,
    length=10,
    terminated=True,
    truncated=False,
    info={"success": True, "return": 99, "episode": {"r": 7}},
)


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("return", 2.5),
        ("length", 10.0),
        ("success", 1.0),
        (("return",), 99.0),
        (("episode", "r"), 7.0),
        (lambda episode: episode.total_reward / episode.length, 0.25),
        (lambda episode: episode.terminated and not episode.truncated, 1.0),
    ],
)
def test_each_statistic_is_a_number_of_the_episode(statistic, value):
    result = statistic_of(EPISODE, statistic)
    assert result == value
    assert type(result) is float


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        ("succes", r"'succes'.*\['episode', 'return', 'success'\]"),
        (("episode", "l"), r"'episode', 'l'.*no 'l' in \['r'\]"),
        (("success", "r"), "no 'r' in bool"),
    ],
)
def test_a_missing_key_is_an_error_that_names_it(statistic, message):
    with pytest.raises(KeyError, match=message):
        statistic_of(EPISODE, statistic)
