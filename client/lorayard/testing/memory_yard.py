"""A yard in memory, for tests of services that submit jobs.

The clients are `lorayard`'s own, so that checks, errors, job ids, idempotency keys and the bytes that travel
are those of production; the bus below and the worker behind it are here. Time stands still until the test
moves it, and nothing sleeps.

What is not here: a model (a function of the test answers), the planner with its slots, swaps and fairness
(jobs are done by lane, then in their order, one at a time), rules and aliases, limits and quotas, recurring
jobs, pause and cap, and all that is registered: what asks for that raises `YardNotReadyError` or
`NoDispatcherError`, as on a bus that has no yard. Against a real yard runs the fixture `real_yard`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager
from enum import StrEnum
from typing import TypedDict, Unpack

from lorayard.settings import ClientSettings
from lorayard.testing.clock import YardClock
from lorayard.testing.drained import DrainReport
from lorayard.testing.ending import Ended
from lorayard.testing.handler import Handler, Permanent, Retryable, WorkerLost, echo
from lorayard.testing.held_job import HeldJob
from lorayard.testing.memory_client import MemoryClient, SyncMemoryClient
from lorayard.testing.memory_server import MemoryServer
from lorayard.testing.memory_stream import STORE_FAILED, Kept, MemoryStream, StreamRefusedError
from lorayard.testing.memory_worker import MemoryWorker
from lorayard.testing.submitted import SubmittedJob, Wanted, check_none, check_times
from lorayard_schemas import headers
from lorayard_schemas.failure import FAILURES, FailureClass
from lorayard_schemas.plain_job import read_job

MOST_RUNS = 10_000
"""Of one drain: a job that comes again for ever is more often a mistake."""


class Mode(StrEnum):
    """When jobs are done."""

    INLINE = "inline"
    """As they are submitted, before `submit` returns; after a failed attempt comes the next at once."""
    MANUAL = "manual"
    """When the test says so: `drain`, `work_one`, `take`."""


class Which(TypedDict, total=False):
    """Of submitted jobs those that fit all that is given."""

    adapter: str | None
    tenant: str | None
    lane: str | None
    prompt: str | None
    """Somewhere in the job's."""


