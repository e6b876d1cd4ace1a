"""The command `traincast relay`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer

from traincast._warnings import warn_once
from traincast.cli._arguments import AsJson
from traincast.cli._failures import ShellError
from traincast.cli._relays import status

__all__ = ["relay"]


class Via(StrEnum):
    """The engines that work without a launcher."""

    zenoh = "zenoh"


def relay(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="status|ENDPOINT|NAME",
            help="Zenoh routers to connect to, as tcp/HOST:7447, and the channels to carry; all, if none is "
            "named. Or the word status, and the channels to show.",
        ),
    ] = None,
    via: Annotated[Via, typer.Option(help="The engine.")] = Via.zenoh,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENDPOINT",
            help="Listen here as a router for the others, for example at tcp/0.0.0.0:7447. May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Carry channels between the nodes of a cluster: one such process on each node.

    The engine is Zenoh. One relay listens (or a zenohd does), the others
    connect to it. Without NAME it carries all channels of this user: those
    with a living learner here are offered to the other nodes, and what they
    offer appears here. It runs until Ctrl-C or SIGTERM. Set TRAINCAST_KEY to
    the same secret on all nodes.

    Under torchrun, SLURM and Ray a line in the training program does this: see
    docs/nodes.md.

    traincast relay status [NAME...] shows the relays of all nodes, as they have
    reported to the one on the learner's node, whatever the engine. PARENT is
    the machine that a relay receives from, with "(engine)" if it does so
    through the engine, LAG how long the newest snapshot took to get there,
    LEASE how long the learner may still be silent before it counts as lost
    there, SILENT how old the report is.
    """
    if words and words[0] == "status":
        status(words[1:], as_json)
        return
    endpoints = [word for word in words or () if "/" in word]
    names = [word for word in words or () if "/" not in word]
    if not endpoints and not listen:
        raise typer.BadParameter("no router is named: name one, as tcp/HOST:7447, or be one with --listen")
    code = _serve(endpoints, listen or [], names)
    with suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the engine may hang


def _serve(endpoints: list[str], listen: list[str], names: list[str]) -> int:
    from traincast.relay.engine import EngineLost
    from traincast.relay.message import key_from_environment
    from traincast.relay.signals import told_to_end

    try:
        from traincast.relay.service import Service
        from traincast.relay.session import Network
    except ModuleNotFoundError as error:
        raise ShellError(str(error)) from error

    told = told_to_end()
    key = key_from_environment()
    if key is None:
        warn_once(
            "relay without a key",
            "Zenoh as it is used here has no authentication: whoever reaches a router can publish. On a "
            "network that others use, set TRAINCAST_KEY to the same secret on all nodes",
        )
    network = Network(endpoints, listen)
    if listen:
        try:
            network.session()
        except EngineLost as error:
            raise ShellError(f"cannot listen: {error}") from error
    service = Service(network, names, key=key, say=_say)
    try:
        service.begin()
    except BaseException:
        service.end()
        raise
    _say(f"relay, process {os.getpid()}, via {network.via}; Ctrl-C ends it")
    service.run(lambda: not told())
    return 0


def _say(text: str) -> None:
    with suppress(OSError):  # the reader of its output may be gone, while it still serves other nodes
        print(text, flush=True)
