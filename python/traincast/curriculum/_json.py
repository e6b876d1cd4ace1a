"""Adds schedules to the arguments that have a JSON form."""

from __future__ import annotations

import dataclasses
from typing import Any

from traincast._json import (
    add_kind,
    import_path,
    imported,
    read,
    read_argument,
    refusal,
    write_argument,
    written,
)
from traincast.curriculum import schedules
from traincast.curriculum.schedules import Schedule

__all__ = ["read_argument", "write_argument"]


def _written_schedule(schedule: Schedule[Any], place: str) -> dict[str, Any]:
    kind = type(schedule)
    if getattr(schedules, kind.__name__, None) is kind:
        return {"$schedule": kind.__name__, **_written_fields(schedule, place)}
    if not dataclasses.is_dataclass(kind):
        raise refusal(place, f"{kind.__name__} is not a dataclass, so its fields are not known")
    form = {"$schedule": import_path(kind, place), **_written_fields(schedule, place)}
    try:
        twin = _written_fields(_read_schedule(form), place)
    except Exception as error:
        raise refusal(place, f"{kind.__name__} cannot be made from its fields: {error}") from error
    if form != {"$schedule": form["$schedule"], **twin}:
        raise refusal(place, f"{kind.__name__} made from its fields has other fields than this one")
    return form


def _written_fields(schedule: Any, place: str) -> dict[str, Any]:
    return {
        field.name: written(getattr(schedule, field.name), f"{place}.{field.name}")
        for field in dataclasses.fields(schedule)
        if field.init
    }


def _read_schedule(form: dict[str, Any]) -> Schedule[Any]:
    name = form["$schedule"]
    kind = imported(name) if ":" in name else getattr(schedules, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Schedule)):
        raise ValueError(f"an argument of a curriculum names an unknown schedule: {name!r}")
    schedule: Schedule[Any] = kind(**{key: read(item) for key, item in form.items() if key != "$schedule"})
    return schedule


add_kind(Schedule, "$schedule", _written_schedule, _read_schedule)
