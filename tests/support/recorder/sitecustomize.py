"""Imported by every Python that starts with this folder on its path: notes what runs publish and envs see.

Each process writes its own file of JSON lines into `$RECORD_DIR`. `recordings.py` starts such programs and
reads the files. The times are those of the monotonic clock, which all processes share.
"""

import json
import os
import threading
import time
from functools import partial

import wrapt

_file = None
_lock = threading.Lock()
_numbers = {}


def _note(**event):
    global _file
    with _lock:
        if _file is None or _file[0] != os.getpid():
            path = os.path.join(os.environ["RECORD_DIR"], f"{os.getpid()}.jsonl")
            _file = os.getpid(), open(path, "a", buffering=1)  # noqa: SIM115 - as long as the process
        _file[1].write(json.dumps(event | {"pid": os.getpid()}) + "\n")


def _number_of(thing):
    """An id that is not used again after the death of its object, and not shared by copies."""
    key = (os.getpid(), id(thing))
    if key not in _numbers:
        _numbers[key] = (len(_numbers), thing)  # kept alive
    return _numbers[key][0]


def _watch_runs(module):
    def note(run, steps, began, ended):
        _note(what="publish", run=run.name, policy=run.policy_id, steps=steps, began=began, ended=ended)

    def around(call, run, args, kwargs):
        began = time.monotonic_ns()
        result = call(*args, **kwargs)
        if run.publishes:
            note(run, run._steps, began, time.monotonic_ns())
        return result

    def publish(call, run, args, kwargs):
        """Noted before, too: a signal may come between the store and the note."""
        began = time.monotonic_ns()
        if run.publishes:
            note(run, int(args[0]), began, None)
        result = call(*args, **kwargs)
        if run.publishes:
            note(run, run._steps, began, time.monotonic_ns())
        return result

    wrapt.wrap_function_wrapper(module, "Run.publish", publish)
    for method in ("__init__", "load_state_dict"):
        wrapt.wrap_function_wrapper(module, f"Run.{method}", around)


def _watch_feeds(module):
    def deliver(call, feed, args, kwargs):
        _, info = args
        feed._recorded = info.get("approx_total_training_steps"), id(info)
        _kept.append(info)  # so that no other dictionary has its id
        return call(*args, **kwargs)

    wrapt.wrap_function_wrapper(module, "Feed.deliver", deliver)


_kept = []


def _feed_of(wrapper):
    if type(wrapper).__name__ == "SampleFactoryWrapper":  # has one for each policy
        return wrapper._feeds[wrapper._agents.current[0]]
    return wrapper._feed


def _has_feed(wrapper):
    return "_feeds" in vars(wrapper) or vars(wrapper).get("_feed") is not None


def _note_reset(wrapper, began):
    feed = _feed_of(wrapper)
    steps, dictionary = getattr(feed, "_recorded", (None, None))
    _note(
        what="reset",
        run=feed._channel.actual_name,
        policy=feed._channel.policy_id,
        env=_number_of(wrapper),
        steps=steps,
        dictionary=dictionary,
        frozen=feed._frozen is not False,
        began=began,
        ended=time.monotonic_ns(),
    )


def _watch_resets(module, wrappers):
    def reset(call, wrapper, args, kwargs):
        began = time.monotonic_ns()
        result = call(*args, **kwargs)
        if _has_feed(wrapper):  # else the env of a player without a state
            _note_reset(wrapper, began)
        return result

    for wrapper in wrappers:
        wrapt.wrap_function_wrapper(module, f"{wrapper}.reset", reset)
        if wrapper == "TrainingInfoVectorWrapper":  # what it wraps resets episodes in its steps
            wrapt.wrap_function_wrapper(module, f"{wrapper}.step", reset)


def _watch_transforms(module):
    """TorchRL's: the hook before the env's reset delivers, and the one after it ends the reset."""

    def before(call, transform, args, kwargs):
        began = time.monotonic_ns()
        result = call(*args, **kwargs)
        transform.__dict__.setdefault("_recorded_since", began)  # some envs are asked twice
        return result

    def after(call, transform, args, kwargs):
        result = call(*args, **kwargs)
        began = transform.__dict__.pop("_recorded_since", None)
        if transform._at_reset and began is not None:  # else each env inside has a transform of its own
            _note_reset(transform, began)
        return result

    wrapt.wrap_function_wrapper(module, "TrainingInfoTransform._reset_env_preprocess", before)
    wrapt.wrap_function_wrapper(module, "TrainingInfoTransform._reset", after)


_WRAPPERS = {
    "traincast.wrappers.gymnasium": ["TrainingInfoWrapper"],
    "traincast.wrappers.vector": ["TrainingInfoVectorWrapper"],
    "traincast.wrappers.pettingzoo": ["TrainingInfoParallelWrapper", "TrainingInfoAECWrapper"],
    "traincast.integrations.rl_games.env": ["TrainingInfoEnv"],
    "traincast.integrations.sample_factory.wrapper": ["SampleFactoryWrapper"],
}

if "RECORD_DIR" in os.environ:
    wrapt.register_post_import_hook(_watch_runs, "traincast.run")
    wrapt.register_post_import_hook(_watch_feeds, "traincast.wrappers.feed")
    for module, wrappers in _WRAPPERS.items():
        wrapt.register_post_import_hook(partial(_watch_resets, wrappers=wrappers), module)
    wrapt.register_post_import_hook(_watch_transforms, "traincast.integrations.torchrl.transform")
