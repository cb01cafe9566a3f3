"""The protocol of leases in small: who says what to the server, in which order, and who may die between.

The server is the memory yard's, made from the declarations of the real streams and held to the real one by
the conformance tests; its ack subjects are as unfenced as the real ones (whoever ever had a delivery may ack,
renew and give back the next). Deaths are counted, attempts spaced and states moved by the code of real yards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from lorayard.settings import ClientSettings
from lorayard.testing.clock import YardClock
from lorayard.testing.memory_queue import MemoryQueue, Place, Waiting
from lorayard.testing.memory_server import MemoryServer
from lorayard.testing.memory_stream import StreamRefusedError
from lorayard_schemas import headers
from lorayard_schemas.interruption import Interruption, InterruptionRecord, is_poison
from lorayard_schemas.job import Lane
from lorayard_schemas.state import JobState, move
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.retry_policy import RetryPolicy, wait_seconds

TENANT = "acme"
ADDRESS = JobAddress(lane=Lane.NORMAL, tenant=TENANT, adapter=None)
MOST_DEATHS = 3
POLICY = RetryPolicy(max_attempts=3, base_seconds=1.0, cap_seconds=8.0, dead_letter=True)
ACK_WAIT_SECONDS = 15.0
MOST_ROUNDS = 200


class Flaw(StrEnum):
    """A protocol that is wrong, to see that it shows."""

    ACK_BEFORE_STORE = "ack before store"
    ACK_BEFORE_SCHEDULE = "ack before schedule"
    UNCONDITIONAL_STORE = "a result is stored whatever lies there"
    DELETE_BEFORE_CANCEL = "a cancelled job is taken out before its result lies there"


@dataclass(slots=True, kw_only=True)
class Held:
    """A job at a dispatcher or at a worker."""

    one: Waiting
    job: str
    attempt: int
    delivery: int
    state: JobState = JobState.PARKED
    outcome: str = ""
    """What its run came to; empty: it has not ended."""
    said: int = 0
    """How many of the steps of its end were taken."""
    is_renewed: bool = True

    def move(self, after: JobState) -> None:
        """Raises IllegalTransitionError."""
        self.state = move(self.state, after)


@dataclass(slots=True)
class Holder:
    """A dispatcher or a worker."""

    name: str
    held: dict[Place, Held] = field(default_factory=dict[Place, Held])


class World:
    """Server, dispatchers and workers; each method is one step that somebody takes, or fails to take."""

    def __init__(self, flaw: Flaw | None = None) -> None:
        self.flaw = flaw
        self.clock = YardClock()
        settings = ClientSettings(ack_wait_seconds=ACK_WAIT_SECONDS)
        self.server = MemoryServer(settings, self.clock)
        self.subjects = settings.subjects
        self.queue = MemoryQueue(self.server)
        self.dispatchers = [Holder("d1"), Holder("d2")]
        self.workers = [Holder("w1"), Holder("w2")]
        self.accepted: set[str] = set()
        self.cancelled: set[str] = set()
        """Those whose cancel was answered so."""
        self.deaths: dict[Place, InterruptionRecord] = {}
        self.seen: dict[str, bytes] = {}
        """Every result that ever lay in the stream, as it was first."""
        self.runs: dict[tuple[str, int], int] = {}
        """How often each attempt was begun."""

    # ---- clients

    def submit(self, job: str) -> None:
        """Publish it, perhaps again: the answer may have been lost."""
        if self.result(job) is None:
            self.server.store(self.subjects.job(ADDRESS), {headers.MSG_ID: job}, job.encode())
        self.accepted.add(job)

    def cancel(self, job: str, *, dies_between: bool) -> None:
        """Take its one result, then take it out of its streams."""
        first, second = self._take_cancelled, self._take_out
        if self.flaw is Flaw.DELETE_BEFORE_CANCEL:
            first, second = second, first
        first(job)
        if not dies_between:
            second(job)
            if self.result(job) == b"cancelled":
                self.cancelled.add(job)

    def _take_cancelled(self, job: str) -> None:
        self._store(job, "cancelled")

    def _take_out(self, job: str) -> None:
        if self.flaw is not Flaw.DELETE_BEFORE_CANCEL and self.result(job) != b"cancelled":
            return
        for one in self.queue.all():
            if one.kept.body.decode() == job:
                self.queue.ack(one)
        delayed = self.server.stream("delayed")
        schedule = delayed.last(self.subjects.delayed_job(TENANT, job))
        if schedule is not None:
            delayed.remove(schedule.sequence)

    # ---- dispatchers

    def pull(self, dispatcher: Holder) -> None:
        """The next job, under a lease; one that ends its workers is answered instead."""
        one = next(iter(self.queue), None)
        if one is None:
            return
        delivery = self.queue.take(one)
        attempt = int(one.kept.headers.get(headers.ATTEMPT, "1"))
        job = one.kept.body.decode()
        record = self.deaths.get(one.place)
        if record is not None and is_poison(record.deaths, MOST_DEATHS):
            self._store(job, "poison")
            self.queue.ack(one)
            return
        dispatcher.held[one.place] = Held(one=one, job=job, attempt=attempt, delivery=delivery)

    def hand_over(self, dispatcher: Holder, place: Place, worker: Holder, *, is_answered: bool) -> None:
        """Give it to a worker with its lease; a dispatcher that hears no answer holds it too."""
        held = dispatcher.held[place]
        known = worker.held.get(place)
        if known is not None:
            known.delivery, known.is_renewed = held.delivery, True  # the same job under a new lease
        else:
            taken = Held(one=held.one, job=held.job, attempt=held.attempt, delivery=held.delivery)
            taken.move(JobState.ASSIGNED)
            worker.held[place] = taken
        if is_answered:
            del dispatcher.held[place]

    # ---- whoever holds

    def renew(self, holder: Holder) -> None:
        """All that it holds: a lease that ran out is renewed for whoever has it now."""
        for held in holder.held.values():
            if held.is_renewed and any(one.place == held.one.place for one in self._leased()):
                self.queue.renew(held.one)

    def give_back(self, holder: Holder, place: Place) -> None:
        """NAK, of whatever delivery that is by now."""
        held = holder.held.pop(place)
        self.queue.give_back(held.one)

    def fall_silent(self, holder: Holder, place: Place) -> None:
        """Renew it no more, and go on with it all the same."""
        holder.held[place].is_renewed = False

    def die(self, holder: Holder, *, is_seen: bool) -> None:
        """All that it knew is gone. A worker's death counts against what it held, where it is seen."""
        alone = len(holder.held) == 1
        for place, held in holder.held.items():
            if is_seen and holder in self.workers:
                death = Interruption(
                    delivery=held.delivery, worker=holder.name, at=self.clock.now, alone=alone
                )
                before = self.deaths.get(place) or InterruptionRecord(tenant=TENANT, job=held.job)
                self.deaths[place] = before.with_death(death)
                self.queue.give_back(held.one)
        holder.held.clear()

    # ---- workers

    def begin(self, worker: Holder, place: Place) -> None:
        """Run it, unless it came again and has its result."""
        held = worker.held[place]
        if held.delivery > 1 and self.result(held.job) is not None:
            del worker.held[place]
            self.queue.ack(held.one)
            return
        held.move(JobState.RUNNING)
        self.runs[held.job, held.attempt] = self.runs.get((held.job, held.attempt), 0) + 1

    def end(self, worker: Holder, place: Place, outcome: str) -> None:
        """Its row has ended; nobody else knows."""
        held = worker.held[place]
        held.outcome = outcome
        if outcome == "engine_error" and held.attempt >= POLICY.max_attempts:
            held.outcome = "given up"

    def say(self, worker: Holder, place: Place, *, is_lost: bool) -> None:
        """The next step of its end; one whose answer is lost is said again."""
        held = worker.held[place]
        retries = held.outcome == "engine_error"
        steps = ["schedule" if retries else "store", "ack"]
        early = Flaw.ACK_BEFORE_SCHEDULE if retries else Flaw.ACK_BEFORE_STORE
        if self.flaw is early:
            steps.reverse()
        step = steps[held.said]
        if step == "schedule":
            self._schedule(held)
        elif step == "store":
            self._store(held.job, held.outcome)
        else:
            self.queue.ack(held.one)
        if not is_lost or step == "ack":  # nobody waits for the answer to an ack
            held.said += 1
        if held.said == len(steps):
            del worker.held[place]

    def _schedule(self, held: Held) -> None:
        wait = wait_seconds(POLICY, None, 0.5)
        at = datetime.fromtimestamp(self.clock.now + wait, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        subject, attempt = self.subjects.delayed_job(TENANT, held.job), held.attempt + 1
        self.server.store(
            subject,
            {
                headers.MSG_ID: f"{subject}-attempt-{attempt}",
                headers.SCHEDULE: f"@at {at}",
                headers.SCHEDULE_TARGET: self.subjects.due_job(ADDRESS),
                headers.ATTEMPT: str(attempt),
            },
            held.job.encode(),
        )

    def _store(self, job: str, outcome: str) -> None:
        subject = self.subjects.result(TENANT, job)
        stream = self.server.stream("results")
        if self.flaw is Flaw.UNCONDITIONAL_STORE and (lying := stream.last(subject)) is not None:
            stream.remove(lying.sequence)
        try:
            self.server.store(subject, {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0"}, outcome.encode())
        except StreamRefusedError:
            return  # there is one: as good
        self.seen.setdefault(job, outcome.encode())

    # ---- time, and what can be seen

    def pass_time(self, seconds: float) -> None:
        """Leases run out, and schedules come due."""
        self.clock.advance(seconds)
        self.queue.expired()

    def result(self, job: str) -> bytes | None:
        """The stored one."""
        kept = self.server.stream("results").last(self.subjects.result(TENANT, job))
        return None if kept is None else kept.body

    def lies_anywhere(self, job: str) -> bool:
        """Whether something durable stands for it."""
        streams = [self.server.stream(kind) for kind in ("jobs", "delayed")]
        return self.result(job) is not None or any(kept.body.decode() == job for s in streams for kept in s)

    def _leased(self) -> list[Waiting]:
        waiting = {one.place for one in self.queue}
        return [one for one in self.queue.all() if one.place not in waiting]

    def check(self) -> None:
        """What must hold after every step. Raises AssertionError."""
        for job in self.accepted:
            assert self.lies_anywhere(job), f"{job} is lost"
        for job, first in self.seen.items():
            assert self.result(job) == first, f"the result of {job} has changed"
        for job in self.cancelled:
            assert self.result(job) == b"cancelled", f"{job} was cancelled"
        for job, attempt in self.runs:
            assert attempt <= POLICY.max_attempts, f"{job} has attempt {attempt}"

    def settle(self) -> None:
        """From here on nobody fails: everything that was accepted comes to its one end."""
        dispatcher, worker = self.dispatchers[0], self.workers[0]
        for _ in range(MOST_ROUNDS):
            for each in self.workers:
                for place in list(each.held):
                    held = each.held[place]
                    if held.state is JobState.ASSIGNED:
                        self.begin(each, place)
                    if place in each.held and not held.outcome:
                        self.end(each, place, "succeeded")
                    while place in each.held:
                        self.say(each, place, is_lost=False)
            for each in self.dispatchers:
                for place in list(each.held):
                    self.hand_over(each, place, worker, is_answered=True)
            self.pull(dispatcher)
            self.check()
            if not any(each.held for each in (*self.dispatchers, *self.workers)):
                streams = [self.server.stream(kind) for kind in ("jobs", "delayed")]
                if not any(len(stream) for stream in streams):
                    break
                self.pass_time(ACK_WAIT_SECONDS)
        for job in self.accepted:
            assert self.result(job) is not None, f"{job} never ends"
