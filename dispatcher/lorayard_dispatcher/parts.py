"""What a dispatcher is made of: its parts know nothing of each other, and are joined here."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import structlog

from lorayard_dispatcher.admission import Admission
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
from lorayard_dispatcher.shedding import Shedding
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_dispatcher.unservable import Unservable
from lorayard_dispatcher.usage import Usage
from lorayard_dispatcher.withdrawing import Withdrawing
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.late_news import LateNews
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.interruption_store import InterruptionStore
from lorayard_shared.jobs.postponing import postpone
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.registry.semantic_watch import SemanticWatch


def _nothing() -> None:
    """Nobody looks."""


class Parts(ABC):
    """One dispatcher's parts, and what they ask of it."""

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
        self._make_outgoing()
        self.arrival_order = ArrivalOrder()
        self.started_at = time.time()
        self.taken: int = 0
        self.redelivered: int = 0
        self.lookout = Lookout(self.fleet, name)
        self._make_choosing()
        self.is_active: Callable[[], bool] = lambda: True
        """Whether what is parked is still this dispatcher's to give out."""
        self.on_look: Callable[[], None] = _nothing
        """Called every `TICK_SECONDS`."""
        self.on_room: list[Callable[[], None]] = []
        """Called whenever room may have come free."""
        self.withdrawing = Withdrawing(bus, self.fleet, self.spawn, is_active=lambda: self.is_active())
        self.rerouting = self._make_rerouting()
        self.as_now = self.rerouting.as_now
        self._make_watching()
        self._make_ways()
        self.news = self._make_news()
        self.sending = self._make_sending()
        self.plans = self._make_plans()

    def _make_outgoing(self) -> None:
        """What leaves it: answers, and jobs for workers."""
        bus, leases = self.bus, self.leases
        self.results = ResultStore(bus, PayloadStore(bus))
        self.answers = Answers(bus, self.results, leases)
        self.refusing = Refusing(bus, self.results, answers=self.answers, leases=leases, spawn=self.spawn)
        self.hand_over = HandOver(bus, self.fleet, leases, self.name)
        self.interruptions = Interruptions(InterruptionStore(bus), most=self.settings.max_interruptions)

    def _make_choosing(self) -> None:
        """What leads a job to its adapter, and what keeps it from there."""
        self.setbacks = Setbacks(
            self.fleet,
            self.hand_over.whereabouts,
            self.interruptions,
            write=lambda noted: self.spawn(self.interruptions.write(noted), "write-deaths"),
        )
        self.unresolved = Unresolved()
        self.choosing = Choosing(self.registry, self.settings.default_adapter)
        self.ceilings = Ceilings(
            self.choosing.controls,
            self.fleet,
            self.unresolved,
            is_parked=lambda key: self.pool.get(key) is not None,
            retry=lambda keys: self.admission.retry(keys),
        )

    def _make_watching(self) -> None:
        """What it remembers of jobs, and tells of itself."""
        self.samples = Samples(self.settings.semantic_samples)
        self.semantic = self._make_semantic()
        self.sessions = Sessions(self.bus, self.spawn, lambda keys: self.admission.retry(keys))
        self.late_news = LateNews(spawn=self.spawn, retry=lambda keys: self.admission.retry(keys))
        self.hand_over.on_turn = self.sessions.handed
        self.audit = Audit(
            self.bus, self.name, labels=self.registry.labels, spawn=self.spawn, enabled=self.settings.audit
        )
        self.answers.on_end = self.audit.outcomes.ended
        self.orders = Orders(self.bus, self.fleet, self.spawn)
        self.keeping = self._make_keeping()

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
            on_controls=self.on_controls,
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
            on_advert=self.on_worker,
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

    @abstractmethod
    def sent(self) -> None:
        """Room may have come free at a worker, or jobs have come back."""

    @abstractmethod
    def follow_up(self, worker: str, accepted: Sequence[ParkedJob]) -> None:
        """Jobs have come to a worker."""

    @abstractmethod
    def park_again(self, parked: ParkedJob) -> None:
        """A job that a worker did not take waits on."""

    @abstractmethod
    def on_worker(self) -> None:
        """One has told something."""

    @abstractmethod
    def on_controls(self) -> None:
        """Strikes, pauses or caps are others."""
