"""Who does the jobs of a yard in memory: takes them in their order, refuses, runs the handler, ends them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from lorayard.testing.ending import WORKER, Ended, Ending, attempt_of, failure
from lorayard.testing.handler import Handler, Permanent, Retryable, WorkerLost, YardJob
from lorayard.testing.held_job import HeldJob
from lorayard.testing.memory_payloads import read_text
from lorayard.testing.memory_queue import MemoryQueue, Waiting
from lorayard.testing.memory_server import MemoryServer
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany, CancelManyReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job, JobStub
from lorayard_schemas.names import split_version
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_shared.errors import PayloadMissingError

MAX_INTERRUPTIONS = 3
"""Deaths of a worker under a job until it is poison, as a real yard's settings say."""


class MemoryWorker:
    """Safe to use from any thread; the handler runs with nothing locked."""

    def __init__(
        self, server: MemoryServer, handler: Handler, *, adapters: Collection[str] | None, waits: bool
    ) -> None:
        self.server = server
        self.queue = MemoryQueue(server)
        self.ending = Ending(server, waits=waits)
        self.script: deque[Retryable | Permanent | WorkerLost] = deque()
        """What happens to the next runs, instead of the handler."""
        self._handler = handler
        self._adapters = adapters
        server.serve(server.settings.subjects.dispatcher("cancel"), self._cancel)
        server.serve(server.settings.subjects.dispatcher(CANCEL_MANY), self._cancel_many)
        server.clock.on_advance(self.pass_time)

    def take(self) -> HeldJob | None:
        """The next job that is to be run, under a lease; what is not is answered on the way."""
        with self.server.lock:
            for one in self.queue:
                if (held := self._held(one)) is not None and self._runs(held, one):
                    held.begin()
                    return held
            return None

    def run(self, held: HeldJob) -> Ended | None:
        """Have the handler do it; None: the worker was lost under it.

        Raises:
            Exception: what the handler raised that is no outcome; the job is queued again.
        """
        try:
            if self.script:
                raise self.script.popleft()
            answer = self._handler(held.job)
        except WorkerLost:
            return None
        except (Retryable, Permanent) as error:
            return held.fail(error)
        except BaseException:
            held.hand_back()
            raise
        return held.answer(answer)

    def pass_time(self) -> None:
        """Leases and deadlines run out."""
        with self.server.lock:
            for one, delivery in self.queue.expired():
                self._count_death(one, delivery)
            for one in self.queue.all():
                request = _read(one)
                if request is not None and _is_late(request, self.server.clock.now):
                    held = self._hold(one, request)
                    held.expire()

    def _held(self, one: Waiting) -> HeldJob | None:
        """The job under a lease, if it is one."""
        try:
            request = read_job(one.kept.body)
        except MalformedMessageError as error:
            self._refuse_malformed(one, error)
            return None
        return self._hold(one, request)

    def _hold(self, one: Waiting, request: Job) -> HeldJob:
        job = YardJob(
            id=request.id,
            tenant=one.address.tenant,
            lane=one.address.lane,
            adapter=one.address.adapter,
            prompt=self.text_of(request),
            attempt=attempt_of(one),
            deliveries=self.queue.take(one),
            request=request,
        )
        return HeldJob(self, one, job)

    def _runs(self, held: HeldJob, one: Waiting) -> bool:
        """Whether it is to be run; if not, it is answered."""
        job, now = held.job, self.server.clock.now
        if self.ending.has_result(job.tenant, job.id):
            self.queue.ack(one)
        elif len(deaths := self.queue.deaths.get(one.place, [])) >= MAX_INTERRUPTIONS:
            told = f"its worker died under it {len(deaths)} times"
            held.give_up(failure("delivered_too_often", told, kind=ErrorKind.POISON), *deaths)
        elif _is_late(job.request, now) or (job.attempt == 1 and _is_over(job.request.start_by, now)):
            held.expire()
        elif not self._is_known(job.adapter):
            told = f"adapter {job.adapter} is not registered in this yard"
            held.fail(Permanent("unknown_adapter", told, field="adapter"))
        elif job.request.prompt_ref is not None and job.request.prompt_ref.key not in self.server.texts:
            held.fail(
                Permanent("payload_missing", "the prompt kept by reference is gone", field="prompt_ref")
            )
        else:
            return True
        return False

    def _is_known(self, adapter: str | None) -> bool:
        if self._adapters is None or adapter is None or adapter == "base" or adapter.startswith("+"):
            return True
        return adapter in self._adapters or split_version(adapter)[0] in self._adapters

    def text_of(self, request: Job) -> str:
        """The prompt, wherever it is; of a conversation the last turn; empty where it is gone."""
        if request.prompt_ref is not None:
            try:
                return read_text(self.server, request.prompt_ref)
            except PayloadMissingError:
                return ""
        return request.prompt if request.messages is None else request.messages[-1].content  # type: ignore[return-value]

    def _count_death(self, one: Waiting, delivery: int) -> None:
        record = AttemptRecord(
            attempt=attempt_of(one),
            worker=WORKER,
            code="worker_died",
            message=f"its lease ran out at delivery {delivery}",
            at=self.server.clock.now,
        )
        self.queue.deaths.setdefault(one.place, []).append(record)

    def _refuse_malformed(self, one: Waiting, error: MalformedMessageError) -> None:
        try:
            job = decode(JobStub, one.kept.body).id
        except MalformedMessageError:
            pass  # nobody can be answered
        else:
            why = failure("malformed_job", str(error), kind=ErrorKind.PERMANENT, field=error.field or None)
            self.ending.store(one.address.tenant, job, ResultState.FAILED, error=why)
        self.queue.ack(one)

    def _cancel(self, body: bytes) -> bytes:
        """As a dispatcher does: its one result is taken, and it leaves the streams."""
        return encode(CancelReply(outcome=self._end(decode(CancelJob, body))))

    def _cancel_many(self, body: bytes) -> bytes:
        order = decode(CancelMany, body)
        wishes = [
            CancelJob(tenant=order.tenant, job=one.job, seen=one.seen is not None) for one in order.jobs
        ]
        return encode(CancelManyReply(outcomes={wish.job: self._end(wish) for wish in wishes}))

    def _end(self, wish: CancelJob) -> CancelOutcome:
        delayed = self.server.stream("delayed")
        schedule = delayed.last(self.server.settings.subjects.delayed_job(wish.tenant, wish.job))
        known = [one for one in self.queue.all() if _is_of(one, wish)]
        if not self.ending.store(wish.tenant, wish.job, ResultState.CANCELLED, attempt=_attempt(known)):
            return CancelOutcome.FINISHED
        for one in known:
            self.queue.ack(one)
        if schedule is not None:
            delayed.remove(schedule.sequence)
        found = bool(known) or schedule is not None or wish.seen
        return CancelOutcome.CANCELLED if found else CancelOutcome.UNKNOWN


def _attempt(known: list[Waiting]) -> int:
    return max((attempt_of(one) for one in known), default=1)


def _is_of(one: Waiting, wish: CancelJob) -> bool:
    request = _read(one)
    return request is not None and request.id == wish.job and one.address.tenant == wish.tenant


def _read(one: Waiting) -> Job | None:
    try:
        return read_job(one.kept.body)
    except MalformedMessageError:
        return None


def _is_late(request: Job, now: float) -> bool:
    return _is_over(request.deadline, now)


def _is_over(moment: float | None, now: float) -> bool:
    return moment is not None and moment <= now
