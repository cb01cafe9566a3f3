"""The client for code without an event loop: the same verbs, blocking.

One thread with a loop of its own does the work; any number of threads may call. A Ctrl-C during a call
cancels the waiting, never the job.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from lorayard.cancel_many import MOST, CancelQuery, CancelReport
from lorayard.client import Client
from lorayard.dead.sync_letters import SyncDeadLetters
from lorayard.errors import ClientClosedError, LorayardError
from lorayard.handle import JobHandle
from lorayard.placing import PlaceOptions
from lorayard.registry.sync_adapters import SyncAdapters
from lorayard.registry.sync_aliases import SyncAliases
from lorayard.registry.sync_limits import SyncAdmissionLimits
from lorayard.registry.sync_rules import SyncRules
from lorayard.registry.sync_schedules import SyncSchedules
from lorayard.registry.sync_strikes import SyncStrikes
from lorayard.request import GenerateRequest, Prompt, RequestOptions
from lorayard.result import Result
from lorayard.scheduled import ScheduledJob
from lorayard.streaming.events import JobEvent
from lorayard.submit_report import SubmitReport
from lorayard.sync_control import SyncControl
from lorayard.tenants import SyncTenants
from lorayard.yard_view import QueueDepth
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.placement import PlacementReport, PlaceReply
from lorayard_shared.settings import YardSettings

T = TypeVar("T")


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._ready = threading.Event()
        # A daemon: a program that forgets to close its client still ends.
        self._thread = threading.Thread(target=self._run, name="lorayard-client", daemon=True)
        self._thread.start()
        self._ready.wait()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it; whatever ends the wait ends the coroutine too."""
        with self._lock:  # a call that comes in before the stop is ended by it, never left behind
            if self._stopped:
                work.close()
                raise ClientClosedError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise ClientClosedError from error
        except BaseException:  # KeyboardInterrupt too
            future.cancel()
            raise

    def iterate(self, source: AsyncGenerator[T]) -> Iterator[T]:
        """What it gives, one after the other; closed when the caller stops."""
        try:
            while (more := self.call(_next(source))) is not None:
                yield more[0]
        finally:
            with suppress(ClientClosedError):
                self.call(source.aclose())

    def stop(self) -> None:
        """End the loop and every call that is in it."""
        with self._lock:
            self._stopped = True
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._main())  # it cancels what is left when the main part ends

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()


async def _next(source: AsyncGenerator[T]) -> tuple[T] | None:
    """None: there is no more. A `StopAsyncIteration` would not come through a future."""
    async for one in source:
        return (one,)
    return None


class SyncJobHandle:
    """`JobHandle`, blocking."""

    __slots__ = ("_handle", "_thread")

    def __init__(self, thread: _LoopThread, handle: JobHandle) -> None:
        self._thread = thread
        self._handle = handle

    @property
    def id(self) -> str:
        """Enough to make this handle again: `client.handle(id)`."""
        return self._handle.id

    @property
    def existing(self) -> bool:
        """Whether the yard had this job before: submitted under the same idempotency key."""
        return self._handle.existing

    def __repr__(self) -> str:
        return f"SyncJobHandle({self.id!r})"

    def result(self, timeout_seconds: float | None = None) -> Result:
        """The answer; raises as `JobHandle.result` does."""
        return self._thread.call(self._handle.result(timeout_seconds))

    def outcome(self, timeout_seconds: float | None = None) -> Result:
        """How the job ended, well or not; raises as `JobHandle.outcome` does."""
        return self._thread.call(self._handle.outcome(timeout_seconds))

    def done(self) -> bool:
        """Whether the job has ended, as the yard knows it."""
        return self._thread.call(self._handle.done())

    def events(self, *, after: int = 0, timeout_seconds: float | None = None) -> Iterator[JobEvent]:
        """What happens to the job until it has ended; raises as `JobHandle.events` does."""
        return self._thread.iterate(self._handle.events(after=after, timeout_seconds=timeout_seconds))

    def text_stream(self, *, timeout_seconds: float | None = None) -> Iterator[str]:
        """The answer in pieces as it is written; raises as `JobHandle.text_stream` does."""
        return self._thread.iterate(self._handle.text_stream(timeout_seconds=timeout_seconds))

    def cancel(self) -> CancelOutcome:
        """End the job, queued or running; raises as `JobHandle.cancel` does."""
        return self._thread.call(self._handle.cancel())


