"""Workers: what they run, hold and have done, and how they are."""

from __future__ import annotations

from lorayard_cli.top.amounts import age, count, megabytes, rate, share
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import LEAST, Mark, Row, Sheet
from lorayard_schemas.control import Controlled, Pause
from lorayard_schemas.snapshot import WorkerRow, YardSnapshot

WORKERS = Sheet(
    columns=(
        Column(title="worker", width=12, grows=True),
        Column(title="is", width=9),
        Column(title="rows", width=7, right=True),
        Column(title="room", width=4, right=True),
        Column(title="slots", width=7, right=True),
        Column(title="hits", width=5, right=True),
        Column(title="tok/s", width=7, right=True),
        Column(title="done", width=7, right=True),
        Column(title="failed", width=6, right=True),
        Column(title="heard", width=5, right=True),
        Column(title="slot MB", width=9, right=True, rank=3),
        Column(title="host MB", width=9, right=True, rank=3),
        Column(title="engine", width=7, grows=True, rank=2),
        Column(title="model", width=12, grows=True, keeps_end=True, rank=1),
    ),
    sorted_by=0,
    empty="No worker lives. `lorayard up` starts some; `lorayard worker` is one.",
)


def worker_rows(snapshot: YardSnapshot) -> list[Row[WorkerRow]]:
    """One for each, alive or just lost."""
    paused = {pause.name: pause for pause in snapshot.pauses if pause.kind is Controlled.WORKER}
    return [_row(worker, standing(worker, paused.get(worker.worker))) for worker in snapshot.workers]


def standing(worker: WorkerRow, pause: Pause | None) -> str:
    """A word for how it is."""
    if worker.lost:
        return "LOST"
    if worker.silent:
        return "SILENT"
    if worker.draining or (pause is not None and pause.drain):
        return "draining"
    if worker.paused or pause is not None:
        return "paused"
    if worker.trouble:
        return "TROUBLE"
    if worker.emergency:
        return "alone"
    return "dedicated" if worker.dedicated else "serves"


def _row(one: WorkerRow, word: str) -> Row[WorkerRow]:
    return Row(
        key=one.worker,
        cells=(
            one.worker,
            word,
            f"{one.rows_running}/{one.rows_max}",
            str(one.room),
            f"{one.slots_used}/{one.slot_count}",
            share(one.hit_rate),
            rate(one.tokens_per_second),
            count(one.succeeded),
            count(one.failed),
            age(one.age_seconds),
            megabytes(one.slot_bytes),
            megabytes(one.host_bytes),
            one.engine,
            one.model.rpartition("/")[2],
        ),
        order=(
            one.worker,
            word,
            one.rows_running,
            one.room,
            one.slots_used,
            LEAST if one.hit_rate is None else one.hit_rate,
            LEAST if one.tokens_per_second is None else one.tokens_per_second,
            one.succeeded,
            one.failed,
            one.age_seconds,
            one.slot_bytes,
            one.host_bytes,
            one.engine,
            one.model,
        ),
        mark=_mark(word),
        about=one,
    )


def _mark(word: str) -> Mark:
    if word == "LOST":
        return Mark.CRITICAL
    return Mark.WARNING if word in ("SILENT", "TROUBLE", "alone", "paused", "draining") else Mark.PLAIN


def worker_detail(one: WorkerRow) -> str:
    """The chosen one in full."""
    held = ", ".join(one.adapters) or "none"
    made = f"{one.engine or '-'} · {one.model or '-'} · pid {one.pid or '-'} · epoch {one.epoch}"
    lines = [f"{one.worker} · {made}"]
    if one.lost:
        gone = age(one.age_seconds)
        lines.append(f"Gone {gone} ago without a word; `lorayard workers show` has its last ones.")
    elif one.trouble:
        lines.append(f"trouble: {one.trouble}")
    elif one.emergency:
        lines.append("It pulls its jobs by itself: it hears no dispatcher.")
    if one.dedicated:
        lines.append(f"serves {one.dedicated} alone")
    return "\n".join([*lines, f"in its slots: {held}"])
