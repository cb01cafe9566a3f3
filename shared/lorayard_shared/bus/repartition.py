"""Change how many partitions a yard has, and take the waiting jobs along.

A job lies in the stream under the partition it was given as it was stored, and a consumer whose filter
changes never gives out what lies behind it (measured, 2.15). So the consumers are made anew, and every
waiting job is published again and then deleted: it keeps its body and headers, and gets another place in
the stream. Whoever ends this in the middle starts it again, which the stream itself asks for by a mark; a job
that was published and not yet deleted is then known by its message id, or at the latest by its result, of
which there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import nats.errors
import nats.js.errors
from nats.js import api

from lorayard_schemas import headers
from lorayard_schemas.seat import DISPATCHER_KEY
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.topology import StreamDeclaration, Topology
from lorayard_shared.errors import BusDeclarationError

CONSUMERS = "dispatch-"
"""What the names of the consumers of jobs begin with."""

MOVING = "lorayard.moving"
"""In the stream's metadata while jobs are moved: the limit on bytes it had before. For that time there is
none, as a job is there twice."""

JsonMap = dict[str, Any]


async def repartition(bus: Bus, jobs: StreamDeclaration, wanted: Topology) -> int:
    """Give the stream of jobs the partitions of `wanted`; returns how many jobs were moved.

    Raises:
        BusDeclarationError: dispatchers or workers still run, or the server refused a step.
    """
    running = await _running(bus)
    if running:
        raise BusDeclarationError(
            kind="stream",
            name=jobs.name,
            reason="its partitions change only while no dispatcher and no worker runs; "
            f"stop {', '.join(running)}",
        )
    try:
        return await _repartition(bus, jobs, wanted)
    except (ApiError, nats.errors.Error, nats.js.errors.Error) as error:
        reason = str(error) or type(error).__name__
        raise BusDeclarationError(kind="stream", name=jobs.name, reason=reason) from error


def is_moving(config: Mapping[str, Any]) -> bool:
    """Whether a stream's jobs were being moved when somebody ended that."""
    return MOVING in (config.get("metadata") or {})


async def _repartition(bus: Bus, jobs: StreamDeclaration, wanted: Topology) -> int:
    config: JsonMap = (await bus.api(f"STREAM.INFO.{jobs.name}"))["config"]
    found: dict[str, str] = config.get("metadata") or {}
    marked = {MOVING: str(config.get("max_bytes", -1)), **found}
    config = {**config, "subject_transform": jobs.config["subject_transform"]}
    # From here on a new job is stored under its new partition.
    moving = {**config, "metadata": marked, "max_bytes": -1}
    last = int((await bus.api(f"STREAM.UPDATE.{jobs.name}", moving))["state"]["last_seq"])
    names: list[str] = (await bus.api(f"CONSUMER.NAMES.{jobs.name}")).get("consumers") or []
    for name in names:
        if name.startswith(CONSUMERS):
            await bus.api(f"CONSUMER.DELETE.{jobs.name}.{name}")
    for consumer in wanted.consumers:
        if consumer.stream == jobs.name:
            body = {"stream_name": consumer.stream, "config": consumer.config, "action": "create"}
            await bus.api(f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}", body)
    moved = 0
    place = 1
    while (job := await _next(bus, jobs.name, place)) is not None and (job.seq or 0) <= last:
        place = (job.seq or 0) + 1
        await move(bus, jobs.name, job)
        moved += 1
    most = int(marked.pop(MOVING))
    await bus.api(f"STREAM.UPDATE.{jobs.name}", {**config, "metadata": marked, "max_bytes": most})
    return moved


async def _next(bus: Bus, stream: str, place: int) -> api.RawStreamMsg | None:
    try:
        return await bus.js.get_msg(stream, seq=place, subject=bus.subjects.jobs, next=True)
    except nats.js.errors.NotFoundError:
        return None


async def move(bus: Bus, stream: str, job: api.RawStreamMsg) -> None:
    """Store a job once more, under the partition it gets now, and then delete it where it was."""
    parts = (job.subject or "").removeprefix(f"{bus.subjects.prefix}.jobs.").split(".")
    subject = ".".join((bus.subjects.prefix, "jobs", *parts[:3]))
    # Its first id would make it a duplicate of itself.
    found = cast("dict[str, str]", job.headers or {})
    kept = {key: value for key, value in found.items() if not key.startswith("Nats-Expected-")}
    await bus.js.publish(
        subject,
        job.data or b"",
        headers={**kept, headers.MSG_ID: bus.message_id(f"moved-{stream}-{job.seq}")},
    )
    await bus.api(f"STREAM.MSG.DELETE.{stream}", {"seq": job.seq, "no_erase": True})


async def _running(bus: Bus) -> list[str]:
    """The keys of dispatchers and workers that live."""
    found: list[str] = []
    for kind, start in (("dispatchers", DISPATCHER_KEY), ("workers", "")):
        bucket = bus.subjects.bucket(kind)
        try:
            info = await bus.api(f"STREAM.INFO.KV_{bucket}", {"subjects_filter": f"$KV.{bucket}.>"})
        except ApiError:
            continue  # there is none yet
        for subject in sorted(info["state"].get("subjects") or {}):
            key = subject.removeprefix(f"$KV.{bucket}.")
            if key.startswith(start) and await _is_there(bus, f"KV_{bucket}", subject):
                found.append(key.removeprefix(start))
    return found


async def _is_there(bus: Bus, stream: str, subject: str) -> bool:
    """Whether a key has a value, and not only a mark that it is gone."""
    try:
        return bool((await bus.js.get_msg(stream, subject=subject)).data)
    except nats.js.errors.NotFoundError:
        return False
