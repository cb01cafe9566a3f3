"""Open a batch's files: begin it, or go on where it was left."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from lorayard import __version__
from lorayard.batch.counts import BatchCounts
from lorayard.batch.errors import (
    BadLinesError,
    BatchFilesError,
    BrokenOutputError,
    InputChangedError,
    NoBatchError,
    OutputExistsError,
    OutputWriteError,
)
from lorayard.batch.files import BatchFiles
from lorayard.batch.id_index import IdIndex
from lorayard.batch.line import BadLine
from lorayard.batch.line_file import LineFile
from lorayard.batch.manifest import AnsweredBy, BatchState, Manifest, read_manifest, write_manifest
from lorayard.batch.options import BatchOptions
from lorayard.batch.raw_lines import InputSurvey, survey
from lorayard.batch.source import Source

CANCEL = "cancel"
"""A file in the state folder: somebody wants the batch to end."""

INDEX = "ids.sqlite"
MOST_BAD = 1000
"""Of a strict batch, told together."""
BLOCK_LINES = 1024


@dataclass(slots=True, kw_only=True)
class OpenBatch:
    """A batch that this process alone writes to."""

    manifest: Manifest
    files: BatchFiles
    output: LineFile
    errors: LineFile
    index: IdIndex
    source: Source
    fresh: bool
    """Nothing of it can be in the yard yet."""

    @property
    def cancel_wanted(self) -> bool:
        """Whether somebody asked to end it."""
        return (self.files.state_folder / CANCEL).exists()

    def close(self) -> None:
        """Close everything; let others go on."""
        self.source.close()
        self.index.close()
        self.errors.close()
        self.output.close()


def open_batch(
    files: BatchFiles,
    options: BatchOptions,
    *,
    tenant: str,
    resume: bool = False,
    retry_errors: bool = False,
    batch_id: str | None = None,
) -> OpenBatch:
    """Lock the files and find out what is done; `resume` begins anew where nothing was begun.

    `batch_id` is that of a batch which may have been run elsewhere, with other files: its jobs are found.

    Raises:
        BatchError: they cannot be used, and why.
    """
    output = LineFile(files.output)
    try:
        errors = LineFile(files.errors)
    except BaseException:
        _forget(output)
        raise
    try:
        opened = _opened(
            files, options, (output, errors), tenant, resume or retry_errors, retry_errors, batch_id
        )
    except BaseException:
        _forget(errors)
        _forget(output)
        raise
    return opened


def _forget(file: LineFile) -> None:
    """Leave things as they were."""
    if file.is_new and file.is_empty:
        file.path.unlink(missing_ok=True)
    file.close()


def _opened(
    files: BatchFiles,
    options: BatchOptions,
    opened: tuple[LineFile, LineFile],
    tenant: str,
    resume: bool,
    retry_errors: bool,
    batch_id: str | None,
) -> OpenBatch:
    output, errors = opened
    before = _before(files, empty=output.is_empty and errors.is_empty, resume=resume)
    if before is not None and before.tenant != tenant:
        raise BatchFilesError(f"the batch is of tenant {before.tenant}, not {tenant}")
    found = survey(files.input)
    if before is None:
        manifest = _begun(files, options, tenant, found, batch_id or f"batch_{secrets.token_hex(12)}")
    else:
        manifest = _resumed(before, files, options, found)
    if retry_errors and before is not None:
        most = max(manifest.options.max_line_bytes, options.max_line_bytes)
        options = manifest.options.model_copy(update={"max_line_bytes": most})
        manifest = manifest.model_copy(update={"redo_failed_before": time.time(), "options": options})
    options = manifest.options
    if options.strict:
        _check_all(files, options, found)
    write_manifest(manifest)
    (files.state_folder / CANCEL).unlink(missing_ok=True)
    output.cut_torn_line()
    errors.cut_torn_line()
    if retry_errors:
        errors.clear()
    index = IdIndex(files.state_folder / INDEX)
    manifest = _count(manifest, output, errors, index)
    return OpenBatch(
        manifest=manifest,
        files=files,
        output=output,
        errors=errors,
        index=index,
        source=Source(files.input, index, options, found),
        fresh=before is None and batch_id is None,
    )


def _before(files: BatchFiles, *, empty: bool, resume: bool) -> Manifest | None:
    try:
        before = read_manifest(files.output)
    except NoBatchError:
        if empty:
            return None
        if resume:
            raise
        raise OutputExistsError(output=files.output) from None
    if not resume:
        raise OutputExistsError(output=files.output)
    return before


def _begun(
    files: BatchFiles, options: BatchOptions, tenant: str, found: InputSurvey, batch_id: str
) -> Manifest:
    now = time.time()
    return Manifest(
        id=batch_id,
        state=BatchState.RUNNING,
        lorayard=__version__,
        tenant=tenant,
        input=str(files.input),
        input_sha256=found.sha256,
        input_bytes=found.size_bytes,
        output=str(files.output),
        errors=str(files.errors),
        options=options,
        counts=BatchCounts(lines=found.lines),
        created_at=now,
        updated_at=now,
    )


def _resumed(before: Manifest, files: BatchFiles, options: BatchOptions, found: InputSurvey) -> Manifest:
    for now, then, kind in ((files.output, before.output, "output"), (files.errors, before.errors, "errors")):
        if str(now) != then:
            # What stands in the other file would be answered, and told, a second time.
            raise BatchFilesError(f"the batch was begun with {kind} {then}, not {now}: go on with that one")
    if found.sha256 != before.input_sha256:
        raise InputChangedError(path=files.input)
    # A line that was too long stands among the errors, and one that was not is answered: neither may change.
    options = options.model_copy(update={"max_line_bytes": before.options.max_line_bytes})
    changed: dict[str, object] = {
        "state": BatchState.RUNNING,
        "lorayard": __version__,
        "input": str(files.input),
        "options": options,
        "counts": BatchCounts(lines=found.lines),
        "runs": before.runs + 1,
        "finished_at": None,
        "trouble": None,
        "updated_at": time.time(),
    }
    if before.state is BatchState.CANCELLED or (files.state_folder / CANCEL).exists():
        changed["redo_cancelled_before"] = time.time()
    return before.model_copy(update=changed)


def _check_all(files: BatchFiles, options: BatchOptions, found: InputSurvey) -> None:
    """Raises:
    BadLinesError: the input has bad lines.
    """
    _make_folder(files.state_folder)
    index = IdIndex(files.state_folder / INDEX)
    source = Source(files.input, index, options, found)
    bad: list[BadLine] = []
    try:
        while not source.ended and len(bad) < MOST_BAD:
            bad += [line for line in source.block(BLOCK_LINES) if isinstance(line, BadLine)]
    finally:
        source.close()
        index.close()
    if bad:
        if not any(files.state_folder.iterdir()):
            files.state_folder.rmdir()
        raise BadLinesError(lines=bad)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputWriteError(path=folder, reason=error.strerror or str(error)) from error


def _count(manifest: Manifest, output: LineFile, errors: LineFile, index: IdIndex) -> Manifest:
    """What stands in the files: that is done, and nothing else is."""
    adapters: dict[str, AnsweredBy] = {}
    counted = {"answered": 0, "failed": 0, "bad": 0}
    for file in (output, errors):
        for number, written in enumerate(file.written(), 1):
            if not index.settle(written.custom_id, written.line or 0):
                reason = f"has custom_id {written.custom_id!r}, which stood before"
                raise BrokenOutputError(path=file.path, line=number, reason=reason)
            kind = "answered" if file is output else "failed" if written.asked else "bad"
            counted[kind] += 1
            if written.model is not None:
                answered_by(adapters, written.model, written.digest)
    resumed = sum(counted.values())
    counts = manifest.counts.model_copy(update={**counted, "resumed": resumed})
    return manifest.model_copy(update={"counts": counts, "adapters": adapters})


def answered_by(adapters: dict[str, AnsweredBy], model: str, digest: str | None) -> None:
    """Count one more answer of a version."""
    known = adapters.get(model)
    adapters[model] = AnsweredBy(digest=digest, answers=1 + (known.answers if known is not None else 0))
