"""One run of a batch at one gateway: from where its record says it is, to its end.

Nothing but the record and the yard is remembered. Whoever takes a batch over begins with an empty folder and
finds what was answered by the jobs' keys, which are made of batch and custom_id; a result that is kept no
more is answered again under the same key. Output and error file become files of the tenant only as a whole:
their ids stand in the record before they do, so one that a run stored and died is known, or thrown away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nats.errors

from lorayard import Client
from lorayard.batch import (
    BatchFiles,
    BatchOptions,
    BatchRunner,
    BatchState,
    Fsync,
    Manifest,
    batch_files,
    cancel_left,
    open_batch,
    want_cancel,
)
from lorayard.batch.in_thread import in_thread
from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.batches.checking import check_lines
from lorayard_gateway.batches.errors import InputGoneError, RunLostError
from lorayard_gateway.batches.remaining import Remaining
from lorayard_gateway.batches.states import OVER, moved
from lorayard_gateway.errors import ApiError
from lorayard_gateway.files.store import PART_BYTES, FileStore, new_file_id
from lorayard_gateway.settings import GatewaySettings
from lorayard_schemas.batch_record import BatchRecord, BatchStatus, Ending, LineCounts, LineError
from lorayard_schemas.file_record import FileId, FilePurpose
from lorayard_shared.process import end_tasks

LOOK_SECONDS = 0.25
"""Between two looks whether it shall end, and at how far it is."""

TELL_SECONDS = 1.0
"""Between two changes of the counts in the record."""

OPTIONS = BatchOptions(fsync=Fsync.NEVER)

_WORDS = {
    BatchStatus.EXPIRED: (
        "batch_expired",
        "This request was not answered before the completion window ended.",
    ),
    BatchStatus.CANCELLED: ("batch_cancelled", "The batch was cancelled before this request was answered."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a run works with."""

    yard: Client
    """Of the batch's tenant."""
    files: FileStore
    book: BatchBook
    settings: GatewaySettings


