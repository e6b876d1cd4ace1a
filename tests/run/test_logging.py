"""`Run.log_to` gives every number of the training information to any function, and to TensorBoard."""

from __future__ import annotations

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import traincast

STEPS = "approx_total_training_steps"


@pytest.fixture
def run():
    with traincast.Run("log", training_info={"shaping": {"goal": 1.0}}) as run:
        yield run


def test_a_function_gets_all_numbers_at_once_and_at_each_publish(run):
    seen = []
    run.log_to(lambda step, numbers: seen.append((step, numbers)))
    run.publish(5, lr=torch.tensor(0.5), text="x", flag=True, array=torch.zeros(3), huge=10**400)
    run.publish(6, shaping={"goal": 2.0, "deep": {"er": 3}})
    assert seen == [
        (0, {STEPS: 0.0, "shaping.goal": 1.0}),
        (5, {STEPS: 5.0, "shaping.goal": 1.0, "lr": 0.5, "flag": 1.0}),
        (6, {STEPS: 6.0, "shaping.goal": 2.0, "shaping.deep.er": 3.0, "lr": 0.5, "flag": 1.0}),
    ]
    assert all(type(number) is float for _, numbers in seen for number in numbers.values())


def test_a_loaded_checkpoint_is_what_is_logged(run):
    state = run.state_dict()
    run.publish(5, shaping={"goal": 2.0}, extra=1)
    seen = []
    run.log_to(lambda step, numbers: seen.append(numbers))
    run.load_state_dict(state)
    run.publish(6)
    assert seen[-1] == {STEPS: 6.0, "shaping.goal": 1.0}


def test_every_is_the_least_time_between_two_calls(run):
    often, seldom = [], []
    run.log_to(lambda step, _: often.append(step))
    run.log_to(lambda step, _: seldom.append(step), every=3600)
    for steps in range(1, 5):
        run.publish(steps)
    assert often == [0, 1, 2, 3, 4]
    assert seldom == [0]


def test_an_exception_of_a_sink_comes_out_of_a_publish_that_has_published(run):
    def broken(step, numbers):
        if step == 1:
            raise OSError("disk full")

    others = []
    run.log_to(broken)
    run.log_to(lambda step, _: others.append(step))
    with pytest.raises(OSError, match="disk full"):
        run.publish(1)
    assert traincast.TrainingInfoReader(run.name).read()[STEPS] == 1
    run.publish(2)
    assert others == [0, 2]


def test_a_sink_cannot_change_what_another_one_gets(run):
    seen = []
    run.log_to(lambda step, numbers: numbers.clear())
    run.log_to(lambda step, numbers: seen.append(numbers))
    run.publish(1)
    assert seen[-1] == {STEPS: 1.0, "shaping.goal": 1.0}


@pytest.mark.parametrize("every", [-1, float("nan")])
def test_a_wrong_interval_is_refused(run, every):
    with pytest.raises(ValueError, match="every"):
        run.log_to(print, every=every)


# TensorBoard's own modules warn of Python's and protobuf's ways.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_the_curves(run, tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as summary:
        with pytest.raises(TypeError, match=r"traincast.sinks.tensorboard\(writer\)"):
            run.log_to(summary)
        run.log_to(traincast.sinks.tensorboard(summary))
        for steps in (100, 200, 300):
            run.publish(steps, shaping={"goal": 1 - steps / 1000})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {f"traincast/{STEPS}", "traincast/shaping.goal"}
    curve = [(event.step, round(event.value, 3)) for event in events.Scalars("traincast/shaping.goal")]
    assert curve == [(0, 1.0), (100, 0.9), (200, 0.8), (300, 0.7)]