class MemoryYard:
    """One yard; see the module docstring.

        yard = MemoryYard(lambda job: job.prompt.upper(), mode="inline")
        async with yard.client() as client:
            assert (await client.generate("hello")).text == "HELLO"

    Every method but the clients' is plain, and may be called from any thread.
    """

    def __init__(
        self,
        handler: Handler = echo,
        *,
        mode: Mode | str = Mode.MANUAL,
        adapters: Collection[str] | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        """`adapters`: the names that the yard knows; a job for another one fails. None: it knows every name.

        Raises:
            TypeError: the handler is a coroutine function.
        """
        if inspect.iscoroutinefunction(handler):
            raise TypeError("the handler is a coroutine function: a plain function is needed")
        self.mode = Mode(mode)
        self.clock = YardClock()
        self._server = MemoryServer(settings or ClientSettings(), self.clock)
        self._worker = MemoryWorker(self._server, handler, adapters=adapters, waits=self.mode is Mode.MANUAL)
        self._submitted: list[SubmittedJob] = []
        self._working = threading.Lock()
        self._server.on_stored(self._note)
        if self.mode is Mode.INLINE:
            self._server.after_message(self._work_inline)
            self.clock.on_advance(self._work_inline)

    def client(self, tenant: str = "default", *, idempotency_salt: str | None = None) -> MemoryClient:
        """A client of the yard, to be opened by `async with`; as many as the test wants."""
        return MemoryClient(self._server, tenant=tenant, idempotency_salt=idempotency_salt)

    def sync_client(
        self, tenant: str = "default", *, idempotency_salt: str | None = None
    ) -> SyncMemoryClient:
        """The same, blocking."""
        return SyncMemoryClient(self._server, tenant=tenant, idempotency_salt=idempotency_salt)

    def take(self) -> HeldJob | None:
        """The next job, under a lease of `ack_wait_seconds` by the clock; None: none waits."""
        return self._worker.take()

    def work_one(self) -> Ended | None:
        """Have the handler do the next job; None: none waits, or the worker was lost.

        Raises:
            Exception: what the handler raised that is no outcome; the job is queued again.
        """
        held = self._worker.take()
        return None if held is None else self._worker.run(held)

    def drain(self, *, with_scheduled: bool = False) -> DrainReport:
        """Do all jobs that wait, and those that they lead to.

        `with_scheduled`: also those that wait for their time, or to be tried again: the clock goes on to
        each. Leases of workers that were lost run out then, too.

        Raises:
            RuntimeError: it does not come to an end.
            Exception: what the handler raised that is no outcome.
        """
        runs: list[Ended] = []
        while True:
            for _ in range(MOST_RUNS):
                if (held := self._worker.take()) is None:
                    break
                if (ended := self._worker.run(held)) is not None:
                    runs.append(ended)
            else:
                raise RuntimeError(
                    f"after {MOST_RUNS} runs there are still jobs: do they come again for ever?"
                )
            later = self._next_moment() if with_scheduled and len(runs) < MOST_RUNS else None
            if later is None:
                return self._report(runs)
            self.clock.advance(max(0.0, later - self.clock.now))

    def fail_next(
        self,
        code: str = "engine_error",
        message: str | None = None,
        *,
        times: int = 1,
        field: str | None = None,
    ) -> None:
        """Let the next runs fail with a code of docs/job-lifecycle.md, whose class decides the rest.

        Raises:
            ValueError: it is none of them, or none that a run fails with.
        """
        known = FAILURES.get(code)
        if known is None or known[0] in (FailureClass.POISON, FailureClass.EXPIRED):
            codes = [name for name, (kind, _) in FAILURES.items() if kind in _OF_RUNS]
            raise ValueError(f"{code!r} is no code that a run fails with; there are {', '.join(codes)}")
        told = message or known[1]
        for _ in range(times):
            self._worker.script.append(
                Permanent(code, told, field=field)
                if known[0] is FailureClass.PERMANENT
                else Retryable(code, told)
            )

    def lose_worker(self, *, times: int = 1) -> None:
        """Let the worker die under the next jobs: each is given out again when its lease has run out."""
        self._worker.script.extend(WorkerLost() for _ in range(times))

    @contextmanager
    def away(self) -> Generator[None]:
        """The bus is away meanwhile: what needs it fails at once, and clients reconnect behind it."""
        self._server.leave()
        try:
            yield
        finally:
            self._server.come_back()

    @contextmanager
    def full(self) -> Generator[None]:
        """The queue is full meanwhile: a submit raises `YardFullError`."""
        self._server.refusal = StreamRefusedError(STORE_FAILED, "maximum bytes exceeded")
        try:
            yield
        finally:
            self._server.refusal = None

    def submitted(self, **which: Unpack[Which]) -> list[SubmittedJob]:
        """Jobs that the yard has taken, in their order; those that were drained, too."""
        wanted = Wanted(**which)
        return [job for job in self._submitted if wanted.fits(job)]

    def assert_submitted(self, *, times: int = 1, **which: Unpack[Which]) -> list[SubmittedJob]:
        """So many jobs that fit were submitted; gives them.

        Raises:
            AssertionError: it were more or less; the message lists what was submitted.
        """
        return check_times(self._submitted, Wanted(**which), times)

    def refute_submitted(self, **which: Unpack[Which]) -> None:
        """No job that fits was submitted.

        Raises:
            AssertionError: one was; the message lists what was submitted.
        """
        check_none(self._submitted, Wanted(**which))

    def _note(self, stream: MemoryStream, kept: Kept) -> None:
        subjects = self._server.settings.subjects
        if stream.name == subjects.stream("jobs"):
            address, at = subjects.parse_job(kept.subject), None
        elif headers.SCHEDULE_TARGET in kept.headers and headers.ATTEMPT not in kept.headers:
            address, at = subjects.parse_job(kept.headers[headers.SCHEDULE_TARGET]), kept.due_at
        else:
            return
        request = read_job(kept.body)
        told = {name: getattr(address, name) for name in ("tenant", "lane", "adapter")}
        prompt = self._worker.text_of(request)
        self._submitted.append(SubmittedJob(id=request.id, prompt=prompt, request=request, at=at, **told))

    def _work_inline(self) -> None:
        while self._working.acquire(blocking=False):
            try:
                held = self._worker.take()
                if held is not None:
                    self._worker.run(held)
                    self._server.age()  # an attempt that follows at once
            finally:
                self._working.release()
            if held is None:
                return

    def _next_moment(self) -> float | None:
        with self._server.lock:
            moments = (self._server.next_due(), self._worker.queue.next_expiry())
            return min((moment for moment in moments if moment is not None), default=None)

    def _report(self, runs: list[Ended]) -> DrainReport:
        with self._server.lock:
            scheduled = sum(kept.due_at is not None for kept in self._server.stream("delayed"))
            held = len(self._worker.queue.all()) - len(list(self._worker.queue))
            return DrainReport(runs=tuple(runs), scheduled=scheduled, held=held)


_OF_RUNS = (FailureClass.PERMANENT, FailureClass.RETRYABLE, FailureClass.NOT_NOW)
