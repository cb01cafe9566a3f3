"""Rollbacks while jobs flow: how long after one is still something begun on the version that was left?

Always as many jobs are under way, so that some wait at the dispatcher and some at the workers. A promotion to
version 2 takes hold, then the alias is rolled back to version 1: again and again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from nats.aio.msg import Msg

from lorayard_cli.bench.adapters_sides.yard import LiveYard
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import percentile, spread
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.audit import AuditKind, DecisionRecord
from lorayard_schemas.codec import decode
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author
from lorayard_workers.tiny_model import make_tiny_adapter

NAME: Final = "acme/tiny/rolled"
ALIAS: Final = "stable"
OLD, NEW = "1", "2"
IN_FLIGHT: Final = 48
"""More than two workers of eight rows hold with what is queued there: the rest waits at the dispatcher."""
SETTLED: Final = 16
"""Answers of a revision before the next change: as many as all rows give at once."""
TOKENS: Final = 6
USERS: Final = 100
TOLD_SECONDS: Final = 10.0
"""After the last answer: a dispatcher that records nothing is found out."""
AUTHOR: Final = Author(actor="bench", reason="a measurement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A row that began: which revision its job was bound to, and where and when it ran."""

    job: str
    revision: int
    worker: str
    at: float
    """Unix seconds, by the worker's clock, which is the same machine's."""
    answered_at: float


@dataclass(slots=True)
class Seen:
    """What there was to hear."""

    decisions: list[DecisionRecord] = field(default_factory=list[DecisionRecord])
    """In the dispatcher's order."""
    starts: list[Start] = field(default_factory=list[Start])
    answers: dict[int, int] = field(default_factory=dict[int, int])
    """Revision -> how many."""
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """One of them."""

    at: float
    """Unix seconds, just before the compare-and-set."""
    left: int
    """The revision that was left."""
    revision: int
    """The one that it made."""


async def rollback_figures(yard: LiveYard, rollbacks: int) -> dict[str, Figure]:
    """Figures by the key of their goal."""
    versions = await _two_versions(yard)
    store, seen, done = AliasStore(yard.bus), Seen(), list[Rollback]()
    wish = SplitWish(adapter=NAME, alias=ALIAS, weights=((OLD, 100.0),))
    first = await store.split(wish, versions, AUTHOR)
    async with _heard(yard, seen):
        async with _traffic(yard, seen):
            await _settled(seen, first.revision)
            for _ in range(rollbacks):
                left = await store.promote(NAME, ALIAS, NEW, versions, AUTHOR)
                await _settled(seen, left.revision)
                made = await store.roll_back(NAME, ALIAS, None, versions, AUTHOR)
                done.append(Rollback(at=made.at, left=left.revision, revision=made.revision))
                await _settled(seen, made.revision)
        await _all_told(seen)
    return figures(done, seen)


def figures(done: Sequence[Rollback], seen: Seen) -> dict[str, Figure]:
    """Of each rollback: until the last start on what it left, and what began once it had been seen.

    A worker is told as soon as the dispatcher knows, and takes some milliseconds to answer: what it begins
    meanwhile is counted. Once it has answered a job of the new revision it must begin nothing of the old one.
    """
    begun_at = {decision.job: decision.at for decision in seen.decisions}
    seconds, given, begun, knowing = list[float](), 0, 0, 0
    for rollback in done:
        known_at = _known_at(rollback.revision, seen.decisions)
        starts = [start for start in seen.starts if start.revision == rollback.left]
        last = max((start.at for start in starts), default=rollback.at)
        seconds.append(max(0.0, last - rollback.at))
        given += _given_after(rollback, seen.decisions)
        told_at = _told_at(rollback.revision, seen.starts)
        knowing += sum(start.at > told_at.get(start.worker, math.inf) for start in starts)
        begun += sum(start.at > known_at >= begun_at.get(start.job, 0.0) for start in starts)
    told = f"{len(done)} rollbacks, {IN_FLIGHT} jobs under way, {len(seen.starts):,} answered"
    told += f"; longest {max(seconds) * 1000:.0f} ms"
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return {
        "rollback_p99": Figure(
            value=spread([p99]), note=told, facts={"seconds": [round(one, 4) for one in sorted(seconds)]}
        ),
        "rollback_p50": Figure(value=spread([p50])),
        "given_after": Figure(value=spread([given]), note="of all rollbacks"),
        "begun_after": Figure(
            value=spread([begun]),
            note="of all rollbacks; given before, begun after one was given by the new revision",
        ),
        "begun_knowing": Figure(value=spread([knowing]), note="of all rollbacks"),
        "rollback_failed": Figure(value=spread([seen.failed])),
    }


