"""What the envs of all frameworks are told, and how much longer a reset then takes."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import gymnasium

from benches.cases.payloads import STEPS, payloads
from benches.cases.resets import Still
from benches.frameworks.cost import in_turns
from traincast import Run

INFOS = [{key: value for key, value in info.items() if key != STEPS} for info in payloads(64)]
"""Dictionaries that all differ; the steps come from the framework."""


class Setting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What users write for `set_attr`: the env uses what is new before its next reset."""

    training_info: dict[str, Any] | None = None

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        new, self.training_info = self.training_info, None
        if new is not None:
            self.unwrapped.set_training_info(new)  # type: ignore[attr-defined]
        return self.env.reset(**arguments)


def reset_with_news(run: Run, ours: Any, bare: Any) -> float:
    """Return how much longer a reset that finds something new takes than that of the bare env, in ns."""
    new = cycle(INFOS)

    def publish() -> None:
        run.publish(run.steps + 1, **next(new))

    def told() -> None:
        publish()
        ours.reset()

    taken = in_turns({"bare": bare.reset, "publish": publish, "told": told}, rounds=300, calls=20)
    return taken["told"] - taken["publish"] - taken["bare"]


def reset_of_setting() -> float:
    """The same for an env whose attribute was set before."""
    new = cycle(INFOS)
    theirs, bare = Setting(Still()), gymnasium.Wrapper(Still())

    def told() -> None:
        theirs.training_info = next(new)
        theirs.reset()

    taken = in_turns({"bare": bare.reset, "told": told}, rounds=300, calls=20)
    return taken["told"] - taken["bare"]
