"""The dispatcher: intake, resolve, pool, plan, hand over. It holds nothing that a crash can lose.

Every parked job is still in its stream, leased; a restarted dispatcher gets it again after `ack_wait`. Only
`planning` decides; everything here carries values to it and decisions away from it.

Half of this file joins the parts of a dispatcher, and the parts know nothing of each other: hence long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from lorayard_dispatcher.admission import LANES, Admission
from lorayard_dispatcher.arrival_order import ArrivalOrder
from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.ceilings import Ceilings
from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.compositions import Compositions
from lorayard_dispatcher.delayed_check import DelayedCheck
from lorayard_dispatcher.departures import Departures
from lorayard_dispatcher.due import Due
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.hand_over import HandOver
from lorayard_dispatcher.interruptions import Interruptions
from lorayard_dispatcher.isolation import Isolation
from lorayard_dispatcher.keeping import Keeping
from lorayard_dispatcher.limits import Limits
from lorayard_dispatcher.lookout import Lookout
from lorayard_dispatcher.news import News
from lorayard_dispatcher.orders import Orders
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.plan_log import make_planner
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.plans import Plans
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.refusing import Refusing
from lorayard_dispatcher.rerouting import Rerouting
from lorayard_dispatcher.samples import Samples
from lorayard_dispatcher.sending import Sending
from lorayard_dispatcher.sessions import Sessions
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_dispatcher.shedding import EXTRA_ROOM, Shedding
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_dispatcher.unservable import Unservable
from lorayard_dispatcher.usage import Usage
from lorayard_dispatcher.withdrawing import Withdrawing
from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.late_news import LateNews
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.intake import Unreadable, read_message
from lorayard_shared.jobs.interruption_store import InterruptionStore
from lorayard_shared.jobs.postponing import postpone
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.registry.semantic_watch import SemanticWatch
from lorayard_shared.time_limit import TimeLimit

PLAN_GAP_SECONDS = 0.002
"""At most one plan in this time: arrivals of one burst are planned together."""
LOOK_SECONDS = 0.05
"""A plan at least this often while jobs wait: jobs become overdue and workers silent without an event."""
TICK_SECONDS = 0.25
"""Between looks at deadlines, and at jobs that nobody can serve."""


def _nothing() -> None:
    """Nobody looks."""


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
        self.worth_of: dict[str, float] = {}
        """Adapter digest -> what its jobs count, where a priority was declared."""
        self.planner = self._make_planner()
        self.pool = Pool(self.planner, self.compositions)
        self.usage = Usage(self.planner)
        self.fleet = Fleet(name, numbered_from=time.time_ns())
        self.results = ResultStore(bus, PayloadStore(bus))
        self.answers = Answers(bus, self.results, leases)
        self.refusing = Refusing(bus, self.results, answers=self.answers, leases=leases, spawn=self.spawn)
        self.hand_over = HandOver(bus, self.fleet, leases, name)
        self.interruptions = Interruptions(InterruptionStore(bus), most=settings.max_interruptions)
        self.arrival_order = ArrivalOrder()
        self.started_at = time.time()
        self.taken = self.redelivered = 0
        self.lookout = Lookout(self.fleet, name)
        self.setbacks = Setbacks(
            self.fleet,
            self.hand_over.whereabouts,
            self.interruptions,
            write=lambda noted: self.spawn(self.interruptions.write(noted), "write-deaths"),
        )
        self.unresolved = Unresolved()
        self.choosing = Choosing(self.registry, settings.default_adapter)
        self.ceilings = Ceilings(
            self.choosing.controls,
            self.fleet,
            self.unresolved,
            is_parked=lambda key: self.pool.get(key) is not None,
            retry=lambda keys: self.admission.retry(keys),
        )
        self.is_active: Callable[[], bool] = lambda: True
        """Whether what is parked is still this dispatcher's to give out."""
        self.on_look: Callable[[], None] = _nothing
        """Called every `TICK_SECONDS`."""
        self.on_room: list[Callable[[], None]] = []
        """Called whenever room may have come free."""
        self.withdrawing = Withdrawing(bus, self.fleet, self.spawn, is_active=lambda: self.is_active())
        self.rerouting = self._make_rerouting()
        self.as_now = self.rerouting.as_now
        self.samples = Samples(settings.semantic_samples)
        self.semantic = self._make_semantic()
        self.sessions = Sessions(bus, self.spawn, lambda keys: self.admission.retry(keys))
        self.late_news = LateNews(spawn=self.spawn, retry=lambda keys: self.admission.retry(keys))
        self.hand_over.on_turn = self.sessions.handed
        self.audit = Audit(bus, name, labels=self.registry.labels, spawn=self.spawn, enabled=settings.audit)
        self.orders = Orders(bus, self.fleet, self.spawn)
        self.keeping = self._make_keeping()
        self._make_ways()
        self.news = self._make_news()
        self.sending = self._make_sending()
        self.plans = self._make_plans()

    def _make_planner(self) -> Planner:
        registry = self.registry
        policy = self.settings.policy(
            registry.base_of,
            registry.columns_of,
            registry.bytes_of,
            self.compositions.parts_of,
            self.worth_of,
        )
        return make_planner(policy, self.settings.record_plans, self.spawn)

    def _make_semantic(self) -> SemanticWatch:
        return SemanticWatch(
            self.bus,
            self.choosing.directory,
            cache=self.settings.classifiers_dir,
            waiting=self.rerouting.might_mean,
            took=self.rerouting.on_classifier,
        )

    def _make_ways(self) -> None:
        """In, and out past all workers."""
        self.departures = Departures(
            self.bus,
            self.pool,
            self.unresolved,
            answers=self.answers,
            leases=self.leases,
            spawn=self.spawn,
        )
        self.is_cancelled = self.departures.is_cancelled
        self.unservable = Unservable(
            self.fleet, self.pool, self.registry, self.compositions, answers=self.answers, spawn=self.spawn
        )
        self.give_up = self.unservable.give_up
        self.limits = Limits(
            self.bus,
            name=self.name,
            started_at=self.started_at,
            window=self.settings.window,
            pool=self.pool,
            unresolved=self.unresolved,
            fleet=self.fleet,
            refusing=self.refusing,
            leases=self.leases,
            retry=lambda keys: self.admission.retry(keys),
            spawn=self.spawn,
        )
        self.isolation = Isolation(
            self.fleet,
            self.unresolved,
            aim=lambda job: self.admission.aim(job),
            serves=self.unservable.able,
            give=lambda job, worker: self.admission.give(job, worker),
        )
        self.shedding = Shedding(
            self.bus,
            pool=self.pool,
            refusing=self.refusing,
            drain=self.limits.drain,
            policy=self.planner.policy,
            enabled=self.settings.shed_hopeless,
            bounds=self.settings.lane_bounds,
        )
        self.delayed = DelayedCheck(self.answers, self.spawn, self._log)
        self.admission = self._make_admission()
        self.retry_unresolved = self.admission.retry_unresolved
        self.due = Due(self.bus, self.answers, self.leases, take=self.admission.take, spawn=self.spawn)

    def _make_admission(self) -> Admission:
        return Admission(
            self.settings,
            pool=self.pool,
            unresolved=self.unresolved,
            choosing=self.choosing,
            sessions=self.sessions,
            fleet=self.fleet,
            setbacks=self.setbacks,
            limits=self.limits,
            isolation=self.isolation,
            shedding=self.shedding,
            samples=self.samples,
            ceilings=self.ceilings,
            postpone=lambda job: postpone(self.bus, self.leases, job, now=time.time()),
            semantic_record=lambda: self.semantic.record,
            answers=self.answers,
            leases=self.leases,
            is_cancelled=self.is_cancelled,
            may_come=self.late_news.may_come,
            on_first=lambda group: self.arrival_order.see(group, self.plans.slots),
            hand_to=lambda worker, jobs: self.sending.hand_to(worker, jobs),
            changed=self._changed.set,
            tasks=self._tasks,
            log=self._log,
        )

    def _make_keeping(self) -> Keeping:
        return Keeping(
            fleet=self.fleet,
            pool=self.pool,
            registry=self.registry,
            aliases=self.choosing.directory.aliases,
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
            take=lambda job: self.admission.take(job),
            changed=self._changed.set,
            on_controls=self._on_controls,
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
            answer=lambda subject: self.bus.nc.post(subject, b""),
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
            handed=self.shedding.handed,
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
            ceilings=self.ceilings,
            put_by=lambda job, cap: self.admission.put_by(job, cap),
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

        Each lane has a window of its own, or bulk work would keep urgent jobs from being seen at all. A lane
        that is paused is not pulled: its jobs stay where they are, and take no leases.
        """
        if self.choosing.controls.paused_lane(lane) is not None:
            return 0
        room = self.room_due() - self.pool.count(LANES.index(lane))
        return room if room > EXTRA_ROOM or not self.shedding.sheds(lane) else EXTRA_ROOM

    def room_due(self) -> int:
        """The same for retried jobs, of whatever lane."""
        window = self.settings.window
        # As many more may be kept back: nobody else is to wait for those.
        waiting = len(self.unresolved) - self.unresolved.aside + max(0, self.unresolved.due_later - window)
        return window - waiting - len(self.refusing)

    def on_due(self, message: Heard) -> None:
        """A job whose time has come."""
        self.on_message(message, self.due.on_job)

    def on_message(self, message: Heard, take: Callable[[TakenJob], None] | None = None) -> None:
        """A delivery from one of the lanes."""
        self.taken += 1
        read = read_message(self.bus.subjects, message, self._log)
        if read is None:
            return
        self.leases.hold(read.lease)
        if isinstance(read, Unreadable):
            self.spawn(self.answers.unreadable(read), f"answer-{read.delivery.key}")
        else:
            self.redelivered += read.deliveries > 1
            (take or self.admission.take)(read)

    def _on_worker(self) -> None:
        """One has told something."""
        self.retry_unresolved()
        self._changed.set()

    def on_adapter(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of adapters."""
        if (amended := self.registry.on_change(key, value)) is not None:
            self.rerouting.on_access(amended)
        if (stored := self.registry.stored_under(key)) is not None:
            self.fleet.on_stored(stored)
        self.keeping.on_declared()
        self.retry_unresolved()
        self._changed.set()

    def on_alias(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of aliases: of what jobs get, and of what declarations mean."""
        self.rerouting.on_alias(key, value)
        self.keeping.on_declared()

    def _on_controls(self) -> None:
        """Strikes, pauses or caps are others: what waits is counted anew, and lanes are pulled or not."""
        for parked in list(self.pool) if self.choosing.controls.caps_any else ():
            if self.choosing.controls.caps(parked.taken.address, parked.counts_as):
                self.pool.take(parked.key)
                self.admission.take(parked.taken)
        self.sent()

    def on_rules(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules."""
        self.rerouting.on_rules(key, value)
        self.semantic.on_change(key, value)

    # ---- plan and hand over

    async def run_plans(self) -> None:
        """Plan on every change, coalesced, until cancelled."""
        looked, look, tick = time.monotonic(), TimeLimit(LOOK_SECONDS), TimeLimit(TICK_SECONDS)
        while True:
            with suppress(TimeoutError):
                async with (look if len(self.pool) else tick).wait():
                    await self._changed.wait()
            self._changed.clear()
            # By the clock: under load the wait above never times out.
            self.keeping.look_if_due(time.monotonic())
            if time.monotonic() - looked >= TICK_SECONDS:
                looked = time.monotonic()
                self.lookout.look(looked)
                self.usage.look(self.fleet.heard())
                self.departures.expire()
                self.rerouting.lapse(time.time())
                self.ceilings.turn_over()
                self.unservable.look(looked)
                self.on_look()
            if self.isolation and self.is_active():
                self.isolation.look(time.monotonic())
            if self.registry.changed:
                self.registry.changed = False
                worths = self.keeping.placements.worths(self.registry.known)
                self.worth_of.clear()
                self.worth_of.update(worths)
                self.planner.expect(self.keeping.kept_ready(self.registry.active()))
            if self.unresolved.capped:
                self.ceilings.look()
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
        elif (now := self.as_now(parked)) is None or taken.deliveries > 1:
            # It may be a suspect, which is not to be planned with others.
            self.admission.take(taken)
        else:
            self.admission.put(now)
