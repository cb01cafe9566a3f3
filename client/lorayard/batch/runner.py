"""Run a batch: read, send, wait, write; until every line stands in one of the two files.

One loop sends, one task per line waits for its jobs, one writes, one watches for a cancel and tells how far
it is. What is in flight is bounded, and so is everything in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from lorayard.batch.answer_lines import answer_line, bad_line, error_line
from lorayard.batch.errors import BatchError
from lorayard.batch.in_thread import in_thread
from lorayard.batch.later import Later
from lorayard.batch.line import BadLine, Line
from lorayard.batch.line_file import LineFile
from lorayard.batch.lost import JobLostError, outcome_or_lost
from lorayard.batch.manifest import BatchState, Manifest, write_manifest
from lorayard.batch.opening import OpenBatch
from lorayard.batch.sending import Again, LineSender, Refused, Sender
from lorayard.batch.tally import Tally
from lorayard.batch.window import Window
from lorayard.batch.work import Redo, Work, group_of, no_room, work_of
from lorayard.batch.writer import Finished, Writer
from lorayard.client import Client
from lorayard.errors import BusUnavailableError, ClientClosedError, LorayardError, YardNotReadyError
from lorayard.handle import JobHandle
from lorayard.result import Result, raise_unless_succeeded
from lorayard_schemas.result import ResultState

BLOCK_LINES = 256
"""Read and checked at once, in a thread: some 20 ms."""

SEND_LINES = 128
"""In one call, so that a cancel is heard soon."""

LOOK_SECONDS = 0.5
"""Between two looks for a cancel, and two reports."""

MANIFEST_SECONDS = 5.0

OnProgress = Callable[[Manifest], None]


class BatchRunner:
    """One run over an open batch."""

    def __init__(
        self,
        yard: Client,
        batch: OpenBatch,
        on_progress: OnProgress | None = None,
        *,
        sender: LineSender | None = None,
    ) -> None:
        """`sender` asks the yard in another way than by submitting what it does not have yet."""
        self._yard = yard
        self._batch = batch
        self._tell = on_progress
        manifest, options = batch.manifest, batch.manifest.options
        self._options = options
        self._redo = Redo(
            failed_before=manifest.redo_failed_before, cancelled_before=manifest.redo_cancelled_before
        )
        self._tally = Tally(manifest)
        self._writer = Writer((batch.output, batch.errors), options.fsync)
        self._sender: LineSender = sender or Sender(yard, manifest.id)
        self._window = Window[Work](options.window_lines)
        self._again = Later()
        self._running: dict[int, Sequence[JobHandle]] = {}
        """Line number -> its jobs."""
        self._changed = asyncio.Event()
        self._cancelling = False

    async def run(self) -> Manifest:
        """Until all is done, or somebody cancels it; the batch's files are closed then.

        Raises:
            BatchError: it cannot go on; what is written is kept.
            asyncio.CancelledError: it was interrupted; jobs go on, and a resume finds them.
        """
        state = BatchState.STOPPED
        trouble: str | None = "it was interrupted"
        try:
            await self._prepare()
            await self._run()
            state, trouble = (BatchState.CANCELLED if self._cancelling else BatchState.COMPLETED), None
        except* LorayardError as group:
            error = _first(group)
            trouble = str(error)
            failed: LorayardError | None = error
        else:
            failed = None
        finally:
            final = self._tally.manifest(state=state, trouble=trouble)
            try:
                # Before others may have the files: they begin with what is written here.
                write_manifest(final)
            finally:
                self._batch.close()
            self._report(final)
        if failed is not None:
            raise failed
        return final

    async def _prepare(self) -> None:
        self._window = Window[Work](
            self._options.window_lines, groups_at_once=await self._sender.groups_at_once()
        )
        if not self._batch.fresh:
            await self._sender.look_for_unfinished()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run(), name="batch-write")
            watching = group.create_task(self._watch(), name="batch-watch")
            async with asyncio.TaskGroup() as lines:
                await self._feed(lines)
            await self._writer.finish()
            watching.cancel()

    async def _feed(self, lines: asyncio.TaskGroup) -> None:
        """Send until everything is sent and nothing is to be sent again."""
        while not self._cancelling:
            await self._fill()
            due = self._take()
            if due:
                await self._send(due, lines)
            elif self._batch.source.ended and not (self._window or self._again or self._running):
                return
            else:
                await self._wait()

    async def _fill(self) -> None:
        source = self._batch.source
        while not source.ended and self._window.room >= min(BLOCK_LINES, self._options.window_lines):
            block = await in_thread(partial(source.block, min(BLOCK_LINES, self._window.room)))
            for line in block:
                if isinstance(line, Line):
                    self._window.add(group_of(line), work_of(line))
                else:
                    await self._put_bad(line)
            self._tally.read(source.lines, ended=source.ended)
            if self._cancelling:
                return

    def _take(self) -> list[Work]:
        """The next lines, as far as there is room: first those that are to be sent again."""
        room = min(SEND_LINES, self._options.in_flight - len(self._running))
        if room < 1:
            return []
        due = self._again.due(asyncio.get_running_loop().time(), room)
        # Behind a limit or a full yard no more lines pile up than are read ahead.
        left = max(self._options.window_lines, self._options.in_flight) - len(self._again)
        return due + self._window.take(max(0, min(room - len(due), left)))

    async def _wait(self) -> None:
        """For room, for an end, or for the time of what is sent again."""
        now = asyncio.get_running_loop().time()
        soonest = self._again.soonest
        seconds = 60.0 if soonest is None else max(0.01, soonest - now)
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _send(self, due: list[Work], lines: asyncio.TaskGroup) -> None:
        sent = await self._sender.send(due)
        for work, outcome in zip(due, sent, strict=True):
            match outcome:
                case Again():
                    self._put_again(work, outcome.places, outcome.after_seconds, outcome.reason)
                case Refused():
                    await self._put_error(work.line, outcome.error, None)
                case BadLine():
                    await self._put_bad(outcome)
                case _:
                    self._running[work.line.number] = outcome
                    self._tally.sent(outcome)
                    lines.create_task(self._follow(work, outcome), name=f"batch-{work.line.number}")

    async def _follow(self, work: Work, handles: Sequence[JobHandle]) -> None:
        """Wait for a line's jobs, and see to what comes of them."""
        try:
            results = [await outcome_or_lost(handle) for handle in handles]
        except ClientClosedError:
            raise
        except JobLostError as error:
            self._sender.forget(handle.id for handle in handles)
            self._put_again(work, frozenset(), 0.0, str(error))
        except (BusUnavailableError, YardNotReadyError) as error:
            self._put_again(work, frozenset(), 1.0, str(error))
        except LorayardError as error:
            await self._put_error(work.line, error, handles[0].id)
        else:
            await self._finish(work, results)
        finally:
            self._running.pop(work.line.number, None)
            self._tally.running(len(self._running))
            self._changed.set()

    async def _finish(self, work: Work, results: Sequence[Result]) -> None:
        if self._cancelling and any(result.state is ResultState.CANCELLED for result in results):
            return  # it was not answered, and nobody shall read that it failed
        redo = frozenset(place for place, result in enumerate(results) if self._redo.holds_for(result))
        if redo:
            refused = [result for result in results if no_room(result)]
            after = max((r.error.retry_after_seconds or 0.0 for r in refused if r.error), default=0.0)
            self._put_again(work, redo, after, "a limit is used up" if refused else None)
            return
        try:
            for result in results:
                raise_unless_succeeded(result)
        except LorayardError as error:
            await self._put_error(work.line, error, results[0].job_id)
        else:
            body = answer_line(self._tally.id, work.line, results)
            tell = partial(self._tally.answered, work.line.asked, results)
            await self._put(self._batch.output, body, tell)

    def _put_again(self, work: Work, places: frozenset[int], after: float, reason: str | None) -> None:
        not_before = asyncio.get_running_loop().time() + after
        again = work.again(places, not_before)
        self._again.put(again)
        self._tally.again(reason, generation=max(again.generations))
        self._changed.set()

    async def _put_bad(self, bad: BadLine) -> None:
        await self._put(self._batch.errors, bad_line(self._tally.id, bad), self._tally.bad)

    async def _put_error(self, line: Line, error: LorayardError, job: str | None) -> None:
        body = error_line(self._tally.id, line, error, job)
        await self._put(self._batch.errors, body, self._tally.failed)

    async def _put(self, file: LineFile, body: bytes, tell: Callable[[], None]) -> None:
        await self._writer.put(Finished(file=file, body=body, tell=tell))

    async def _watch(self) -> None:
        """Hear of a cancel; tell how far it is."""
        saved = time.monotonic()
        while True:
            if not self._cancelling and await in_thread(lambda: self._batch.cancel_wanted):
                self._cancelling = True
                self._changed.set()
            if self._cancelling:
                await self._cancel_running()
            manifest = self._tally.manifest()
            self._report(manifest)
            if time.monotonic() - saved >= MANIFEST_SECONDS:
                await in_thread(partial(write_manifest, manifest))
                saved = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    async def _cancel_running(self) -> None:
        jobs = [handle.id for handles in self._running.values() for handle in handles]
        if jobs:
            await self._yard.cancel_many(jobs)

    def _report(self, manifest: Manifest) -> None:
        if self._tell is not None:
            self._tell(manifest)


def _first(group: BaseExceptionGroup[LorayardError]) -> LorayardError:
    """The error that ended the batch: one of the batch itself, where there is one."""
    found = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in group.exceptions]
    return next((error for error in found if isinstance(error, BatchError)), found[0])
