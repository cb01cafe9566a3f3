"""`lorayard status`: the yard at a glance."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard import Controls, QueueDepth
from lorayard_cli.connection import client
from lorayard_cli.dispatcher_lines import dispatcher_lines
from lorayard_cli.embedded.liveness import ask_dispatcher
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.fleet_tables import (
    hit_rate,
    names_by_digest,
    percent,
    queue_documents,
    queue_table,
    worker_documents,
    worker_table,
)
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import counted, out, plain, print_json
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.control import told
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glance:
    """All that is shown, read within a moment."""

    settings: YardSettings
    depth: QueueDepth
    dispatcher: DispatcherStatus | None
    workers: list[WorkerAdvert]
    names: dict[str, str]
    controls: Controls


async def status(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """Show the queue by adapter and lane, the dispatcher, the workers and the hit rate.

    Ends with 8 when no dispatcher or no worker is alive.
    """
    glance = await _look(yard)
    if output.json:
        print_json(_document(glance))
    else:
        _print(glance)
    return ExitCode.OK if glance.dispatcher and glance.workers else ExitCode.NOT_READY


async def _look(yard: YardAddress) -> _Glance:
    settings = yard.settings()
    async with client(yard) as connected, await connect(settings, name="cli-status") as bus:
        return _Glance(
            settings=settings,
            depth=await connected.queue_depth(),
            dispatcher=await ask_dispatcher(bus),
            workers=await connected.workers(),
            names=names_by_digest(await connected.adapters()),
            controls=await connected.control.list(),
        )


def _document(glance: _Glance) -> dict[str, object]:
    dispatcher = glance.dispatcher
    return {
        "url": glance.settings.shown_url,
        "prefix": glance.settings.prefix,
        "queue": {
            "total": glance.depth.total,
            "delayed": glance.depth.delayed,
            "unfinished": queue_documents(glance.depth),
        },
        "dispatcher": dispatcher.model_dump(mode="json") if dispatcher is not None else None,
        "paused": [pause.model_dump(mode="json") for pause in glance.controls.pauses],
        "capped": [cap.model_dump(mode="json") for cap in glance.controls.caps],
        "workers": worker_documents(glance.workers, glance.names),
        "hit_rate": hit_rate(glance.workers),
    }


def _print(glance: _Glance) -> None:
    console = out()
    depth, dispatcher = glance.depth, glance.dispatcher
    delayed = f", {depth.delayed} delayed" if depth.delayed else ""
    console.print(
        f"[bold]bus[/]         {plain(glance.settings.shown_url)}, prefix {plain(glance.settings.prefix)}"
    )
    if dispatcher is None:
        console.print("[bold]dispatcher[/]  [red]none answers[/]; start one with `lorayard dispatcher`")
        if alone := [advert.worker for advert in glance.workers if advert.emergency]:
            console.print(
                f"[bold]emergency[/]   [yellow]{plain(', '.join(alone))}[/] pull jobs by themselves"
            )
    else:
        for line in dispatcher_lines(dispatcher):
            console.print(line)
    for pause in glance.controls.pauses:
        console.print(f"[bold]{pause.word:<12}[/][yellow]{plain(told(pause))}[/]")
    for cap in glance.controls.caps:
        console.print(f"[bold]capped[/]      {plain(told(cap))}")
    console.print(f"[bold]queue[/]       {counted(depth.total, 'job')} unfinished{delayed}")
    if depth.unfinished:
        console.print(queue_table(depth))
    console.print(f"[bold]hit rate[/]    {percent(hit_rate(glance.workers))}")
    if glance.workers:
        console.print()
        console.print(worker_table(glance.workers, glance.names))
    else:
        console.print("[bold]workers[/]     [red]none is alive[/]; start one with `lorayard worker`")
