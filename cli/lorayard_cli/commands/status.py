"""`lorayard status`: the yard at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lorayard import QueueDepth, Trouble, TroubleLevel, YardSnapshot
from lorayard_cli.connection import client
from lorayard_cli.dispatcher_lines import dispatcher_lines
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
from lorayard_schemas.subjects import JobAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glance:
    """All that is shown, read within a moment."""

    snapshot: YardSnapshot
    workers: list[WorkerAdvert]
    names: dict[str, str]

    @property
    def depth(self) -> QueueDepth:
        """How much waits where."""
        rows = self.snapshot.queues
        return QueueDepth(
            unfinished={
                JobAddress(lane=row.lane, tenant=row.tenant, adapter=row.adapter): row.jobs for row in rows
            },
            delayed=self.snapshot.overview.delayed,
        )

    @property
    def total(self) -> int:
        """Jobs without a result, also those of queues that are not listed."""
        return self.snapshot.overview.unfinished + self.snapshot.overview.delayed

    @property
    def dispatcher(self) -> DispatcherStatus | None:
        """One that is active, before one that stands by."""
        return max(self.snapshot.dispatchers, key=lambda status: bool(status.seats), default=None)


async def status(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """Show what is wrong, the queue by adapter and lane, the dispatcher, the workers and the hit rate.

    Ends with 8 when no dispatcher or no worker is alive.
    """
    glance = await _look(yard)
    if output.json:
        print_json(_document(glance))
    else:
        _print(glance)
    return ExitCode.OK if glance.dispatcher and glance.workers else ExitCode.NOT_READY


async def _look(yard: YardAddress) -> _Glance:
    async with client(yard) as connected:
        return _Glance(
            snapshot=await connected.snapshot(parts=("queues", "holds"), older_seconds=0.0),
            workers=await connected.workers(),
            names=names_by_digest(await connected.adapters()),
        )


def _document(glance: _Glance) -> dict[str, object]:
    dispatcher, snapshot = glance.dispatcher, glance.snapshot
    return {
        "url": snapshot.url,
        "prefix": snapshot.prefix,
        "troubles": [trouble.model_dump(mode="json") for trouble in snapshot.troubles],
        "overview": snapshot.overview.model_dump(mode="json"),
        "queue": {
            "total": glance.total,
            "delayed": snapshot.overview.delayed,
            "unfinished": queue_documents(glance.depth),
        },
        "dispatcher": dispatcher.model_dump(mode="json") if dispatcher is not None else None,
        "paused": [pause.model_dump(mode="json") for pause in snapshot.pauses],
        "capped": [cap.model_dump(mode="json") for cap in snapshot.caps],
        "workers": worker_documents(glance.workers, glance.names),
        "hit_rate": hit_rate(glance.workers),
    }


def _troubles(troubles: Iterable[Trouble]) -> Iterator[str]:
    """The worst first, each with its mend on a line of its own."""
    for trouble in troubles:
        colour = "red" if trouble.level is TroubleLevel.CRITICAL else "yellow"
        yield f"[bold {colour}]{trouble.level.value:<12}[/][{colour}]{plain(trouble.text)}[/]"
        if trouble.mend:
            yield f"            {plain(trouble.mend)}"


def _print(glance: _Glance) -> None:
    console, snapshot = out(), glance.snapshot
    depth, dispatcher = glance.depth, glance.dispatcher
    delayed = f", {depth.delayed} delayed" if depth.delayed else ""
    for line in _troubles(snapshot.troubles):
        console.print(line)
    console.print(f"[bold]bus[/]         {plain(snapshot.url)}, prefix {plain(snapshot.prefix)}")
    if dispatcher is None:
        console.print("[bold]dispatcher[/]  [red]none answers[/]; start one with `lorayard dispatcher`")
        if alone := [advert.worker for advert in glance.workers if advert.emergency]:
            console.print(
                f"[bold]emergency[/]   [yellow]{plain(', '.join(alone))}[/] pull jobs by themselves"
            )
    else:
        for line in dispatcher_lines(dispatcher):
            console.print(line)
    for pause in snapshot.pauses:
        console.print(f"[bold]{pause.word:<12}[/][yellow]{plain(told(pause))}[/]")
    for cap in snapshot.caps:
        console.print(f"[bold]capped[/]      {plain(told(cap))}")
    console.print(f"[bold]queue[/]       {counted(glance.total, 'job')} unfinished{delayed}")
    if depth.unfinished:
        console.print(queue_table(depth))
    console.print(f"[bold]hit rate[/]    {percent(hit_rate(glance.workers))}")
    if glance.workers:
        console.print()
        console.print(worker_table(glance.workers, glance.names))
    else:
        console.print("[bold]workers[/]     [red]none is alive[/]; start one with `lorayard worker`")
