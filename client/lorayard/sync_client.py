"""The client for code without an event loop: the same verbs, blocking.

One thread with a loop of its own does the work; any number of threads may call. A Ctrl-C during a call
cancels the waiting, never the job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from lorayard.cancel_many import MOST, CancelQuery, CancelReport
from lorayard.client import Client
from lorayard.errors import ClientClosedError, LorayardError
from lorayard.handle import JobHandle
from lorayard.loop_thread import LoopThread
from lorayard.mapping import CONCURRENCY, ROOM_SECONDS, MapItem, MapOptions, checked_options
from lorayard.request import GenerateRequest, Prompt, RequestOptions
from lorayard.result import Result
from lorayard.submit_report import SubmitReport
from lorayard.sync_handle import SyncJobHandle
from lorayard.sync_mapping import sync_mapped
from lorayard.waiting import WaitReport
from lorayard_shared.settings import YardSettings

if TYPE_CHECKING:  # imported at their first use, as in `Client`
    from lorayard.dead.sync_letters import SyncDeadLetters
    from lorayard.job_lists import SyncJobs
    from lorayard.placing import PlaceOptions
    from lorayard.registry.sync_adapters import SyncAdapters
    from lorayard.registry.sync_aliases import SyncAliases
    from lorayard.registry.sync_keys import SyncKeys
    from lorayard.registry.sync_limits import SyncAdmissionLimits
    from lorayard.registry.sync_models import SyncModels
    from lorayard.registry.sync_rules import SyncRules
    from lorayard.registry.sync_schedules import SyncSchedules
    from lorayard.registry.sync_strikes import SyncStrikes
    from lorayard.scheduled import ScheduledJob
    from lorayard.sync_control import SyncControl
    from lorayard.tenants import SyncTenants
    from lorayard.yard_view import QueueDepth
    from lorayard_schemas.advert import WorkerAdvert
    from lorayard_schemas.placement import PlacementReport, PlaceReply
    from lorayard_schemas.snapshot import SnapshotPart, YardSnapshot


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
        self._running: LoopThread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect; `with` does it for you. Raises as `Client.open` does."""
        with self._lock:
            if self._running is not None:
                return
            thread = LoopThread()
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
        cancel_on_timeout: bool = False,
        wait_for_room_seconds: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> Result:
        """Submit one job and wait for its answer; raises as `Client.generate` does."""
        thread = self._thread
        return thread.call(
            self._client.generate(
                prompt,
                timeout_seconds=timeout_seconds,
                cancel_on_timeout=cancel_on_timeout,
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

    def map(
        self,
        prompts: Iterable[Prompt | GenerateRequest],
        *,
        concurrency: int = CONCURRENCY,
        ordered: bool = True,
        cancel_rest: bool = False,
        timeout_seconds: float | None = None,
        wait_for_room_seconds: float | None = ROOM_SECONDS,
        **options: Unpack[RequestOptions],
    ) -> Iterator[MapItem]:
        """Answer many prompts, so many at a time: `for item in yard.map(prompts)`; as `Client.map`."""
        how = MapOptions(
            concurrency=concurrency,
            ordered=ordered,
            cancel_rest=cancel_rest,
            timeout_seconds=timeout_seconds,
            wait_for_room_seconds=wait_for_room_seconds,
        )
        link = self._client._open_link  # pyright: ignore[reportPrivateUsage]  # this is its twin
        return sync_mapped(self._thread, link, prompts, checked_options(options), how)

    def wait(
        self,
        handles: Iterable[SyncJobHandle],
        *,
        timeout_seconds: float | None = None,
        return_when: str = "all_completed",
    ) -> WaitReport[SyncJobHandle]:
        """Wait until jobs have ended, well or not; raises as `Client.wait` does."""
        asked = {handle.inner: handle for handle in handles}
        report = self._thread.call(
            self._client.wait(asked, timeout_seconds=timeout_seconds, return_when=return_when)
        )
        return WaitReport(
            done=[asked[handle] for handle in report.done],
            pending=[asked[handle] for handle in report.pending],
        )

    def as_completed(
        self, handles: Iterable[SyncJobHandle], *, timeout_seconds: float | None = None
    ) -> Iterator[SyncJobHandle]:
        """Jobs in the order in which they end, well or not; raises as `Client.as_completed` does."""
        asked = {handle.inner: handle for handle in handles}
        ended = self._thread.iterate(self._client.as_completed(asked, timeout_seconds=timeout_seconds))
        return (asked[handle] for handle in ended)

    def handle(self, job_id: str) -> SyncJobHandle:
        """The handle of a job submitted before; raises as `Client.handle` does."""
        thread = self._thread
        return SyncJobHandle(thread, thread.call(self._handle(job_id)))

    def job_id(self, idempotency_key: str) -> str:
        """The id of the tenant's job under a key; raises as `Client.job_id` does."""
        return self._client.job_id(idempotency_key)

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
        from lorayard.registry.sync_adapters import SyncAdapters

        return SyncAdapters(self._client.adapters, lambda: self._thread)

    @property
    def aliases(self) -> SyncAliases:
        """Words for versions, and who gets which: `yard.aliases.split(alias, {"1": 95, "2": 5})`."""
        from lorayard.registry.sync_aliases import SyncAliases

        return SyncAliases(self._client.aliases, lambda: self._thread)

    @property
    def rules(self) -> SyncRules:
        """What chooses the adapter of jobs that name none: `yard.rules.set(Path("rules.toml"))`."""
        from lorayard.registry.sync_rules import SyncRules

        return SyncRules(self._client.rules, lambda: self._thread)

    @property
    def limits(self) -> SyncAdmissionLimits:
        """How much may be asked for: `yard.limits.set(tenant="a", max_pending=500, reason="...")`."""
        from lorayard.registry.sync_limits import SyncAdmissionLimits

        return SyncAdmissionLimits(self._client.limits, lambda: self._thread)

    @property
    def keys(self) -> SyncKeys:
        """Who may speak through a gateway: `yard.keys.add("acme", reason="the web shop")`."""
        from lorayard.registry.sync_keys import SyncKeys

        return SyncKeys(self._client.keys, lambda: self._thread)

    @property
    def strikes(self) -> SyncStrikes:
        """Whose jobs wait: `yard.strikes.add(adapter=..., reason="it rambles")`."""
        from lorayard.registry.sync_strikes import SyncStrikes

        return SyncStrikes(self._client.strikes, lambda: self._thread)

    @property
    def models(self) -> SyncModels:
        """The base models that the yard's workers have, and their tokenizers: `yard.models()`."""
        from lorayard.registry.sync_models import SyncModels

        return SyncModels(self._client.models, lambda: self._thread)

    @property
    def tenants(self) -> SyncTenants:
        """What holds for a tenant's jobs: `yard.tenants.set_retry("acme", Retry(max_attempts=5))`."""
        from lorayard.tenants import SyncTenants

        return SyncTenants(self._client.tenants, lambda: self._thread)

    @property
    def dead(self) -> SyncDeadLetters:
        """Jobs that were given up: `yard.dead.list()`, `yard.dead.redrive(number)`."""
        from lorayard.dead.sync_letters import SyncDeadLetters

        return SyncDeadLetters(self._client.dead, lambda: self._thread)

    @property
    def jobs(self) -> SyncJobs:
        """Lists of them: `yard.jobs.queued()`, `yard.jobs.recent()`."""
        from lorayard.job_lists import SyncJobs

        return SyncJobs(self._client.jobs, lambda: self._thread)

    @property
    def control(self) -> SyncControl:
        """What starts and how much: `yard.control.pause("lane", "bulk", reason="maintenance")`."""
        from lorayard.sync_control import SyncControl

        return SyncControl(self._client.control, lambda: self._thread)

    @property
    def schedules(self) -> SyncSchedules[SyncJobHandle]:
        """Jobs that come again: `yard.schedules.add("digest", "Summarize: ...", cron="0 7 * * 1-5")`."""
        from lorayard.registry.sync_schedules import SyncSchedules

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

    def snapshot(
        self, *, parts: Iterable[SnapshotPart | str] | None = None, older_seconds: float = 1.0
    ) -> YardSnapshot:
        """As `Client.snapshot`."""
        return self._thread.call(self._client.snapshot(parts=parts, older_seconds=older_seconds))

    def scheduled(self, *, all_tenants: bool = False) -> list[ScheduledJob]:
        """Jobs that wait for their time, the soonest first."""
        return self._thread.call(self._client.scheduled(all_tenants=all_tenants))

    async def _handle(self, job_id: str) -> JobHandle:
        return self._client.handle(job_id)  # on the loop: the listener belongs to it

    @property
    def _thread(self) -> LoopThread:
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
