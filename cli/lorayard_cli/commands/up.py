"""`lorayard up`: a yard in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lorayard_cli.embedded.foreground import run_in_foreground
from lorayard_cli.embedded.plan import EngineName, YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_cli.options import TEXT, Output, data_folder
from lorayard_cli.output import note
from lorayard_shared.logs import LevelName


def up(
    *,
    workers: int = 2,
    dispatchers: int = 1,
    model: str = "gemma3-270m",
    adapters: Path | None = None,
    port: int = 4222,
    data: Path | None = None,
    engine: EngineName = "packed",
    slots: int | None = None,
    rows: int | None = None,
    threads: int | None = None,
    prefix: str = "yard",
    log_level: LevelName = "warning",
    output: Output = TEXT,
) -> int:
    """Run a whole yard on this machine until Ctrl-C: bus, dispatcher and workers, restarted when they crash.

    The first Ctrl-C stops in order, so that running jobs finish; a second one at once. Jobs and results
    stay in the data folder and are there again after the next start.

    Parameters
    ----------
    workers
        How many.
    dispatchers
        How many; one is active, and the others stand by.
    model
        gemma3-270m (made ready on the first start), tiny (random, for tests), or a model's folder.
    adapters
        Folder laid out as {org}/{model}/{task}/{version}. Without it gemma3-270m gets the demo's three,
        and tiny three random ones.
    port
        Of the bus on 127.0.0.1; 0 takes any free one.
    data
        Folder for the bus's store; LORAYARD_DATA or ./.lorayard when absent.
    engine
        packed runs the model; echo answers with the prompt and needs none.
    slots
        Adapters a worker holds on its device.
    rows
        Jobs a worker decodes at once.
    threads
        Threads of a worker; the cores are shared out when absent.
    prefix
        Of the yard's names on the bus.
    log_level
        Of the children: debug, info, warning or error.
    """
    plan = YardPlan(
        data=data_folder(data),
        model=model,
        adapters=adapters,
        engine=engine,
        workers=workers,
        dispatchers=dispatchers,
        port=port,
        prefix=prefix,
        slots=slots,
        rows=rows,
        threads=threads,
        log_level=log_level,
    )
    return asyncio.run(run_in_foreground(provide(plan, progress=note), as_json=output.json))
