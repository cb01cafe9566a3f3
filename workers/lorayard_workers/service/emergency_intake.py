"""Take in a job that this worker has pulled by itself: the promises are those of a dispatcher.

Read, resolved, refused, expired and answered by the same code. A job whose adapter is warm at another worker
with room, or that only another can serve, is handed to that one with its lease, as a dispatcher would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AssignedJob, Assignment, AssignmentReply, CancelJob
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.control import Cap, told
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.give_back import GiveBack, lead_of
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.late_news import LateNews, Watch
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.asked import asked_of
from lorayard_shared.jobs.controls import ControlBook
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.intake import Unreadable, read_message
from lorayard_shared.jobs.interruption_store import InterruptionStore
from lorayard_shared.jobs.placements import Placements
from lorayard_shared.jobs.resolve import Resolution, UnknownAdapterError, kept_of
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.registry.semantic_watch import SemanticWatch
from lorayard_shared.schedules.overlap import Overlaps
from lorayard_workers.service.desk import Desk
from lorayard_workers.service.emergency_cancel import EmergencyCancel
from lorayard_workers.service.emergency_limits import limit_of
from lorayard_workers.service.held_jobs import HeldJobs
from lorayard_workers.service.kept_back import KeptBack
from lorayard_workers.service.led_elsewhere import is_shut_out, led_elsewhere, orders_for
from lorayard_workers.service.peers import Peers

MAX_DELIVERIES = 4
"""A job given out more often waits for a dispatcher: it may end whoever runs it, and only a dispatcher counts
the deaths of workers. As many as by default make a job poison, and one."""

MOST_LEFT = 256
"""Of those, kept by one worker: they count as given out. The leases of more run out, again and again."""

ASK_SECONDS = 5.0
"""A worker's loop never blocks, so an answer that takes longer is lost."""


