"""`lorayard top`: the yard on one screen of a terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from lorayard.settings import client_settings
from lorayard_cli.durations import duration, read_duration
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, YardAddress


async def top(
    *,
    interval: Annotated[str, Parameter(validator=duration)] = "2s",
    read_only: Annotated[bool, Parameter(negative="")] = False,
    by: str | None = None,
    yard: YardAddress = NEAREST,
) -> None:
    """Show the yard live, and let it be changed: queues, adapters, workers, jobs, dead letters, batches.

    `?` in it shows its keys. Needs a terminal; `lorayard status` prints once.

    Parameters
    ----------
    interval
        How often the yard is read: 1s, 5s, 1m.
    read_only
        Offer nothing that changes it.
    by
        Who you are, kept with what you change; else LORAYARD_ACTOR, else user@host.
    """
    _need_terminal()
    from lorayard_cli.top.app import Top
    from lorayard_cli.top.feed import ClientFeed
    from lorayard_cli.top.header import place_of
    from lorayard_cli.top.tenants import TenantClients

    settings = client_settings(yard.settings(), actor=by)
    async with TenantClients(settings) as clients:
        app = Top(
            ClientFeed(clients),
            clients,
            yard=place_of(settings),
            interval_seconds=read_duration(interval),
            read_only=read_only,
        )
        await app.run_async(mouse=False)


def _need_terminal() -> None:
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if not stream.isatty():
            raise CommandError(
                ExitCode.USAGE,
                "no_terminal",
                f"top needs a terminal, and standard {name} is none; `lorayard status` prints the yard once",
            )
    if os.environ.get("TERM", "dumb") == "dumb":
        raise CommandError(
            ExitCode.USAGE,
            "no_terminal",
            "top needs a terminal that can place text (TERM is dumb or not set); `lorayard status` prints "
            "the yard once",
        )
