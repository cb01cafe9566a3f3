"""Queues: unfinished jobs by lane, tenant and adapter, and what those wait for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lorayard_cli.top.amounts import age, count
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import LEAST, Mark, Row, Sheet
from lorayard_schemas.explanation import WaitReason
from lorayard_schemas.job import Lane
from lorayard_schemas.names import split_version
from lorayard_schemas.snapshot import QueueRow, WaitRow, YardSnapshot

CHOOSES = "(the yard chooses)"

QUEUES = Sheet(
    columns=(
        Column(title="lane", width=6),
        Column(title="tenant", width=7, grows=True),
        Column(title="adapter", width=26, grows=True, keeps_end=True),
        Column(title="jobs", width=7, right=True),
        Column(title="oldest", width=6, right=True),
        Column(title="waits for", width=13, grows=True),
    ),
    sorted_by=3,
    descending=True,
    empty="No job waits. `lorayard submit` sends one.",
)

_LANES = {lane: place for place, lane in enumerate(Lane)}
_TROUBLE = frozenset(
    {WaitReason.NO_WORKER, WaitReason.NO_WORKER_TAKES_JOBS, WaitReason.NO_BASE, WaitReason.NO_FILES}
)
"""What ends only when somebody does something."""


def queue_rows(snapshot: YardSnapshot) -> list[Row[QueueRow]]:
    """One for each lane, tenant and adapter that has jobs."""
    waits = _by_adapter(snapshot.waits)
    return [_row(queue, _wait_of(queue.adapter, waits)) for queue in snapshot.queues]


def _row(queue: QueueRow, wait: WaitRow | None) -> Row[QueueRow]:
    reason = wait.reason if wait is not None else ""
    oldest = queue.oldest_seconds
    return Row(
        key=f"{queue.lane} {queue.tenant} {queue.adapter or ''}",
        cells=(
            queue.lane.value,
            queue.tenant,
            CHOOSES if queue.adapter is None else queue.adapter,
            count(queue.jobs),
            age(oldest),
            reason.replace("_", " "),
        ),
        order=(
            _LANES[queue.lane],
            queue.tenant,
            queue.adapter or "",
            queue.jobs,
            LEAST if oldest is None else oldest,
            reason,
        ),
        mark=Mark.WARNING if reason in _TROUBLE else Mark.PLAIN,
        about=queue,
    )


def queue_detail(queue: QueueRow, snapshot: YardSnapshot) -> str:
    """What the chosen one waits for, in words."""
    wait = _wait_of(queue.adapter, _by_adapter(snapshot.waits))
    said = f"{queue.lane} · tenant {queue.tenant} · {queue.adapter or CHOOSES}"
    if wait is None:
        return f"{said}\n{_not_waiting(snapshot)}"
    return f"{said}\n{wait.adapter}: {count(wait.jobs)} wait in dispatchers. {wait.text}"


def _not_waiting(snapshot: YardSnapshot) -> str:
    if not snapshot.dispatchers:
        return "No dispatcher answers, so nobody can say what these jobs wait for."
    return "None of them waits in a dispatcher: they run, or were not read from the stream yet."


def _by_adapter(waits: Iterable[WaitRow]) -> Mapping[str, WaitRow]:
    """Under each name and each version: that which keeps most."""
    found: dict[str, WaitRow] = {}
    for wait in sorted(waits, key=lambda each: each.jobs):
        found[split_version(wait.adapter)[0]] = wait
        found[wait.adapter] = wait
    return found


def _wait_of(adapter: str | None, waits: Mapping[str, WaitRow]) -> WaitRow | None:
    if adapter is None:
        return None
    return waits.get(adapter) or waits.get(split_version(adapter)[0])