class SyncClient:
    """`Client`, blocking.

    with SyncClient() as yard:
        print(yard.generate("Summarize: ...", adapter="acme/gemma3-270m/summary").text)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str | None = None,
        prefix: str | None = None,
        settings: YardSettings | None = None,
        idempotency_salt: str | None = None,
        name: str = "lorayard-client",
    ) -> None:
        self._client = Client(
            url,
            tenant=tenant,
            prefix=prefix,
            settings=settings,
            idempotency_salt=idempotency_salt,
            name=name,
        )
        self._running: _LoopThread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect; `with` does it for you. Raises as `Client.open` does."""
        with self._lock:
            if self._running is not None:
                return
            thread = _LoopThread()
            try:
                thread.call(self._client.open())
            except BaseException:
                thread.stop()
                raise
            self._running = thread

    def close(self) -> None:
        """Send what is pending and disconnect. Jobs go on."""
        with self._lock:
            thread, self._running = self._running, None
        if thread is not None:
            try:
                thread.call(self._client.close())
            finally:
                thread.stop()

    def generate(
        self,
        prompt: Prompt,
        *,
        timeout_seconds: float | None = None,
        wait_for_room_seconds: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> Result:
        """Submit one job and wait for its answer; raises as `Client.generate` does."""
        thread = self._thread
        return thread.call(
            self._client.generate(
                prompt,
                timeout_seconds=timeout_seconds,
                wait_for_room_seconds=wait_for_room_seconds,
                **options,
            )
        )

    def submit(
        self, prompt: Prompt, *, wait_for_room_seconds: float | None = None, **options: Unpack[RequestOptions]
    ) -> SyncJobHandle:
        """Submit one job; raises as `Client.submit` does."""
        thread = self._thread
        work = self._client.submit(prompt, wait_for_room_seconds=wait_for_room_seconds, **options)
        return SyncJobHandle(thread, thread.call(work))

    def stream(
        self, prompt: Prompt, *, timeout_seconds: float | None = None, **options: Unpack[RequestOptions]
    ) -> Iterator[str]:
        """Submit one job and give its answer in pieces; raises as `Client.stream` does."""
        thread = self._thread
        return thread.iterate(self._client.stream(prompt, timeout_seconds=timeout_seconds, **options))

    def submit_many(
        self,
        requests: Iterable[GenerateRequest],
        *,
        atomic: bool = False,
        wait_for_room_seconds: float | None = None,
    ) -> SubmitReport[SyncJobHandle]:
        """Submit many jobs; the report has a handle or an error for each. `atomic`: all of them or none."""
        thread = self._thread
        # The iterable runs in the caller's thread: it may block, or call this client.
        report = thread.call(
            self._client.submit_many(
                list(requests), atomic=atomic, wait_for_room_seconds=wait_for_room_seconds
            )
        )
        return SubmitReport(
            entries=[
                entry if isinstance(entry, LorayardError) else SyncJobHandle(thread, entry)
                for entry in report.entries
            ]
        )

    def handle(self, job_id: str) -> SyncJobHandle:
        """The handle of a job submitted before; raises as `Client.handle` does."""
        thread = self._thread
        return SyncJobHandle(thread, thread.call(self._handle(job_id)))

    def cancel_many(self, job_ids: Iterable[str]) -> CancelReport:
        """Cancel jobs of the tenant by their ids; the report has what became of each."""
        thread = self._thread
        # The iterable runs in the caller's thread: it may block, or call this client.
        return thread.call(self._client.cancel_many(list(job_ids)))

    def cancel_where(self, query: CancelQuery, *, most: int = MOST, dry_run: bool = False) -> CancelReport:
        """Cancel the tenant's unfinished jobs that fit a query; raises as `Client.cancel_where` does."""
        return self._thread.call(self._client.cancel_where(query, most=most, dry_run=dry_run))

    @property
    def adapters(self) -> SyncAdapters:
        """What the yard can serve: `yard.adapters()` lists it, `yard.adapters.push(...)` adds to it."""
        return SyncAdapters(self._client.adapters, lambda: self._thread)

    @property
    def aliases(self) -> SyncAliases:
        """Words for versions, and who gets which: `yard.aliases.split(alias, {"1": 95, "2": 5})`."""
        return SyncAliases(self._client.aliases, lambda: self._thread)

    @property
    def rules(self) -> SyncRules:
        """What chooses the adapter of jobs that name none: `yard.rules.set(Path("rules.toml"))`."""
        return SyncRules(self._client.rules, lambda: self._thread)

    @property
    def limits(self) -> SyncAdmissionLimits:
        """How much may be asked for: `yard.limits.set(tenant="a", max_pending=500, reason="...")`."""
        return SyncAdmissionLimits(self._client.limits, lambda: self._thread)

    @property
    def strikes(self) -> SyncStrikes:
        """Whose jobs wait: `yard.strikes.add(adapter=..., reason="it rambles")`."""
        return SyncStrikes(self._client.strikes, lambda: self._thread)

    @property
    def tenants(self) -> SyncTenants:
        """What holds for a tenant's jobs: `yard.tenants.set_retry("acme", Retry(max_attempts=5))`."""
        return SyncTenants(self._client.tenants, lambda: self._thread)

    @property
    def dead(self) -> SyncDeadLetters:
        """Jobs that were given up: `yard.dead.list()`, `yard.dead.redrive(number)`."""
        return SyncDeadLetters(self._client.dead, lambda: self._thread)

    @property
    def control(self) -> SyncControl:
        """What starts and how much: `yard.control.pause("lane", "bulk", reason="maintenance")`."""
        return SyncControl(self._client.control, lambda: self._thread)

    @property
    def schedules(self) -> SyncSchedules[SyncJobHandle]:
        """Jobs that come again: `yard.schedules.add("digest", "Summarize: ...", cron="0 7 * * 1-5")`."""
        thread = self._thread
        return SyncSchedules(
            self._client.schedules, lambda: self._thread, lambda handle: SyncJobHandle(thread, handle)
        )

    def workers(self) -> list[WorkerAdvert]:
        """The last advert of every worker that is alive."""
        return self._thread.call(self._client.workers())

    def place(self, adapter: str, **options: Unpack[PlaceOptions]) -> PlaceReply:
        """Declare where an adapter shall be; raises as `Client.place` does."""
        return self._thread.call(self._client.place(adapter, **options))

    def placements(self, adapter: str | None = None) -> PlacementReport:
        """Where an adapter should be and is; None: all of which something is asked."""
        return self._thread.call(self._client.placements(adapter))

    def queue_depth(self) -> QueueDepth:
        """How many jobs have no result yet, by lane, tenant and adapter."""
        return self._thread.call(self._client.queue_depth())

    def scheduled(self, *, all_tenants: bool = False) -> list[ScheduledJob]:
        """Jobs that wait for their time, the soonest first."""
        return self._thread.call(self._client.scheduled(all_tenants=all_tenants))

    async def _handle(self, job_id: str) -> JobHandle:
        return self._client.handle(job_id)  # on the loop: the listener belongs to it

    @property
    def _thread(self) -> _LoopThread:
        thread = self._running
        if thread is None:
            raise ClientClosedError
        return thread

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
