"""The client of a yard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from lorayard.cancel_many import MOST, CancelQuery, CancelReport, cancel_many, cancel_where
from lorayard.errors import JobFailedError, JobTimeoutError, LorayardError
from lorayard.handle import JobHandle
from lorayard.job_ids import check_job_id, keyed_job_id
from lorayard.link import Link
from lorayard.mapping import (
    CONCURRENCY,
    ROOM_SECONDS,
    MapItem,
    MapOptions,
    Source,
    checked_options,
    mapped,
)
from lorayard.request import GenerateRequest, Prompt, RequestOptions
from lorayard.result import Result
from lorayard.settings import client_settings
from lorayard.submit_report import SubmitReport
from lorayard.submitter import submit_all, submit_single
from lorayard.together import submit_together
from lorayard.waiting import WaitReport, as_completed, wait
from lorayard.waiting_for_room import Patience, submit_patiently
from lorayard.yard_parts import YardParts
from lorayard_shared.settings import YardSettings

if TYPE_CHECKING:  # imported at their first use: most services publish jobs and need none of them
    from lorayard.placing import PlaceOptions
    from lorayard.scheduled import ScheduledJob
    from lorayard.view.asking import SnapshotDesk
    from lorayard.yard_view import QueueDepth
    from lorayard_schemas.advert import WorkerAdvert
    from lorayard_schemas.placement import PlacementReport, PlaceReply
    from lorayard_schemas.snapshot import SnapshotPart, YardSnapshot


class Client(YardParts):
    """Submits jobs to a yard and waits for their results, over one connection.

        async with Client() as yard:
            result = await yard.generate("Summarize: ...", adapter="acme/gemma3-270m/summary")

    What is not given comes from `settings`, then from `LORAYARD_*` variables, then from the defaults. A
    client belongs to the event loop it was opened in; use `SyncClient` without one.
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
        super().__init__()
        self._settings = client_settings(
            settings, url=url, tenant=tenant, prefix=prefix, idempotency_salt=idempotency_salt
        )
        self._name = name
        self._desk: SnapshotDesk | None = None

    async def open(self) -> None:
        """Connect; `async with` does it for you.

        Raises:
            BusUnavailableError: no server at the address, or it refused the credentials.
        """
        if self._link is None:
            self._link = await self._connect()

    async def _connect(self) -> Link:
        return await Link.open(self._settings, name=self._name)

    async def close(self) -> None:
        """Send what is pending and disconnect. Jobs go on; their handles can be made again from their ids."""
        link, self._link, self._desk = self._link, None, None
        if link is not None:
            await link.close()

    async def generate(
        self,
        prompt: Prompt,
        *,
        timeout_seconds: float | None = None,
        cancel_on_timeout: bool = False,
        wait_for_room_seconds: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> Result:
        """Submit one job and wait for its answer. `options` are the fields of `GenerateRequest`.

        `cancel_on_timeout` cancels the job when nobody waits for it any more: at the timeout, and when this
        call is cancelled.

        `wait_for_room_seconds` is as for `submit`, also for a job that the yard has taken and refused then.

        Raises:
            InvalidRequestError: a field cannot be used.
            JobFailedError, JobCancelledError, JobExpiredError: there is no answer, and why.
            JobTimeoutError: not within `timeout_seconds`; the job goes on.
            DeadlinePassedError: that of a `with deadline(...)` around has passed; nothing was submitted.
            YardFullError, YardNotReadyError, SubmitUnconfirmedError: the job was not taken.
        """
        patience = Patience(wait_for_room_seconds)
        while True:
            handle = await self._submit(GenerateRequest(prompt, **options), patience)
            try:
                return await handle.result(timeout_seconds)
            except (JobTimeoutError, asyncio.CancelledError):
                if cancel_on_timeout:
                    with suppress(
                        LorayardError
                    ):  # the caller hears that it was too late, whatever comes of it
                        await handle.cancel()
                raise
            except JobFailedError as error:
                # Under a key there is one job and one answer, and this is it.
                if error.retry_after_seconds is None or options.get("idempotency_key") is not None:
                    raise
                if not await patience.pause([error]):
                    raise

    async def submit(
        self, prompt: Prompt, *, wait_for_room_seconds: float | None = None, **options: Unpack[RequestOptions]
    ) -> JobHandle:
        """Submit one job; await the handle for its answer. `options` are the fields of `GenerateRequest`.

        While the yard is full, or a limit is known to be used up, it is tried again for
        `wait_for_room_seconds`, when the yard says that there will be room; None: not at all.

        Raises:
            InvalidRequestError: a field cannot be used.
            YardFullError, YardNotReadyError, SubmitUnconfirmedError: the job was not taken.
            LimitReachedError: a limit of the tenant or the adapter is used up.
        """
        return await self._submit(GenerateRequest(prompt, **options), Patience(wait_for_room_seconds))

    async def _submit(self, request: GenerateRequest, patience: Patience) -> JobHandle:
        link = self._open_link
        (entry,) = await submit_patiently(link, [request], patience, submit_single, whole=False)
        if isinstance(entry, LorayardError):
            raise entry
        return entry

    async def submit_many(
        self,
        requests: Iterable[GenerateRequest],
        *,
        atomic: bool = False,
        wait_for_room_seconds: float | None = None,
    ) -> SubmitReport[JobHandle]:
        """Submit many jobs, hundreds in flight at once; the report has a handle or an error for each.

        `atomic` makes it all or none: up to 1,000 jobs that the yard takes together.

        Raises:
            InvalidRequestError: more requests than an atomic batch holds.
        """
        submit = submit_together if atomic else submit_all
        patience = Patience(wait_for_room_seconds)
        entries = await submit_patiently(self._open_link, requests, patience, submit, whole=atomic)
        return SubmitReport(entries=entries)

    async def stream(
        self, prompt: Prompt, *, timeout_seconds: float | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncGenerator[str]:
        """Submit one job and give its answer in pieces: `async for piece in yard.stream("Tell me ...")`.

        Whoever stops reading leaves the job running; `submit(..., stream=True)` gives a handle to cancel it.

        Raises:
            InvalidRequestError, YardFullError, YardNotReadyError, SubmitUnconfirmedError: as `submit`.
            JobError, StreamRestartedError, JobTimeoutError: as `JobHandle.text_stream`.
        """
        options["stream"] = True
        handle = await self.submit(prompt, **options)
        async with aclosing(handle.text_stream(timeout_seconds=timeout_seconds)) as text:
            async for piece in text:
                yield piece

    def map(
        self,
        prompts: Source,
        *,
        concurrency: int = CONCURRENCY,
        ordered: bool = True,
        cancel_rest: bool = False,
        timeout_seconds: float | None = None,
        wait_for_room_seconds: float | None = ROOM_SECONDS,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[MapItem]:
        """Answer many prompts, so many at a time: `async for item in yard.map(prompts, adapter=...)`.

        `prompts` may be endless, and asynchronous: it is read no faster than the items are. Of it, a
        `GenerateRequest` goes as it is, and anything else with the `options`. Items come in its order, or
        with `ordered=False` as they are answered; one that has no answer tells why and ends no other. What
        is not read when the caller stops goes on, unless `cancel_rest`. `timeout_seconds` is each item's.

        Raises:
            InvalidRequestError: the concurrency or an option cannot be.
            ClientClosedError: the client was closed meanwhile.
        """
        how = MapOptions(
            concurrency=concurrency,
            ordered=ordered,
            cancel_rest=cancel_rest,
            timeout_seconds=timeout_seconds,
            wait_for_room_seconds=wait_for_room_seconds,
        )
        return mapped(self._open_link, prompts, checked_options(options), how)

    async def wait(
        self,
        handles: Iterable[JobHandle],
        *,
        timeout_seconds: float | None = None,
        return_when: str = "all_completed",
    ) -> WaitReport[JobHandle]:
        """Wait until jobs have ended, well or not, or the time is over; the jobs go on.

        `return_when`: `all_completed`, `first_completed`, or `first_exception` (one has no answer).

        Raises:
            InvalidRequestError: `return_when` is none of these.
            ClientClosedError, YardNotReadyError: as `JobHandle.outcome`.
        """
        return await wait(handles, timeout_seconds=timeout_seconds, return_when=return_when)

    def as_completed(
        self, handles: Iterable[JobHandle], *, timeout_seconds: float | None = None
    ) -> AsyncGenerator[JobHandle]:
        """Jobs in the order in which they end, well or not: `async for handle in yard.as_completed(...)`.

        Raises:
            JobTimeoutError: some have not ended in that time; they go on.
            ClientClosedError, YardNotReadyError: as `JobHandle.outcome`.
        """
        return as_completed(handles, timeout_seconds=timeout_seconds)

    def handle(self, job_id: str) -> JobHandle:
        """The handle of a job submitted before, here or in any other process of the tenant.

        An id that the yard never had waits for ever: give its `result` a time limit.

        Raises:
            InvalidRequestError: it cannot be a job's id.
        """
        link = self._open_link
        return JobHandle(link, link.listener.slot(check_job_id(job_id), fresh=False), existing=True)

    def job_id(self, idempotency_key: str) -> str:
        """The id of the tenant's job under a key, whether there is one or not.

        Raises:
            InvalidRequestError: it cannot be a key.
        """
        salt = self._settings.idempotency_salt.get_secret_value()
        return keyed_job_id(tenant=self._settings.tenant, salt=salt, key=idempotency_key)

    async def cancel_many(self, job_ids: Iterable[str]) -> CancelReport:
        """Cancel jobs of the tenant by their ids, many at once; the report has what became of each.

        Raises:
            InvalidRequestError: one of them cannot be a job's id; none was cancelled.
        """
        return await cancel_many(self._open_link, job_ids)

    async def cancel_where(
        self, query: CancelQuery, *, most: int = MOST, dry_run: bool = False
    ) -> CancelReport:
        """Cancel the tenant's unfinished jobs that fit a query, in whatever state, the oldest first.

        At most so many: the report says how many more fit. With `dry_run` it only says which fit.

        Raises:
            InvalidRequestError: the query cannot be.
            YardNotReadyError: there is no yard.
            BusUnavailableError: the bus is away.
        """
        return await cancel_where(self._open_link, query, most=most, dry_run=dry_run)

    async def workers(self) -> list[WorkerAdvert]:
        """The last advert of every worker that is alive.

        Raises:
            YardNotReadyError: there is no yard.
        """
        from lorayard.yard_view import list_workers

        return await list_workers(self._open_link)

    async def place(self, adapter: str, **options: Unpack[PlaceOptions]) -> PlaceReply:
        """Declare where an adapter shall be; what is not given stays as it was.

        Raises:
            InvalidRequestError: it cannot be held; nothing was changed.
            NoDispatcherError: nobody took the order.
        """
        from lorayard.placing import place_adapter

        return await place_adapter(self._open_link, adapter, options)

    async def placements(self, adapter: str | None = None) -> PlacementReport:
        """Where an adapter should be and is; None: all of which something is asked.

        Raises:
            NoDispatcherError: nobody could be asked.
        """
        from lorayard.placing import ask_placements

        return await ask_placements(self._open_link, adapter)

    async def queue_depth(self) -> QueueDepth:
        """How many jobs have no result yet, by lane, tenant and adapter.

        Raises:
            YardNotReadyError: there is no yard.
        """
        from lorayard.yard_view import measure_queue

        return await measure_queue(self._open_link)

    async def snapshot(
        self, *, parts: Iterable[SnapshotPart | str] | None = None, older_seconds: float = 1.0
    ) -> YardSnapshot:
        """The whole yard at one moment: queues, adapters, workers, dispatchers, and what is wrong.

        `parts` are those of `SnapshotPart`, None is all; overview, troubles and dispatchers are always there.
        A gateway or an exporter answers with what it read at most `older_seconds` ago; where there is none
        the bus is read from here, so that it needs no process of the yard.

        Raises:
            InvalidRequestError: there is no such part.
            YardNotReadyError: there is no yard.
            BusUnavailableError: the bus is away.
        """
        from lorayard.view.asking import SnapshotDesk, checked_parts

        link = self._open_link
        if self._desk is None:
            self._desk = SnapshotDesk(link)
        return await self._desk.ask(checked_parts(parts), older_seconds)

    async def scheduled(self, *, all_tenants: bool = False) -> list[ScheduledJob]:
        """Jobs that wait for their time, or to be tried again, the soonest first.

        Raises:
            YardNotReadyError: there is no yard.
        """
        from lorayard.scheduled import list_scheduled

        return await list_scheduled(self._open_link, all_tenants=all_tenants)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
