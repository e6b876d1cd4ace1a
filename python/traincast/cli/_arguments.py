"""Arguments that several commands share, and how a shell completes them."""

from __future__ import annotations

from typing import Annotated

import typer

import traincast
from traincast.cli._channels import look
from traincast.cli._values import flatten

__all__ = ["AsJson", "Key", "Name", "Policy"]

_KEYS_OFFERED = 500


def _names(incomplete: str) -> list[str]:
    try:
        return sorted({c["name"] for c in look() if c["name"].startswith(incomplete)})
    except Exception:  # an error would spoil the user's prompt
        return []


def _policies(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        found = {c["policy_id"] for c in look() if c["name"] == (ctx.params.get("name") or c["name"])}
    except Exception:
        return []
    return [policy for policy in map(str, sorted(found)) if policy.startswith(incomplete)]


def _keys(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        with traincast.TrainingInfoReader(ctx.params["name"], ctx.params.get("policy") or 0) as reader:
            found = [key for key, _ in flatten(reader.read())]
    except Exception:
        return []
    groups = [key.rpartition(".")[0] for key in found if "." in key]
    offered = [key for key in dict.fromkeys(found + groups) if key.startswith(incomplete)]
    # A shell would split a key at its spaces.
    return [key for key in offered if key.isprintable() and " " not in key][:_KEYS_OFFERED]


Name = Annotated[str, typer.Argument(help="The channel.", metavar="NAME", autocompletion=_names)]
Key = Annotated[
    str | None,
    typer.Argument(
        help="One value of the snapshot; dots lead into dictionaries and lists: coefficients.goal, scores.0.",
        metavar="[KEY]",
        autocompletion=_keys,
    ),
]
Policy = Annotated[
    int,
    typer.Option(min=0, max=65535, help="The policy that the channel is about.", autocompletion=_policies),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; errors are JSON too, on stderr.")]
