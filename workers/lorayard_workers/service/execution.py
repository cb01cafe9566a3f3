"""Run accepted jobs: read, submit to the engine, store the result, then ack.

The order at the end is what keeps every promise: store first (the server refuses a second result), ack after.
A crash between the two makes the job come again, find its result, and be acked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.give_back import GiveBack
from lorayard_schemas.job import Job, PayloadRef
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.result import ResultState
from lorayard_schemas.state import IllegalTransitionError, JobState, is_final
from lorayard_schemas.trace_context import trace_fields
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK, NAK
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_shared.errors import PayloadMissingError, YardError
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_workers.engine.outcome import Cancelled, DeadlinePassed, Failed, Outcome
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.request import ChatMessage
from lorayard_workers.errors import CapacityError
from lorayard_workers.service.attempts import Attempts
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs, adapters_of
from lorayard_workers.service.job_composition import is_lost, lost
from lorayard_workers.service.job_request import Prompt, RunLimits, not_fetched, request_of, unreadable
from lorayard_workers.service.outcome_collector import OutcomeCollector
from lorayard_workers.service.outcomes import job_result, packed_result, result_state
from lorayard_workers.service.returns import Returns, goes_back
from lorayard_workers.service.shelf import Shelf, UnfitError
from lorayard_workers.service.tally import Tally
from lorayard_workers.service.token_teller import TokenTeller

DRAIN_LOOK_SECONDS = 0.05
STORE_SECONDS = 5.0

CANCEL_GRACE_SECONDS = 0.4
"""A row ends between two steps, and its result says how far it came. Whoever cancels a job has its answer
within a second, however long a step takes."""

CANCEL_LOOK_SECONDS = 0.25
"""Between two looks whether a job was cancelled while its adapter is fetched: it ends within a second."""


class Execution:
    """Owns accepted jobs from acceptance to ack, on the event loop; the engine calls in from its thread."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        leases: LeaseKeeper,
        held: HeldJobs,
        *,
        worker: str,
        attempts: Attempts,
        shelf: Shelf,
        returns: Returns,
        teller: TokenTeller,
        limits: RunLimits,
        on_change: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._engine = engine
        self._leases = leases
        self._held = held
        self._worker = worker
        self._attempts = attempts
        self._shelf = shelf
        self._returns = returns
        self._teller = teller
        self._limits = limits
        self._on_change = on_change
        self._payloads = PayloadStore(bus)
        self._results = ResultStore(bus, self._payloads)
        self._loop = asyncio.get_running_loop()
        self._sink = OutcomeCollector(self._collect)
        self._log = structlog.get_logger().bind(worker=worker)
        self._tasks = OwnedTasks(self._log)
        self.tally = Tally()
        self.on_end: Callable[[HeldJob, Outcome, ResultState], None] = _untold
        """Told of each result that is stored."""

    def accept(self, job: HeldJob) -> None:
        """Hold the job's lease and start on it; a job held already only changes its lease."""
        known = self._held.get(job.key)
        self._leases.hold(job.assigned.lease)
        if known is not None:
            if known.assigned.lease != job.assigned.lease:
                self._leases.release(known.assigned.lease)
            if known.give_again(job.assigned):
                self._returns.withdraw(GiveBack(keys=(job.key,)))
            return
        self._held.put(job)
        if job.assigned.deliveries > 1:
            self._spawn(job, self._begin_again(job), "begin")
            return
        try:
            self._begin(job)
        except Exception:  # noqa: BLE001  # as in `_guard`
            self._trouble(job)

    def cancel(self, tenant: str, job: str) -> bool:
        """End a job between two tokens; whether it is held here, and ends so."""
        found = False
        for held in self._held.find(tenant, job):
            if held.ending:
                continue  # what is stored first counts
            found = True
            if not held.cancelled:
                self._spawn(held, self._cancelled_in_time(held), "cancel")
            held.cancelled = True
            self._engine.cancel(held.key)
        return found

    async def _cancelled_in_time(self, held: HeldJob) -> None:
        """Answer for a job whose row takes long to end, as a step of it does; it keeps its row until then."""
        await asyncio.sleep(CANCEL_GRACE_SECONDS)
        if self._held.get(held.key) is held:
            await self._store(held, Cancelled(request_id=held.key))

    async def drain(self, seconds: float, hurried: asyncio.Event) -> None:
        """Hand back at once what has not begun, and the rest after a while, or as soon as it is `hurried`."""
        self._returns.withdraw(GiveBack.model_construct(keys=self._held.keys, aliases=()))
        until = self._loop.time() + seconds
        while len(self._held) and self._loop.time() < until and not hurried.is_set():  # noqa: ASYNC110  # both
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        for key in self._held.keys:
            held = self._held.drop(key)
            if held is not None:
                self._engine.cancel(key)
                self._leases.release(held.assigned.lease)
                with suppress(nats.errors.Error):  # then the lease runs out by itself
                    await self._bus.nc.publish(held.assigned.lease, NAK)  # dispatchers know that it stops
        await self._settle()

    async def abandon(self) -> None:
        """Let go of held jobs without a word: whoever hears that this worker is dead gives them out again.

        That counts against a job which ends one worker after another; one handed back would not. Until then
        they are told as held: one that is not would pass for done.
        """
        for key in self._held.keys:
            held = self._held.get(key)
            if held is not None:
                self._leases.release(held.assigned.lease)
        await self._settle()

    async def _settle(self) -> None:
        # What is being stored now may wait for a bus that is away; nobody waits for it longer than this.
        with suppress(TimeoutError):
            async with asyncio.timeout(STORE_SECONDS):
                await self._tasks.settle()
        await self._tasks.end()

    # ---- start

    async def _begin_again(self, held: HeldJob) -> None:
        if await self._results.has(held.address.tenant, held.job):
            self._let_go(held)
        else:
            self._begin(held)

    def _begin(self, held: HeldJob) -> None:
        """Without a task of its own, where nothing has to be fetched for it."""
        try:
            job = read_job(held.assigned.body)
        except MalformedMessageError as error:
            self._spawn(held, self._finish(held, unreadable(held, error)), "finish")
            return
        held.request_digest = job.request_digest
        held.traced, held.traceparent = trace_fields(job), job.traceparent
        if is_lost(job, held.assigned):
            self._spawn(held, self._finish(held, lost(held.key)), "finish")
        elif job.prompt_ref is not None:
            self._spawn(held, self._fetch(held, job, job.prompt_ref), "fetch")
        elif job.messages is not None:
            chat = tuple(ChatMessage(role=turn.role, content=turn.content) for turn in job.messages)
            self._submit(held, job, chat)
        else:
            self._submit(held, job, job.prompt or "")

    async def _fetch(self, held: HeldJob, job: Job, ref: PayloadRef) -> None:
        try:
            prompt = await self._payloads.get(ref)
        except PayloadMissingError as error:
            await self._finish(held, unreadable(held, error))
        else:
            self._submit(held, job, prompt)

    def _submit(self, held: HeldJob, job: Job, prompt: Prompt) -> None:
        if held.cancelled:
            self._spawn(held, self._finish(held, Cancelled(request_id=held.key)), "finish")
        elif job.deadline is not None and job.deadline <= time.time():
            self._spawn(held, self._finish(held, DeadlinePassed(request_id=held.key)), "finish")
        elif held.withdrawn:
            self._spawn(held, self._give_back([held]), "give-back")
        elif missing := self._missing(held):
            self._spawn(held, self._bring(held, job, prompt, missing), "bring")
        else:
            on_tokens = self._teller.open(held) if job.stream else None
            request = request_of(held, job, prompt, self._shelf.templates, self._limits)
            held.move(JobState.RUNNING)
            self._engine.submit(request, self._sink, on_tokens)

    def _missing(self, held: HeldJob) -> list[str]:
        """Adapters of the job whose files are still in the store."""
        refs = adapters_of(held.assigned)
        return [ref.digest for ref in refs if not self._shelf.here(ref.digest)]

    async def _bring(self, held: HeldJob, job: Job, prompt: Prompt, missing: Sequence[str]) -> None:
        """Fetch the files of its adapters while the job is held; it may end meanwhile, or be withdrawn."""
        coming = [asyncio.ensure_future(self._shelf.bring(digest)) for digest in missing]
        try:
            while self._is_wanted(held, job):
                done, still = await asyncio.wait(
                    coming, timeout=CANCEL_LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION
                )
                for one in done:
                    one.result()
                if not still:
                    break
        except UnfitError as error:
            self._log.warning(Event.ADAPTER_NOT_FETCHED, reason=str(error), **held.told, **held.traced)
            await self._give_back([held])
            return
        except (YardError, CapacityError, nats.errors.Error, OSError) as error:
            self._log.warning(Event.ADAPTER_NOT_FETCHED, reason=str(error), **held.told, **held.traced)
            await self._finish(held, not_fetched(held, error))
            return
        finally:
            for one in coming:
                one.cancel()  # the fetching itself goes on: others may wait for it
            await asyncio.gather(*coming, return_exceptions=True)
        if self._held.get(held.key) is held:
            self._submit(held, job, prompt)

    def _is_wanted(self, held: HeldJob, job: Job) -> bool:
        """Whether it is still worth while to wait for its adapter."""
        in_time = job.deadline is None or time.time() < job.deadline
        is_asked_for = not (held.cancelled or held.withdrawn)
        return in_time and is_asked_for and self._held.get(held.key) is held

    # ---- finish

    def _collect(self, outcomes: Sequence[Outcome]) -> None:
        together: list[tuple[HeldJob, Outcome]] = []
        not_begun: list[HeldJob] = []
        for outcome in outcomes:
            held = self._held.get(outcome.request_id)
            if held is None:
                continue
            if goes_back(outcome):
                not_begun.append(held)
                continue
            held.ending = True
            if held.cancelled:  # whoever has cancelled it was told that it ends so
                together.append((held, Cancelled(request_id=held.key)))
            elif isinstance(outcome, Failed):
                self._spawn(held, self._finish(held, outcome), "finish")
            else:
                together.append((held, outcome))
        if together:
            self._tasks.spawn(self._finish_together(together), "finish")
        if not_begun:
            self._tasks.spawn(self._give_back(not_begun), "give-back")

    async def _finish_together(self, ended: Sequence[tuple[HeldJob, Outcome]]) -> None:
        """What ended in one step is stored in one breath; what that leaves, each by itself and patiently."""
        try:
            stored = await self._results.try_together([self._packed(*each) for each in ended])
        except Exception as error:  # noqa: BLE001  # by itself, each shows whose trouble it is
            self._log.debug(Event.BUS_FAILED, jobs=len(ended), error=str(error) or type(error).__name__)
            for held, outcome in ended:
                self._spawn(held, self._finish(held, outcome), "finish")
            return
        done: list[HeldJob] = []
        for (held, outcome), became in zip(ended, stored, strict=True):
            if became is None:
                self._spawn(held, self._finish(held, outcome), "finish")
                continue
            try:
                self._note(held, outcome, became)
            except IllegalTransitionError:
                self._trouble(held)
                continue
            self.tally.add(held, outcome)
            done.append(held)
        self._ack(done)
        self._on_change()

    async def _finish(self, held: HeldJob, outcome: Outcome) -> None:
        if held.cancelled:  # whoever has cancelled it was told that it ends so
            outcome = Cancelled(request_id=held.key)
        held.ending = True  # from here on what is stored first counts
        if isinstance(outcome, Failed):
            if await self._attempts.again(held, outcome):
                held.move(JobState.RETRYING)
                self.tally.retried(held, outcome)
                self._let_go(held)
                return
            letter = await self._attempts.bury(held, outcome)
            await self._attempts.stored(await self._store(held, outcome), letter)
        else:
            await self._store(held, outcome)
        self.tally.add(held, outcome)
        self._let_go(held)

    async def _give_back(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs that have not begun, and shall not here: whoever has cancelled one meanwhile was told that it
        ends."""
        for held in jobs:
            if held.cancelled:
                self._spawn(held, self._finish(held, Cancelled(request_id=held.key)), "finish")
        try:
            await self._returns.give_back([held for held in jobs if not held.cancelled])
        except nats.errors.Error as error:
            self._log.warning(Event.BUS_FAILED, jobs=[held.job for held in jobs], error=str(error))
        self._on_change()

    async def _store(self, held: HeldJob, outcome: Outcome) -> Stored:
        self._teller.flush(held)
        result = job_result(held, outcome, worker=self._worker, base_digest=self._engine.base_digest)
        became = await self._results.store(result)
        self._note(held, outcome, became)
        return became

    def _packed(self, held: HeldJob, outcome: Outcome) -> PackedResult:
        self._teller.flush(held)
        body = packed_result(held, outcome, worker=self._worker, base_digest=self._engine.base_digest)
        return PackedResult(tenant=held.address.tenant, job=held.job, body=body)

    def _note(self, held: HeldJob, outcome: Outcome, stored: Stored) -> None:
        state = result_state(outcome)
        if not is_final(held.state):  # a row that ends when its job was cancelled in time has no say
            held.move(JobState(state))
        self._teller.ended(held, state)
        if stored is Stored.BEFORE:
            self._log.info(Event.RESULT_ALREADY_STORED, **held.told, **held.traced)
        else:
            self.on_end(held, outcome, state)
            self._log.debug(Event.JOB_FINISHED, state=state, **held.told, **held.traced)

    def _let_go(self, held: HeldJob) -> None:
        self._ack([held])
        self._on_change()

    def _ack(self, done: Sequence[HeldJob]) -> None:
        for held in done:
            self._held.drop(held.key)
            self._leases.release(held.assigned.lease)
        try:
            self._bus.nc.post_all((held.assigned.lease, "", b"", ACK) for held in done)
        except nats.errors.Error as error:
            # They come again after ack_wait, and find their results stored.
            self._log.warning(Event.BUS_FAILED, jobs=[held.job for held in done], error=str(error))

    def _spawn(self, held: HeldJob, work: Coroutine[object, object, None], name: str) -> None:
        self._tasks.spawn(self._guard(held, work), f"{name}-{held.key}")

    async def _guard(self, held: HeldJob, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except (nats.errors.Error, nats.js.errors.Error) as error:
            self._log.warning(Event.BUS_FAILED, job=held.job, error=str(error) or type(error).__name__)
            self._fall_silent(held)
        except Exception:  # noqa: BLE001  # one job's trouble must not end the worker; its lease brings it back
            self._trouble(held)

    def _trouble(self, held: HeldJob) -> None:
        self._log.exception(Event.LOOP_FAILED, job=held.job, tenant=held.address.tenant, **held.traced)
        self._fall_silent(held)

    def _fall_silent(self, held: HeldJob) -> None:
        """Hold the job no longer and let its lease run out: after ack_wait it is given out again."""
        if self._held.get(held.key) is held:
            self._held.drop(held.key)
        self._leases.release(held.assigned.lease)
        self._on_change()


def _untold(_held: HeldJob, _outcome: Outcome, _state: ResultState) -> None:
    """Nobody keeps it."""
