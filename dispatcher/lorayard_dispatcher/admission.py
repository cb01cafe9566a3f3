"""What becomes of a job that has come in: answered, parked, or put by until somebody knows its adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence

import structlog

from lorayard_dispatcher.ceilings import Ceilings
from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.isolation import Isolation
from lorayard_dispatcher.limits import Limits
from lorayard_dispatcher.parked_job import BYTES_A_TOKEN, ParkedJob
from lorayard_dispatcher.planning.values import BASE_GROUP, USUAL_TOKENS, WaitingJob
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.samples import Samples
from lorayard_dispatcher.session import Session
from lorayard_dispatcher.sessions import Sessions
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_dispatcher.shedding import Shedding
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_schemas.control import Cap, Hold
from lorayard_schemas.job import Lane
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.resolve import Resolution, Rule, UnknownAdapterError
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks

LANES = tuple(Lane)


class Admission:
    """Looks at one job at a time; what it needs to know is asked for, and never waited for."""

    def __init__(
        self,
        settings: DispatcherSettings,
        *,
        pool: Pool,
        unresolved: Unresolved,
        choosing: Choosing,
        sessions: Sessions,
        fleet: Fleet,
        setbacks: Setbacks,
        limits: Limits,
        shedding: Shedding,
        samples: Samples,
        ceilings: Ceilings,
        postpone: Callable[[TakenJob], Coroutine[object, object, None]],
        semantic_record: Callable[[], SemanticRecord | None],
        isolation: Isolation,
        answers: Answers,
        leases: LeaseKeeper,
        is_cancelled: Callable[[TakenJob], bool],
        may_come: Callable[[str], bool],
        on_first: Callable[[str], None],
        hand_to: Callable[[str, Sequence[ParkedJob]], None],
        changed: Callable[[], None],
        tasks: OwnedTasks,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`may_come`: whether news of what a job (by key) names is on its way; `postpone` puts a job off;
        `on_first` hears of each group
        when a job of it comes first; `hand_to` gives jobs to a worker; `changed` is told of work."""
        self._settings = settings
        self._pool = pool
        self._unresolved = unresolved
        self._choosing = choosing
        self._fleet = fleet
        self._setbacks = setbacks
        self._samples = samples
        self._ceilings = ceilings
        self._postpone = postpone
        self._semantic_record = semantic_record
        self._answers = answers
        self._leases = leases
        self._is_cancelled = is_cancelled
        self._may_come = may_come
        self._on_first = on_first
        self._hand_to = hand_to
        self._changed = changed
        self._tasks = tasks
        self._log = log
        self._sessions = sessions
        self._limits = limits
        self._isolation = isolation
        self._shedding = shedding

    def take(self, job: TakenJob) -> None:
        """A job whose lease is held; one that nobody can tell what to do with costs the others nothing."""
        try:
            self._look_at(job)
        except Exception:  # noqa: BLE001  # it is in no list now: let go of, it comes again after `ack_wait`
            self._lose(job)

    def _lose(self, job: TakenJob) -> None:
        self._leases.release(job.lease)
        self._tasks.failed += 1
        self._log.exception(Event.LOOP_FAILED, job=job.job, tenant=job.address.tenant, **job.traced)

    def _look_at(self, job: TakenJob) -> None:
        if self._is_cancelled(job):
            # Its result is stored, or about to be: once more does no harm, an ack without one would.
            self._tasks.spawn(self._answers.cancel(job), f"cancel-{job.key}")
            return
        holder = self._setbacks.redelivered(job, time.monotonic()) if job.deliveries > 1 else None
        if job.deliveries > 1 and self._is_poison(job):
            history = self._setbacks.interruptions.history(job)
            refusal = self._answers.refuse(job, refusals.delivered_too_often(), history)
            self._tasks.spawn(refusal, f"poison-{job.key}")
        elif job.deadline is not None and job.deadline <= time.time():
            self._tasks.spawn(self._answers.expire(job), f"expire-{job.key}")
        elif holder is None and self._is_suspect(job):
            self._put_aside(job)
        else:
            self._park(job, holder)

    def _is_poison(self, job: TakenJob) -> bool:
        interruptions = self._setbacks.interruptions
        return interruptions.is_poison(job) or job.deliveries > self._settings.max_deliveries

    def _is_suspect(self, job: TakenJob) -> bool:
        return job.deliveries > 1 and self._setbacks.interruptions.is_suspect(job)

    def _put_aside(self, job: TakenJob) -> None:
        """It is run alone as soon as a worker is free for it."""
        self._put_by(job, called=True)
        self._isolation.wait(job)

    def aim(self, job: TakenJob) -> ParkedJob | None:
        """What a job would run with as things stand; None: nobody knows now."""
        session = None
        if job.session is not None:
            session = self._sessions.get(job.address.tenant, job.session, job.key)
            if session is None:
                return None
        try:
            return self._bound(job, self._choosing.choose(job, session), session)
        except UnknownAdapterError:
            return None

    def give(self, job: TakenJob, worker: str | None) -> None:
        """A suspect's turn: to this worker, or to be planned as any other."""
        try:
            self._park(job, worker)
        except Exception:  # noqa: BLE001  # as in `take`
            self._lose(job)

    def _park(self, job: TakenJob, worker: str | None = None) -> None:
        """Park it; with a worker, that one gets it at once."""
        session: Session | None = None
        if job.session is not None:
            session = self._sessions.get(job.address.tenant, job.session, job.key)
            if session is None:
                self._put_by(job)
                return
        try:
            found = self._choosing.choose(job, session)
        except UnknownAdapterError as error:
            self._wait_or_refuse(job, error)
            return
        if self._samples.per_adapter and found.rule is Rule.EXPLICIT and job.deliveries == 1:
            self._sample(job)
        if (job.deadline is not None or self._shedding.bounded) and not self._shedding.lets(
            job, found.made_of or BASE_GROUP
        ):
            return
        if self._limits.gates and not self._limits.lets(job, found):
            return
        hold = self._choosing.hold(job, found)
        if hold is not None:
            self._put_by(job, hold)
            return
        if self._choosing.controls.caps_any and (full := self._ceilings.full(job, found.refs)) is not None:
            self._put_by(job, full)
            return
        if session is not None:
            session.turned(found, job.enqueued_at)
        parked = self._bound(job, found, session)
        if job.deliveries == 1:
            self._on_first(parked.waiting.group)
        if worker is not None:
            self._hand_to(worker, [parked])
        else:
            self.put(parked)

    def _bound(self, job: TakenJob, found: Resolution, session: Session | None) -> ParkedJob:
        """The job with what was found for it."""
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
        return ParkedJob(
            taken=job,
            waiting=waiting,
            adapter=found.ref,
            rule=found.rule,
            alias=found.alias,
            chosen_at=self._choosing.changes,
            session=session,
            kept=session.kept if session is not None else None,
            composition=found.composition,
            verdict=found.verdict,
            additions=found.additions,
        )

    def _sample(self, job: TakenJob) -> None:
        standing, record = self._choosing.directory.semantic.standing, self._semantic_record()
        if standing is not None and record is not None and job.composition is None:
            self._samples.see(job, standing.embedding, record.encoder_digest, time.monotonic())

    def _moving_seconds(self, session: Session, job: TakenJob) -> float:
        """To read anew elsewhere what the session's worker has in its cache: no more than the prompt has."""
        known = min(session.tokens, job.prompt_bytes / BYTES_A_TOKEN)
        return known * self._settings.prefill_seconds_per_token

    def put(self, parked: ParkedJob) -> None:
        """Park a job. Of two deliveries of one job the newer stays, and the other's lease is let go."""
        known = self._pool.get(parked.key)
        if known is not None and known.taken.deliveries > parked.taken.deliveries:
            known, parked = parked, known
        first = known is None and parked.taken.deliveries == 1
        self._pool.put(parked, arrived=time.time() if first else None)
        if self._choosing.controls.caps_any:
            self._ceilings.let_in(parked)
        if known is not None and known.taken.lease != parked.taken.lease:
            self._leases.release(known.taken.lease)
        self._changed()

    def _wait_or_refuse(self, job: TakenJob, error: UnknownAdapterError) -> None:
        # Workers register what they have before their first advert. With none alive nobody can know yet
        # which adapters there are, so the job waits.
        if not self._fleet.workers:
            self._put_by(job)
            return
        if self._may_come(job.key):
            # A flood of misspelt names is not looked at with each of a hundred adverts a second.
            self._put_by(job, called=True)
            return
        # What workers say of files must not tell a tenant what it may not know of.
        restricted = self._choosing.directory.registry.restricted
        hidden = not error.is_told or error.spec.partition("@")[0] in restricted
        refusal = refusals.unknown_adapter(error, None if hidden else self._fleet.refused(error.spec))
        self._tasks.spawn(self._answers.refuse(job, refusal), f"refuse-{job.key}")

    def put_by(self, job: TakenJob, hold: Hold | Cap) -> None:
        """It is held back."""
        self._put_by(job, hold)

    def _put_by(self, job: TakenJob, hold: Hold | Cap | None = None, *, called: bool = False) -> None:
        # As many of one consumer may be held back as it has waiting: more would fill its window, and nobody
        # behind them be seen.
        if hold is not None and self._unresolved.kept(job.lease) >= self._settings.window:
            self._tasks.spawn(self._postpone(job), f"postpone-{job.key}")
            return
        old = self._unresolved.put(job, hold, called=called)
        if old is not None:
            self._leases.release(old.lease)

    def retry(self, keys: Iterable[str]) -> None:
        """What these jobs have waited for is known now: their session, or all that is written."""
        for job in self._unresolved.take_keys(keys):
            self.take(job)

    def retry_unresolved(self) -> None:
        """Adapters or workers have changed: for those that nobody will call for."""
        for job in self._unresolved.take_unknown():
            self.take(job)
