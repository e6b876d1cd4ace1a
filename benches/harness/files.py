"""JSON that people read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def as_json(value: Any) -> str:
    """JSON with one line for each innermost list: readable, and small in a diff."""
    lists: list[str] = []

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list) and not any(isinstance(inner, (dict, list)) for inner in value):
            lists.append(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
            return f"@@{len(lists) - 1}@@"
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(walk(value), indent=1, ensure_ascii=False)
    for number, line in enumerate(lists):
        text = text.replace(f'"@@{number}@@"', line, 1)
    return text + "\n"


def write_json(path: Path, value: Any) -> None:
    """Replace the file at once, so that an interrupted run leaves the previous content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(as_json(value))
    partial.replace(path)
