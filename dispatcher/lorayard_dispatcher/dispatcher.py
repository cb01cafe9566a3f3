"""The dispatcher: intake, resolve, pool, plan, hand over. It holds nothing that a crash can lose.

Every parked job is still in its stream, leased; a restarted dispatcher gets it again after `ack_wait`. Only
`planning` decides; everything here carries values to it and decisions away from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from lorayard_dispatcher.arrival_order import ArrivalOrder
from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.compositions import Compositions
from lorayard_dispatcher.delayed_check import DelayedCheck
from lorayard_dispatcher.departures import Departures
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.hand_over import HandOver
from lorayard_dispatcher.interruptions import Interruptions
from lorayard_dispatcher.keeping import Keeping
from lorayard_dispatcher.late_news import LateNews
from lorayard_dispatcher.lookout import Lookout
from lorayard_dispatcher.news import News
from lorayard_dispatcher.orders import Orders
from lorayard_dispatcher.parked_job import BYTES_A_TOKEN, ParkedJob
from lorayard_dispatcher.plan_log import make_planner
from lorayard_dispatcher.planning.values import BASE_GROUP, USUAL_TOKENS, WaitingJob
from lorayard_dispatcher.plans import Plans
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.rerouting import Rerouting
from lorayard_dispatcher.samples import Samples
from lorayard_dispatcher.sending import Sending
from lorayard_dispatcher.session import Session
from lorayard_dispatcher.sessions import Sessions
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_dispatcher.unservable import Unservable
from lorayard_dispatcher.usage import Usage
from lorayard_dispatcher.withdrawing import Withdrawing
from lorayard_schemas.job import Lane
from lorayard_schemas.strike import Strike
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.intake import Unreadable, read_message
from lorayard_shared.jobs.resolve import Rule, UnknownAdapterError
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.registry.semantic_watch import SemanticWatch

LANES = tuple(Lane)
PLAN_GAP_SECONDS = 0.002
"""At most one plan in this time: arrivals of one burst are planned together."""
LOOK_SECONDS = 0.05
"""A plan at least this often while jobs wait: jobs become overdue and workers silent without an event."""
TICK_SECONDS = 0.25
"""Between looks at deadlines, and at jobs that nobody can serve."""


class Dispatcher:
    """One dispatcher's state and what moves it."""

    def __init__(self, bus: Bus, leases: LeaseKeeper, settings: DispatcherSettings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.bus = bus
        self.leases = leases
        self.registry = AdapterRegistry()
        self._log = structlog.get_logger().bind(dispatcher=name)
        self._changed = asyncio.Event()
        self._tasks = OwnedTasks(self._log)
        self.spawn = self._tasks.spawn
        self.settle = self._tasks.settle
        self.end = self._tasks.end
        self.compositions = Compositions(self.registry)
        registry = self.registry
        policy = settings.policy(
            registry.base_of, registry.columns_of, registry.bytes_of, self.compositions.parts_of
        )
        self.planner = make_planner(policy, settings.record_plans, self.spawn)
        self.pool = Pool(self.planner, self.compositions)
        self.usage = Usage(self.planner)
        self.fleet = Fleet(name, numbered_from=time.time_ns())
        self.answers = Answers(bus, ResultStore(bus, PayloadStore(bus)), leases)
        self.hand_over = HandOver(bus, self.fleet, leases, name)
        self.interruptions = Interruptions()
        self.arrival_order = ArrivalOrder()
        self.started_at = time.time()
        self.taken = 0
        self.lookout = Lookout(self.fleet, name)
        self.setbacks = Setbacks(self.fleet, self.hand_over.whereabouts, self.interruptions)
        self.unresolved = Unresolved()
        self.choosing = Choosing(self.registry, settings.default_adapter)
        self.is_active: Callable[[], bool] = lambda: True
        """Whether what is parked is still this dispatcher's to give out."""
        self.withdrawing = Withdrawing(bus, self.fleet, self.spawn, is_active=lambda: self.is_active())
        self.rerouting = self._make_rerouting()
        self.as_now = self.rerouting.as_now
        self.samples = Samples(settings.semantic_samples)
        self.semantic = SemanticWatch(
            bus,
            self.choosing.directory,
            cache=settings.classifiers_dir,
            waiting=self.rerouting.might_mean,
            took=self.rerouting.on_classifier,
        )
        self.sessions = Sessions(bus, self.spawn, self._retry)
        self.late_news = LateNews(spawn=self.spawn, retry=self._retry)
        self.hand_over.on_turn = self.sessions.handed
        self.on_room: list[Callable[[], None]] = []
        """Called whenever room may have come free."""
        self.audit = Audit(bus, name, labels=self.registry.labels, spawn=self.spawn, enabled=settings.audit)
        self.orders = Orders(bus, self.fleet, self.spawn)
        self.keeping = self._make_keeping()
        self.departures = Departures(
            bus, self.pool, self.unresolved, answers=self.answers, leases=leases, spawn=self.spawn
        )
        self.is_cancelled = self.departures.is_cancelled
        self.unservable = Unservable(
            self.fleet, self.pool, registry, self.compositions, answers=self.answers, spawn=self.spawn
        )
        self.give_up = self.unservable.give_up
        self.delayed = DelayedCheck(self.answers, self.spawn, self._log)
        self.news = self._make_news()
        self.sending = self._make_sending()
        self.plans = self._make_plans()

    def _make_keeping(self) -> Keeping:
        return Keeping(
            fleet=self.fleet,
            pool=self.pool,
            registry=self.registry,
            orders=self.orders,
            audit=self.audit,
            spawn=self.spawn,
            infers=self.settings.infer_tiers,
            is_blind=lambda: self.lookout.blind,
        )

    def _make_rerouting(self) -> Rerouting:
        return Rerouting(
            self.choosing,
            self.pool,
            self.unresolved,
            withdrawing=self.withdrawing,
            take=self._take,
            changed=self._changed.set,
        )

    def _make_news(self) -> News:
        return News(
            self.fleet,
            orders=self.orders,
            keeping=self.keeping,
            interruptions=self.interruptions,
            setbacks=self.setbacks,
            departures=self.departures,
            spawn=self.spawn,
            on_advert=self._on_worker,
            on_load=self._changed.set,
            log=self._log,
        )

    def _make_sending(self) -> Sending:
        return Sending(
            self,
            hand_over=self.hand_over,
            fleet=self.fleet,
            leases=self.leases,
            setbacks=self.setbacks,
            usage=self.usage,
            audit=self.audit,
            policy=self.planner.policy,
            tasks=self._tasks,
            log=self._log,
        )

    def _make_plans(self) -> Plans:
        return Plans(
            self.planner,
            self.pool,
            fleet=self.fleet,
            lookout=self.lookout,
            usage=self.usage,
            audit=self.audit,
            choosing=self.choosing,
            sending=self.sending,
            orders=self.orders,
        )

    @property
    def failures(self) -> int:
        """Its own tasks that ended with an error nobody expected."""
        return self._tasks.failed

    # ---- what comes in

    def room(self, lane: Lane) -> int:
        """How many more jobs of a lane may be taken: parked ones cost memory and leases.

        Each lane has a window of its own, or bulk work would keep urgent jobs from being seen at all.
        """
        return self.room_due() - self.pool.count(LANES.index(lane))

    def room_due(self) -> int:
        """The same for retried jobs, of whatever lane."""
        window = self.settings.window
        struck = self.unresolved.struck
        # As many more may be struck: nobody else is to wait for those.
        return window - (len(self.unresolved) - struck) - max(0, struck - window)

    def on_message(self, message: Heard) -> None:
        """A delivery from one of the lanes."""
        self.taken += 1
        read = read_message(self.bus.subjects, message, self._log)
        if read is None:
            return
        self.leases.hold(read.lease)
        if isinstance(read, Unreadable):
            self.spawn(self.answers.unreadable(read), f"answer-{read.delivery.key}")
        else:
            self._take(read)

    def _on_worker(self) -> None:
        """One has told something."""
        self.retry_unresolved()
        self._changed.set()

    def on_adapter(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of adapters."""
        self.registry.on_change(key, value)
        if (stored := self.registry.stored_under(key)) is not None:
            self.fleet.on_stored(stored)
        self.keeping.on_declared()
        self.retry_unresolved()
        self._changed.set()

    def on_rules(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules."""
        self.rerouting.on_rules(key, value)
        self.semantic.on_change(key, value)

    # ---- resolve and park

    def _take(self, job: TakenJob) -> None:
        """A job whose lease is held; one that nobody can tell what to do with costs the others nothing."""
        try:
            self._look_at(job)
        except Exception:  # noqa: BLE001  # it is in no list now: let go of, it comes again after `ack_wait`
            self.leases.release(job.lease)
            self._tasks.failed += 1
            self._log.exception(Event.LOOP_FAILED, job=job.job, tenant=job.address.tenant)

    def _look_at(self, job: TakenJob) -> None:
        if self.is_cancelled(job):
            # Its result is stored, or about to be: once more does no harm, an ack without one would.
            self.spawn(self.answers.cancel(job), f"cancel-{job.key}")
        elif self._is_poison(job):
            self.spawn(self.answers.refuse(job, refusals.delivered_too_often()), f"poison-{job.key}")
        elif job.deadline is not None and job.deadline <= time.time():
            self.spawn(self.answers.expire(job), f"expire-{job.key}")
        else:
            self._park(job)

    def _is_poison(self, job: TakenJob) -> bool:
        interruptions = self.interruptions.times(job.key)
        return (
            interruptions >= self.settings.max_interruptions or job.deliveries > self.settings.max_deliveries
        )

    def _park(self, job: TakenJob) -> None:
        session: Session | None = None
        if job.session is not None:
            session = self.sessions.get(job.address.tenant, job.session, job.key)
            if session is None:
                self._put_by(job)
                return
        try:
            found = self.choosing.choose(job, session)
        except UnknownAdapterError as error:
            self._wait_or_refuse(job, error)
            return
        if self.samples.per_adapter and found.rule is Rule.EXPLICIT and job.deliveries == 1:
            self._sample(job)
        strike = self.choosing.strike(job, found)
        if strike is not None:
            self._put_by(job, strike)
            return
        if session is not None:
            session.turned(found, job.enqueued_at)
        waiting = WaitingJob(
            key=job.key,
            group=found.made_of or BASE_GROUP,
            tenant=job.address.tenant,
            priority=LANES.index(job.address.lane),
            enqueued_at=job.enqueued_at,
            deadline=job.deadline,
            tokens=USUAL_TOKENS + len(job.body) / BYTES_A_TOKEN,
            home=session.worker if session is not None else None,
            moving_seconds=self._moving_seconds(session, job) if session is not None else 0.0,
        )
        if job.deliveries == 1:
            self.arrival_order.see(waiting.group, self.plans.slots)
        parked = ParkedJob(
            taken=job,
            waiting=waiting,
            adapter=found.ref,
            rule=found.rule,
            alias=found.alias,
            chosen_at=self.choosing.changes,
            session=session,
            composition=found.composition,
            verdict=found.verdict,
            additions=found.additions,
        )
        again = job.deliveries > 1
        holder = self.setbacks.redelivered(parked.key, time.monotonic()) if again else None
        if holder is not None:
            self.sending.hand_to(holder, [parked])
        else:
            self._put(parked)

    def _sample(self, job: TakenJob) -> None:
        standing, record = self.choosing.directory.semantic.standing, self.semantic.record
        if standing is not None and record is not None and job.composition is None:
            self.samples.see(job, standing.embedding, record.encoder_digest, time.monotonic())

    def _moving_seconds(self, session: Session, job: TakenJob) -> float:
        """To read anew elsewhere what the session's worker has in its cache: no more than the prompt has."""
        known = min(session.tokens, job.prompt_bytes / BYTES_A_TOKEN)
        return known * self.settings.prefill_seconds_per_token

    def _put(self, parked: ParkedJob) -> None:
        """Park a job. Of two deliveries of one job the newer stays, and the other's lease is let go."""
        known = self.pool.get(parked.key)
        if known is not None and known.taken.deliveries > parked.taken.deliveries:
            known, parked = parked, known
        first = known is None and parked.taken.deliveries == 1
        self.pool.put(parked, arrived=time.time() if first else None)
        if known is not None and known.taken.lease != parked.taken.lease:
            self.leases.release(known.taken.lease)
        self._changed.set()

    def _wait_or_refuse(self, job: TakenJob, error: UnknownAdapterError) -> None:
        # Workers register what they have before their first advert. With none alive nobody can know yet
        # which adapters there are, so the job waits.
        if not self.fleet.workers or self.late_news.may_come(job.key):
            self._put_by(job)
            return
        # What workers say of files must not tell a tenant what it may not know of.
        hidden = error.spec.partition("@")[0] in self.registry.restricted
        refusal = refusals.unknown_adapter(error, None if hidden else self.fleet.refused(error.spec))
        self.spawn(self.answers.refuse(job, refusal), f"refuse-{job.key}")

    def _put_by(self, job: TakenJob, strike: Strike | None = None) -> None:
        old = self.unresolved.put(job, strike)
        if old is not None:
            self.leases.release(old.lease)

    def _retry(self, keys: Iterable[str]) -> None:
        """There may be more known of these jobs now: their session, or what they name."""
        for job in self.unresolved.take_keys(keys):
            self._take(job)

    def retry_unresolved(self) -> None:
        """Adapters or workers have changed."""
        for job in self.unresolved.take_unknown():
            self._take(job)

    # ---- plan and hand over

    async def run_plans(self) -> None:
        """Plan on every change, coalesced, until cancelled."""
        looked = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if len(self.pool) else TICK_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            # By the clock: under load the wait above never times out.
            self.keeping.look_if_due(time.monotonic())
            if time.monotonic() - looked >= TICK_SECONDS:
                looked = time.monotonic()
                self.lookout.look(looked)
                self.usage.look(self.fleet.heard())
                self.departures.expire()
                self.unservable.look(looked)
            if self.registry.changed:
                self.registry.changed = False
                self.planner.expect(self.keeping.kept_ready(self.registry.active()))
            if len(self.pool) or self.planner.prewarms(time.time()):
                if self.is_active():
                    self.plans.make()
                await asyncio.sleep(PLAN_GAP_SECONDS)

    def sent(self) -> None:
        """Room may have come free at a worker, or jobs have come back."""
        self._changed.set()
        for call in self.on_room:
            call()

    def follow_up(self, worker: str, accepted: Sequence[ParkedJob]) -> None:
        """Jobs have come to a worker: what was decided meanwhile about their way holds there too."""
        self.withdrawing.ask_back(
            worker, [parked.key for parked in accepted if self.rerouting.leaves(parked)]
        )

    def tell_aliases(self) -> None:
        """What workers hold is this dispatcher's to decide on from here on."""
        self.withdrawing.tell_all(self.choosing.directory.aliases)

    def park_again(self, parked: ParkedJob) -> None:
        """A job that a worker did not take waits on, unless it was cancelled meanwhile."""
        self.usage.back(parked.key)
        taken = parked.taken
        if self.is_cancelled(taken):
            self.spawn(self.answers.cancel(taken), f"cancel-{parked.key}")
        elif (now := self.as_now(parked)) is None:
            self._take(taken)
        else:
            self._put(now)