def _known_at(revision: int, decisions: Sequence[DecisionRecord]) -> float:
    """When the dispatcher knew it for certain: it gave a job out by it."""
    return min(decision.at for decision in decisions if _revision(decision) == revision)


def _told_at(revision: int, starts: Sequence[Start]) -> dict[str, float]:
    """When each worker had answered the first job of a revision."""
    answered: dict[str, float] = {}
    for start in starts:
        if start.revision == revision:
            answered[start.worker] = min(start.answered_at, answered.get(start.worker, math.inf))
    return answered


def _given_after(rollback: Rollback, decisions: Sequence[DecisionRecord]) -> int:
    """Jobs handed over on the revision that was left, once one had been by the new one."""
    revisions = [_revision(decision) for decision in decisions]
    return revisions[revisions.index(rollback.revision) :].count(rollback.left)


def _revision(decision: DecisionRecord) -> int:
    return decision.alias.revision if decision.alias is not None else 0


async def _two_versions(yard: LiveYard) -> dict[str, AdapterRecord]:
    records: dict[str, AdapterRecord] = {}
    for version in (OLD, NEW):
        folder = yard.folder / "rolled" / version
        await asyncio.to_thread(make_tiny_adapter, folder, seed=int(version))
        await yard.client.adapters.push(folder, name=NAME, version=version)
        records[version] = await yard.client.adapters.activate(f"{NAME}@{version}")
    return records


@asynccontextmanager
async def _heard(yard: LiveYard, seen: Seen) -> AsyncGenerator[None]:
    """Decisions as they are published, in their order."""

    async def on_decision(message: Msg) -> None:
        decision = decode(DecisionRecord, message.data)
        if decision.alias is not None and decision.alias.name == f"{NAME}@{ALIAS}":
            seen.decisions.append(decision)

    subject = f"{yard.bus.subjects.prefix}.audit.{AuditKind.DECISION}.>"
    heard = await yard.bus.nc.subscribe(subject, cb=on_decision)
    try:
        yield
    finally:
        await heard.unsubscribe()


@asynccontextmanager
async def _traffic(yard: LiveYard, seen: Seen) -> AsyncGenerator[None]:
    """Users who each ask again, until the block ends; then until all are answered."""
    ending, numbers = asyncio.Event(), count()

    async def ask() -> None:
        while not ending.is_set():
            await _one_job(yard, seen, next(numbers))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(ask(), name=f"asks-{number}")
            try:
                yield
            finally:
                ending.set()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _one_job(yard: LiveYard, seen: Seen, number: int) -> None:
    user = {"user": f"u{number % USERS}"}
    handle = await yard.client.submit(
        f"document {number}", adapter=f"{NAME}@{ALIAS}", max_new_tokens=TOKENS, ignore_eos=True, metadata=user
    )
    result = await handle.outcome()
    if not result.succeeded or result.alias is None:
        seen.failed += 1
        return
    revision = result.alias.revision
    working = (result.timings.total_ms - result.timings.queued_ms) / 1000
    seen.starts.append(
        Start(
            job=result.job_id,
            revision=revision,
            worker=result.worker,
            at=result.finished_at - working,
            answered_at=result.finished_at,
        )
    )
    seen.answers[revision] = seen.answers.get(revision, 0) + 1


async def _settled(seen: Seen, revision: int) -> None:
    while seen.answers.get(revision, 0) < SETTLED:  # noqa: ASYNC110  # answers come one by one
        await asyncio.sleep(0.005)


async def _all_told(seen: Seen) -> None:
    """Decisions are published in batches, beside the jobs."""
    async with asyncio.timeout(TOLD_SECONDS):
        while len(seen.decisions) < len(seen.starts):  # noqa: ASYNC110  # they come one by one
            await asyncio.sleep(0.005)
