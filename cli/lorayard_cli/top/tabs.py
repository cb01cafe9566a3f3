"""What stands on each tab: its table, where that comes from, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lorayard_cli.top.actions.action import Action
from lorayard_cli.top.actions.dead import REDRIVE, RETRY
from lorayard_cli.top.actions.holding import DRAIN, PAUSE, RESUME
from lorayard_cli.top.actions.jobs import CANCEL, CANCEL_QUEUE
from lorayard_cli.top.actions.placing import PIN, UNPIN
from lorayard_cli.top.actions.rollout import PROMOTE, ROLLBACK
from lorayard_cli.top.actions.striking import LIFT, STRIKE
from lorayard_cli.top.picture import Picture, Tab
from lorayard_cli.top.row import Row, Sheet
from lorayard_cli.top.sheets.adapters import ADAPTERS, adapter_detail, adapter_rows
from lorayard_cli.top.sheets.batches import BATCHES, batch_detail, batch_rows
from lorayard_cli.top.sheets.dead import DEAD, dead_detail, dead_rows
from lorayard_cli.top.sheets.holds import HOLDS, hold_detail, hold_rows
from lorayard_cli.top.sheets.jobs import JOBS, job_detail, job_rows
from lorayard_cli.top.sheets.queues import QUEUES, queue_detail, queue_rows
from lorayard_cli.top.sheets.workers import WORKERS, worker_detail, worker_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One tab's."""

    sheet: Sheet
    rows: Callable[[Picture], list[Row[Any]]]
    known: Callable[[Picture], bool] = lambda _: True
    """Whether its rows were read; else there may be some."""
    detail: Callable[[Any, Picture], str]
    """The chosen row in words, three lines at most."""
    actions: tuple[Action, ...] = ()
    enter: str
    """What Enter does, for the help."""


CONTENTS: dict[Tab, Content] = {
    Tab.OVERVIEW: Content(
        sheet=HOLDS,
        rows=lambda picture: [*hold_rows(picture.snapshot)],
        detail=lambda held, picture: hold_detail(held, picture.snapshot.at),
        actions=(RESUME, LIFT),
        enter="shows all that is wrong",
    ),
    Tab.QUEUES: Content(
        sheet=QUEUES,
        rows=lambda picture: [*queue_rows(picture.snapshot)],
        detail=lambda queue, picture: queue_detail(queue, picture.snapshot),
        actions=(PAUSE, DRAIN, RESUME, STRIKE, LIFT, CANCEL_QUEUE),
        enter="lists the jobs of a queue",
    ),
    Tab.ADAPTERS: Content(
        sheet=ADAPTERS,
        rows=lambda picture: [*adapter_rows(picture.snapshot)],
        detail=lambda adapter, _: adapter_detail(adapter),
        actions=(PIN, UNPIN, PAUSE, DRAIN, RESUME, STRIKE, LIFT, PROMOTE, ROLLBACK),
        enter="shows a version in full",
    ),
    Tab.WORKERS: Content(
        sheet=WORKERS,
        rows=lambda picture: [*worker_rows(picture.snapshot)],
        detail=lambda worker, _: worker_detail(worker),
        actions=(PAUSE, DRAIN, RESUME),
        enter="shows a worker in full",
    ),
    Tab.JOBS: Content(
        sheet=JOBS,
        rows=lambda picture: [*job_rows(picture.jobs or (), picture.snapshot.at)],
        known=lambda picture: picture.jobs is not None,
        detail=lambda job, _: job_detail(job),
        actions=(CANCEL,),
        enter="explains a job: why it waits, or why it went where it went",
    ),
    Tab.DEAD: Content(
        sheet=DEAD,
        rows=lambda picture: [*dead_rows(picture.letters or (), picture.snapshot.at)],
        known=lambda picture: picture.letters is not None,
        detail=lambda letter, _: dead_detail(letter),
        actions=(RETRY, REDRIVE),
        enter="shows what was tried, and where",
    ),
    Tab.BATCHES: Content(
        sheet=BATCHES,
        rows=lambda picture: [*batch_rows(picture.snapshot)],
        detail=lambda batch, _: batch_detail(batch),
        enter="shows a batch in full",
    ),
}


def counts(picture: Picture) -> dict[Tab, int]:
    """How many rows stand on tabs, where that is known without looking there."""
    snapshot = picture.snapshot
    return {
        Tab.QUEUES: len(snapshot.queues) + snapshot.queues_left_out,
        Tab.ADAPTERS: len(snapshot.adapters) + snapshot.adapters_left_out,
        Tab.WORKERS: len(snapshot.workers) + snapshot.workers_left_out,
        Tab.DEAD: snapshot.overview.dead_letters,
        Tab.BATCHES: len(snapshot.batches),
    }