class EmergencyIntake:
    """What becomes of the deliveries of one worker's own pulls."""

    def __init__(
        self,
        bus: Bus,
        leases: LeaseKeeper,
        held: HeldJobs,
        desk: Desk,
        peers: Peers,
        *,
        counted: Callable[[], Mapping[str, int]],
    ) -> None:
        """`counted`: jobs held here of what is capped."""
        self._counted = counted
        self._bus = bus
        self._leases = leases
        self._held = held
        self._desk = desk
        self._peers = peers
        self._directory = Directory(AdapterRegistry(), None)
        self.semantic = self._watch_classifier()
        self.controls = ControlBook()
        self._kept = KeptBack(bus, leases, retry=self._consider)
        self._results = ResultStore(bus, PayloadStore(bus))
        self.answers = Answers(bus, self._results, leases)
        self._deaths = InterruptionStore(bus)
        self._log = structlog.get_logger()
        self._tasks = OwnedTasks(self._log)
        self._left: list[str] = []
        """Leases of jobs that wait for a dispatcher."""
        self._placements = Placements()
        self._overlaps = Overlaps(bus, self.answers)
        self.cancels = EmergencyCancel(bus, self.answers, self._tasks, lambda: peers.holders)
        self._considered: set[str] = set()
        self._listed = False
        self._news = LateNews(spawn=self._tasks.spawn, retry=self._have_heard)
        self._unheard: dict[str, asyncio.Event] = {}
        """Jobs that name what nobody here has heard of; set once all has been heard that is written."""
        self.taken = self.handed_on = 0

    def begin(self, default_adapter: str | None) -> None:
        """Before the first pull: what was known of an earlier time is void, and is listed anew."""
        self._listed = False
        self._directory = Directory(AdapterRegistry(), default_adapter)
        self.semantic = self._watch_classifier()
        self.controls = ControlBook()
        self._peers.forget()
        self._placements = Placements()
        self.taken = self.handed_on = 0

    def _watch_classifier(self) -> SemanticWatch:
        return SemanticWatch(self._bus, self._directory, cache=self._bus.settings.classifiers_dir)

    def on_adapter(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of adapters."""
        if (amended := self._directory.registry.on_change(key, value)) is not None:
            for order in orders_for([held for held in self._held if is_shut_out(held, amended)]):
                self._desk.withdraw(order)

    def on_alias(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of aliases."""
        aliases = self._directory.aliases
        changed = aliases.on_change(key, value) is not None
        if changed and (record := aliases.get(key)) is not None:
            self._desk.withdraw(GiveBack(aliases=(lead_of(record),)))

    def on_rules(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules."""
        if self._directory.rules.on_change(key, value) and self._listed:
            self._follow_rules()
        self.semantic.on_change(key, value)

    def listed(self, watches: Collection[Watch]) -> None:
        """All buckets have been listed once: what is held can be compared with them. `watches` are those of
        adapters and aliases, which a job that names a strange one waits for."""
        self._listed = True
        self._news.watches = watches
        self._follow_rules()

    def _follow_rules(self) -> None:
        moved = [held for held in self._held if led_elsewhere(held, self._directory)]
        for order in orders_for(moved):
            self._desk.withdraw(order)

    def on_control(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of strikes, pauses and caps."""
        if self.controls.on_change(key, value, time.time()):
            self._kept.look_again()

    def look(self) -> None:
        """Now and then: pauses end by themselves, and what is capped has ended elsewhere."""
        now = time.time()
        self._kept.expire(now)
        if self.controls.lapse(now) or self.controls.caps_any:
            self._kept.look_again()

    def on_placement(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of declarations."""
        self._placements.on_change(key, value)

    def on_peer(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of workers."""
        self._peers.on_change(key, value)

    @property
    def room(self) -> int:
        """How many more jobs may come."""
        return max(0, self._held.room - len(self._considered))

    def on_message(self, message: Heard) -> None:
        """A delivery of one of the pulls."""
        read = read_message(self._bus.subjects, message, self._log)
        if read is None:
            return
        if isinstance(read, TakenJob) and read.deliveries > MAX_DELIVERIES:
            self._put_by(read)
            return
        self._leases.hold(read.lease)
        if isinstance(read, Unreadable):
            self._tasks.spawn(self.answers.unreadable(read), f"answer-{read.delivery.key}")
        else:
            self._consider(read)

    def _consider(self, job: TakenJob) -> None:
        self._considered.add(job.key)
        self._tasks.spawn(self._take(job), f"take-{job.key}")

    def _put_by(self, job: TakenJob) -> None:
        """Keep it for a dispatcher: given out again with each lease, it would soon count as poison."""
        self._log.warning(Event.JOB_LEFT, job=job.job, deliveries=job.deliveries)
        if len(self._left) < MOST_LEFT:
            self._left.append(job.lease)
            self._leases.hold(job.lease)

    def ends(self) -> None:
        """Before its watches end: nothing more will be heard."""
        self._news.watches = ()

    async def settle(self) -> None:
        """After the last pull: finish what is under way, and hand back what was kept for a dispatcher."""
        await self._tasks.settle()
        left, self._left = [*self._left, *self._kept.let_go()], []
        for lease in left:
            self._leases.release(lease)
            with suppress(nats.errors.Error):  # then the lease runs out by itself
                await self._bus.nc.publish(lease, NAK)

    async def _take(self, job: TakenJob) -> None:
        kept = False
        try:
            kept = await self._place(job)
        except nats.errors.Error as error:
            self._log.warning(Event.BUS_FAILED, job=job.job, error=str(error) or type(error).__name__)
        finally:
            self._considered.discard(job.key)
            if not kept:  # answered, handed on, or left: its lease is not ours to renew
                self._leases.release(job.lease)

    async def _place(self, job: TakenJob) -> bool:
        """Answer it, keep it or hand it on; whether it is kept here."""
        if job.deadline is not None and job.deadline <= time.time():
            await self.answers.expire(job)
            return False
        if await self._results.has(
            job.address.tenant, job.job
        ):  # cancelled, say: nobody here has heard of it
            await self.answers.let_go(job)
            return False
        if job.plan is not None and await self._overlaps.settled(job):
            return False
        if job.deliveries > 1 and len(await self._deaths.deaths(job.key, job.address.tenant, job.job)) > 1:
            self._put_by(job)  # its next run is to be alone, and only a dispatcher sees to that
            return True
        try:
            found = await self._resolve_in_time(job)
        except UnknownAdapterError as error:
            if not self._news.watches:  # a dispatcher is back, and knows better
                self._log.warning(Event.JOB_LEFT, job=job.job, reason=str(error))
                return False
            await self.answers.refuse(job, refusals.unknown_adapter(error, None))
            return False
        hold = self.controls.hold(job.address, found.refs) or self._full(job, found)
        if hold is not None:
            self._log.info(Event.JOB_LEFT, job=job.job, reason=told(hold))
            await self._kept.keep(job)
            return True
        return await self._give(job, found)

    def _full(self, job: TakenJob, found: Resolution) -> Cap | None:
        """A cap that is reached by what this worker and its peers say that they hold."""
        for cap in self.controls.caps(job.address, found.refs):
            if self._peers.count(cap.thing) + self._counted().get(cap.thing, 0) >= cap.most:
                return cap
        return None

    async def _resolve_in_time(self, job: TakenJob) -> Resolution:
        """With all news that were written before it was asked for."""
        try:
            return await self._resolve(job)
        except UnknownAdapterError:
            heard = self._unheard.setdefault(job.key, asyncio.Event())
            if self._news.may_come(job.key):
                await heard.wait()
            self._unheard.pop(job.key, None)
            return await self._resolve(job)

    def _have_heard(self, keys: Iterable[str]) -> None:
        for key in keys:
            if (heard := self._unheard.get(key)) is not None:
                heard.set()

    async def _resolve(self, job: TakenJob) -> Resolution:
        session = await self._session(job) if self._needs_session(job) else None
        if session is None:
            return self._directory.resolve(asked_of(job))
        return self._directory.resolve(asked_of(job, None, session.bound), kept_of(session))

    def _needs_session(self, job: TakenJob) -> bool:
        """Whether one has a say: not where the job names one adapter, to which no rule may add."""
        if job.session is None:
            return False
        several = job.composition is not None or bool(self._directory.rules.adding)
        return job.address.adapter is None or several

    async def _session(self, job: TakenJob) -> SessionRecord | None:
        assert job.session is not None, "the caller has looked"
        key = session_key(job.address.tenant, job.session)
        bucket = self._bus.subjects.bucket("sessions")
        try:
            found = await self._bus.js.get_msg(f"KV_{bucket}", subject=f"$KV.{bucket}.{key}", direct=True)
            return decode(SessionRecord, found.data or b"")
        except (nats.js.errors.Error, nats.errors.Error, MalformedMessageError):
            return None  # new, over, or out of reach: that costs the session its memory and the job nothing

    # ---- here or elsewhere

    async def _give(self, job: TakenJob, found: Resolution) -> bool:
        registry, aliases = self._directory.registry, self._directory.aliases
        limits = [limit_of(self._placements.of(record, registry, aliases)) for record in found.records]
        assigned = _assigned(job, found)
        for worker in self._peers.in_order(found, limits):
            if worker is None:
                if self._desk.take(assigned):
                    self.taken += 1
                    await self._look_again(job)
                    return True
            elif await self._hand_on(worker, assigned):
                self.handed_on += 1
                await self._look_again(job)
                return False
        self._log.warning(Event.JOB_LEFT, job=job.job, reason="no worker that lives serves it or has room")
        return False

    async def _look_again(self, job: TakenJob) -> None:
        """It may have been cancelled while it was given to somebody."""
        if await self._results.has(job.address.tenant, job.job):
            await self.cancels.end_held(CancelJob(tenant=job.address.tenant, job=job.job))

    async def _hand_on(self, worker: WorkerAdvert, job: AssignedJob) -> bool:
        """Whether the job is not ours any more."""
        assignment = self._peers.assignment(worker, job)
        try:
            reply = await self._ask(worker.worker, assignment)
        except nats.errors.NoRespondersError:
            return False
        except (nats.errors.Error, MalformedMessageError):
            return True  # it may have it: the server gives it out again unless that worker renews it
        self._peers.hear(worker, reply)
        return not reply.refusals

    async def _ask(self, worker: str, assignment: Assignment) -> AssignmentReply:
        subject = self._bus.subjects.assign(worker)
        reply = await self._bus.nc.request(subject, encode(assignment), timeout=ASK_SECONDS)
        return decode(AssignmentReply, reply.data)


def _assigned(job: TakenJob, found: Resolution) -> AssignedJob:
    return AssignedJob(
        key=job.key,
        lease=job.lease,
        subject=job.subject,
        body=job.body,
        job=job.job,
        attempt=job.attempt,
        deliveries=job.deliveries,
        history=job.history,
        snoozed=job.snoozed,
        adapter=found.ref,
        composition=found.composition.applied if found.composition is not None else None,
        rule=found.rule,
        confidence=_confidence(found),
        alias=found.alias,
        additions=None if found.additions is None else found.additions.for_tenant,
        waited_ms=max(0.0, (time.time() - job.enqueued_at) * 1000),
    )


def _confidence(found: Resolution) -> float | None:
    verdict = found.verdict
    return verdict.confidence if verdict is not None and verdict.adapter is not None else None
