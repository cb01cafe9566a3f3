"""`lorayard up`: a yard in the foreground."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lorayard_cli.embedded.foreground import run_in_foreground
from lorayard_cli.embedded.plan import EngineName, YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_cli.options import TEXT, Output, data_folder
from lorayard_cli.output import note
from lorayard_shared.logs import LevelName

GATEWAY_PORT = 8080
"""As `lorayard gateway` has it."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What the yard is made of."""

    workers: int = 2
    """How many."""
    dispatchers: int = 1
    """How many; one is active, and the others stand by."""
    model: str = "gemma3-270m"
    """gemma3-270m (made ready on the first start), tiny (random, for tests), or a model's folder."""
    adapters: Path | None = None
    """Folder laid out as {org}/{model}/{task}/{version}; what is put there later is found too. Without it
    gemma3-270m gets the demo's three, and tiny three random ones."""
    port: int = 4222
    """Of the bus on 127.0.0.1; 0 takes any free one."""
    data: Path | None = None
    """Folder for the bus's store; LORAYARD_DATA or ./.lorayard when absent."""
    engine: EngineName = "packed"
    """packed runs the model; echo answers with the prompt and needs none."""
    slots: int | None = None
    """Adapters a worker holds on its device."""
    rows: int | None = None
    """Jobs a worker decodes at once."""
    threads: int | None = None
    """Threads of a worker; the cores are shared out when absent."""
    gateway: int | None = None
    """Serve OpenAI's API on this port of 127.0.0.1 too, to programs of this machine; 0 takes any free one."""
    gateway_keys: Annotated[bool, Parameter(negative="")] = False
    """Have that gateway ask for keys."""
    page: Literal["read", "operate"] | None = None
    """Have that gateway serve the page for operators under /ui/, to look at or to act on. Without --gateway
    it is on port 8080."""
    metrics: int | None = None
    """Show metrics on 127.0.0.1: the exporter's on this port, the gateway's on the next, those of
    dispatchers from 10 and of workers from 100 ports above it on."""
    secure: Path | None = None
    """Folder of `lorayard security init`: the bus asks who connects, over TLS, and parts tenants, roles."""
    prefix: str = "yard"
    """Of the yard's names on the bus."""
    log_level: LevelName = "warning"
    """Of the children: debug, info, warning or error."""

    def plan(self) -> YardPlan:
        """The yard to start."""
        return YardPlan(
            data=data_folder(self.data),
            model=self.model,
            adapters=self.adapters,
            engine=self.engine,
            workers=self.workers,
            dispatchers=self.dispatchers,
            port=self.port,
            gateway=GATEWAY_PORT if self.gateway is None and self.page is not None else self.gateway,
            gateway_keys=self.gateway_keys,
            page=self.page,
            metrics=self.metrics,
            prefix=self.prefix,
            security=self.secure,
            slots=self.slots,
            rows=self.rows,
            threads=self.threads,
            log_level=self.log_level,
        )


_USUAL = UpOptions()


def up(*, options: UpOptions = _USUAL, output: Output = TEXT) -> int:
    """Run a whole yard on this machine until Ctrl-C: bus, dispatcher and workers, restarted when they crash.

    The first Ctrl-C stops in order, so that running jobs finish; a second one at once. Jobs and results
    stay in the data folder and are there again after the next start.
    """
    return asyncio.run(run_in_foreground(provide(options.plan(), progress=note), as_json=output.json))