class BatchRun:
    """One run. Its lease is its owner's to keep."""

    def __init__(self, tools: Tools, record: BatchRecord, folder: Path) -> None:
        self._tools, self._record, self._folder = tools, record, folder
        self._counts = record.counts

    async def run(self) -> BatchRecord:
        """To the batch's end; the record as it is then.

        Raises:
            RunLostError: another gateway has the batch.
            LorayardError, nats.errors.Error, OSError: it cannot go on here and now.
        """
        await self._change(lambda record: record.model_copy(update={"run": record.run + 1}), begins=True)
        if self._record.status in OVER:
            return self._record
        if self._record.ending is not None:
            if await self._are_stored(self._record.ending):
                return await self._end()
            await self._discard(self._record.ending)
        if self._was_never_begun():
            return await self._end(Ending(status=BatchStatus.CANCELLED))
        try:
            files = await self._fetch()
        except InputGoneError as error:
            return await self._fail((LineError(code="input_file_gone", message=str(error)),))
        if self._record.status is BatchStatus.VALIDATING and (errors := await self._check(files.input)):
            return await self._fail(errors)
        if self._was_never_begun():
            return await self._end(Ending(status=BatchStatus.CANCELLED))
        await self._publish(files, await self._answer(files))
        try:
            return await self._end()
        except RunLostError:
            await self._withdraw()
            raise

    # ---- its steps

    async def _fetch(self) -> BatchFiles:
        """The input as a file of ours, and where the answers go."""
        path = self._folder / "in.jsonl"
        found = await self._tools.files.find_kept(self._record.tenant, self._record.input_file_id)
        if found is None:
            raise InputGoneError(f"there is no file {self._record.input_file_id} any more")
        try:
            with path.open("wb") as file:
                async for part in self._tools.files.parts(found):
                    await in_thread(partial(file.write, part))
        except ApiError as error:
            raise InputGoneError(str(error)) from error
        return batch_files(path, self._folder / "out.jsonl")

    async def _check(self, input: Path) -> tuple[LineError, ...]:
        """What of the input ends the batch; none: it is in progress."""
        checked = await check_lines(
            input,
            self._folder / "check.sqlite",
            OPTIONS,
            endpoint=self._record.endpoint,
            most_lines=self._tools.settings.gateway_batch_lines,
        )
        if checked.errors:
            return checked.errors
        counts = LineCounts(total=checked.lines)

        def began(record: BatchRecord) -> BatchRecord:
            if record.status is BatchStatus.CANCELLING:
                return record
            return moved(record, BatchStatus.IN_PROGRESS, time.time(), counts=counts)

        await self._change(began)
        self._counts = counts
        return ()

    async def _answer(self, files: BatchFiles) -> BatchStatus:
        """Have every line stand in one of the two files; returns how that ends the batch."""
        tenant, yard = self._record.tenant, self._tools.yard
        opened = partial(open_batch, files, OPTIONS, tenant=tenant, batch_id=self._record.id, resume=True)
        early = self._early_end()
        if early is None:
            batch = await in_thread(opened)
            manifest = await self._until_end(BatchRunner(yard, batch, self._hear), files.output)
            if manifest.state is BatchState.COMPLETED:
                return BatchStatus.COMPLETED
            early = self._early_end() or BatchStatus.CANCELLED
        else:
            await cancel_left(yard, await in_thread(opened))
        code, message = _WORDS[early]
        rest = Remaining(yard, self._record.id, code=code, message=message)
        await BatchRunner(yard, await in_thread(opened), self._hear, sender=rest).run()
        return early

    async def _until_end(self, runner: BatchRunner, output: Path) -> Manifest:
        running = asyncio.create_task(runner.run(), name=f"run-{self._record.id}")
        told, wanted = time.monotonic(), False
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=LOOK_SECONDS)
                if not wanted and self._early_end() is not None:
                    await in_thread(partial(want_cancel, output))
                    wanted = True
                if time.monotonic() - told >= TELL_SECONDS:
                    with suppress(nats.errors.Error):  # what answers waits for the bus by itself
                        await self._tell()
                    told = time.monotonic()
            return running.result()
        finally:
            await end_tasks([running])

    async def _publish(self, files: BatchFiles, ended: BatchStatus) -> None:
        """Store the two files; their ids stand in the record first."""
        written = {path: path.stat().st_size > 0 for path in (files.output, files.errors)}
        output_id, error_id = (new_file_id() if there else None for there in written.values())
        counts, before = self._counts, self._record.ending

        def planned(record: BatchRecord) -> BatchRecord:
            status = ended
            if record.status is BatchStatus.CANCELLING:
                status = BatchStatus.CANCELLED
            ending = Ending(status=status, output_file_id=output_id, error_file_id=error_id)
            if record.status is BatchStatus.IN_PROGRESS:
                return moved(record, BatchStatus.FINALIZING, time.time(), ending=ending, counts=counts)
            return record.model_copy(update={"ending": ending, "counts": counts})

        await self._change(planned)
        if before is not None:  # its run may have been held up, and have stored them since
            await self._discard(before)
        for path, file_id, name in (
            (files.output, output_id, "output"),
            (files.errors, error_id, "error"),
        ):
            if file_id is not None:
                await self._store(path, file_id, f"{self._record.id}_{name}.jsonl")

    async def _store(self, path: Path, file_id: FileId, name: str) -> None:
        keep = self._record.keep_output_seconds or self._tools.settings.gateway_file_seconds
        size_bytes = (await in_thread(path.stat)).st_size
        writing = self._tools.files.begin(file_id, size_bytes=size_bytes)
        try:
            with path.open("rb") as file:
                while block := await in_thread(partial(file.read, PART_BYTES)):
                    await writing.add(block)
            await writing.keep(self._record.tenant, name, FilePurpose.BATCH_OUTPUT, keep_seconds=keep)
        except BaseException:
            await writing.drop()
            raise

    async def _end(self, ending: Ending | None = None) -> BatchRecord:
        """The last step; its files are there."""

        def ended(record: BatchRecord) -> BatchRecord:
            last = ending or record.ending
            assert last is not None, "how it ends was written before"
            return moved(record, last.status, time.time(), ending=last)

        await self._change(ended)
        return self._record

    async def _fail(self, errors: tuple[LineError, ...]) -> BatchRecord:
        def failed(record: BatchRecord) -> BatchRecord:
            if record.status is BatchStatus.CANCELLING:
                return moved(
                    record, BatchStatus.CANCELLED, time.time(), ending=Ending(status=BatchStatus.CANCELLED)
                )
            return moved(record, BatchStatus.FAILED, time.time(), errors=errors, ending=None)

        await self._change(failed)
        return self._record

    # ---- what it knows

    def _was_never_begun(self) -> bool:
        """Whether it is to end, and nothing was sent."""
        return self._record.status is BatchStatus.CANCELLING and self._record.in_progress_at is None

    def _early_end(self) -> BatchStatus | None:
        """Whether it is to end before all is answered."""
        known = self._tools.book.known(self._record) or self._record
        if BatchStatus.CANCELLING in (known.status, self._record.status):
            return BatchStatus.CANCELLED
        ending = self._record.ending
        if ending is not None:  # a run before this one has come to an end, and could not store it
            return None if ending.status is BatchStatus.COMPLETED else ending.status
        return BatchStatus.EXPIRED if time.time() >= self._record.expires_at else None

    def _hear(self, manifest: Manifest) -> None:
        counts = manifest.counts
        done, failed = counts.answered, counts.failed + counts.bad
        self._counts = LineCounts(total=max(self._counts.total, done + failed), completed=done, failed=failed)

    async def _tell(self) -> None:
        """Have the record say how far it is, and never less than the run before this one said."""
        told, now = self._record.counts, self._counts
        if now.completed + now.failed > told.completed + told.failed:
            await self._change(lambda record: record.model_copy(update={"counts": now}))

    async def _are_stored(self, ending: Ending) -> bool:
        for file_id in (ending.output_file_id, ending.error_file_id):
            if file_id is not None and await self._tools.files.find(self._record.tenant, file_id) is None:
                return False
        return True

    async def _discard(self, ending: Ending) -> None:
        """Files of a run that was cut between its two."""
        for file_id in (ending.output_file_id, ending.error_file_id):
            if file_id is None:
                continue
            found = await self._tools.files.find(self._record.tenant, file_id)
            if found is not None:
                await self._tools.files.forget(found)
                await self._tools.files.remove_parts(found)

    async def _withdraw(self) -> None:
        """The batch is another's by now: the files of this run go, unless it is to end with them."""
        known = await self._tools.book.find(self._record.tenant, self._record.id)
        ending = self._record.ending
        if ending is not None and known is not None and known.ending != ending:
            await self._discard(ending)

    async def _change(self, changed: Callable[[BatchRecord], BatchRecord], *, begins: bool = False) -> None:
        """Change the record, if this run still has the batch.

        Raises:
            RunLostError: it has not, or there is no such batch any more.
        """
        mine = self._record.run

        def ours(record: BatchRecord) -> BatchRecord:
            if not begins and record.run != mine:
                raise RunLostError
            return record if begins and record.status in OVER else changed(record)

        found = await self._tools.book.change(self._record.tenant, self._record.id, ours)
        if found is None:
            raise RunLostError
        self._record = found
