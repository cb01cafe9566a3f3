"""`lorayard batch`: files of requests in OpenAI's batch format, answered by the yard."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from lorayard.batch import (
    BatchFiles,
    BatchOptions,
    BatchRunner,
    BatchState,
    BrokenOutputError,
    Fsync,
    Manifest,
    NoBatchError,
    batch_files,
    cancel_left,
    is_open,
    keep_stdin,
    open_batch,
    read_manifest,
    want_cancel,
)
from lorayard.batch.line import MAX_LINE_BYTES
from lorayard.batch.options import IN_FLIGHT, WINDOW_LINES
from lorayard.batch.standard_input import STDIN
from lorayard.errors import LorayardError
from lorayard.settings import client_settings
from lorayard_cli.batch_progress import batch_progress, clock
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import counted, note, out, plain, print_json, print_text, table

LOOK_SECONDS = 0.2

InputFile = Annotated[Path, Parameter(allow_leading_hyphen=True)]
"""`-` is stdin."""
OutputFile = Annotated[Path, Parameter(name=["--output", "-o"])]
Positive = Annotated[int, Parameter(validator=validators.Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the lines are sent and kept."""

    lane: Literal["urgent", "high", "normal", "bulk"] = "bulk"
    """Of lines that name none."""
    window: Positive = WINDOW_LINES
    """Lines read ahead and sent adapter by adapter; 1 keeps the order of the file."""
    in_flight: Positive = IN_FLIGHT
    """Lines sent and not answered yet, at most."""
    fsync: Literal["never", "interval", "line"] = "interval"
    """When the disk is asked to keep what is written: a power cut costs what it was not asked for."""
    max_line_bytes: Positive = MAX_LINE_BYTES
    """A longer line is a bad one."""
    strict: Annotated[bool, Parameter(negative="")] = False
    """Send nothing if one line is bad."""

    @property
    def read(self) -> BatchOptions:
        """As the engine has them."""
        return BatchOptions(
            lane=self.lane,
            window_lines=self.window,
            in_flight=self.in_flight,
            fsync=Fsync(self.fsync),
            max_line_bytes=self.max_line_bytes,
            strict=self.strict,
        )


USUAL = RunOptions()


async def run(
    input: InputFile,  # the name that help shows
    *,
    file: OutputFile,
    errors: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    retry_errors: Annotated[bool, Parameter(negative="")] = False,
    options: RunOptions = USUAL,
    tenant: str | None = None,
    yard: YardAddress = NEAREST,
    told: Output = TEXT,
) -> int:
    """Answer every line of a batch file, each once. Ends with 1 when some have no answer.

    Parameters
    ----------
    input
        Lines of {"custom_id", "method", "url", "body"}; `body.model` names the adapter. `-` reads them from
        stdin to its end, and keeps them in OUTPUT.batch before anything is sent.
    file
        Where answers go, as they come.
    errors
        Where lines without an answer go; else OUTPUT.errors.jsonl.
    resume
        Go on where an earlier run was; begins where there was none.
    retry_errors
        The same, and ask once more what stands in the error file.
    tenant
        Whose jobs; else LORAYARD_TENANT, else `default`.
    """
    if str(input) == STDIN:
        input = await _stdin_kept(file, resume=resume or retry_errors)
    files = batch_files(input, file, errors)
    again = (resume, retry_errors)
    return await _run(files, options.read, again, tenant, yard, told)


async def resume(
    file: Path,
    *,
    retry_errors: Annotated[bool, Parameter(negative="")] = False,
    yard: YardAddress = NEAREST,
    told: Output = TEXT,
) -> int:
    """Go on with a batch that was stopped, killed or cancelled, as it was begun.

    Parameters
    ----------
    file
        Its output.
    retry_errors
        Ask once more what stands in the error file.
    """
    before = read_manifest(file)
    files = batch_files(Path(before.input), file, Path(before.errors))
    return await _run(files, before.options, (True, retry_errors), before.tenant, yard, told)


async def status(file: Path, *, told: Output = TEXT) -> None:
    """Say how far a batch is, from any shell; asks nobody but its files.

    Parameters
    ----------
    file
        Its output.
    """
    _show(read_manifest(file), told)


async def cancel(
    file: Path,
    *,
    patience: Annotated[float, Parameter(name="--timeout", validator=no_negative)] = 60.0,
    yard: YardAddress = NEAREST,
    told: Output = TEXT,
) -> int:
    """End a batch and its jobs, also one whose runner was killed; `resume` would do the rest.

    Parameters
    ----------
    file
        Its output.
    patience
        Wait so many seconds for its runner to end.
    """
    before = read_manifest(file)
    if before.state in (BatchState.COMPLETED, BatchState.CANCELLED) and not is_open(Path(before.output)):
        _show(before, told)
        return ExitCode.OK
    if is_open(Path(before.output)):
        want_cancel(file)
        await _ended(Path(before.output), patience)
        _show(read_manifest(file), told)
        return ExitCode.OK
    files = batch_files(Path(before.input), file, Path(before.errors))
    async with client(yard, tenant=before.tenant) as connected:
        batch = open_batch(files, before.options, tenant=before.tenant, resume=True)
        after, left = await cancel_left(connected, batch)
    note(f"its runner was gone; {counted(left, 'job')} of it cancelled")
    _show(after, told)
    return ExitCode.OK


async def ls(*folders: Path, told: Output = TEXT) -> None:
    """List the batches whose outputs lie in folders.

    Parameters
    ----------
    folders
        Else the working folder.
    """
    found = [manifest for folder in folders or (Path(),) for manifest in _in_folder(folder)]
    if told.json:
        print_json([_document(manifest) for manifest in found])
        return
    rows = table("OUTPUT", "STATE", "DONE", "LINES", "FAILED", right=("DONE", "LINES", "FAILED"))
    for manifest in found:
        counts = manifest.counts
        failed = counts.failed + counts.bad
        name = plain(Path(manifest.output).name)
        rows.add_row(name, _word(manifest), str(counts.written), str(counts.lines), str(failed))
    out().print(rows)


async def _run(
    files: BatchFiles,
    options: BatchOptions,
    again: tuple[bool, bool],
    tenant: str | None,
    yard: YardAddress,
    told: Output,
) -> int:
    resume, retry_errors = again
    whose = client_settings(yard.settings(), tenant=tenant).tenant
    _stop_at_term()
    async with client(yard, tenant=tenant) as connected:
        batch = open_batch(files, options, tenant=whose, resume=resume, retry_errors=retry_errors)
        with batch_progress() as tell:
            try:
                manifest = await BatchRunner(connected, batch, tell).run()
            except asyncio.CancelledError:
                note(f"stopped; its jobs go on, and so does `lorayard batch resume {files.output}`")
                raise
    _show(manifest, told)
    whole = manifest.state is BatchState.COMPLETED and not manifest.counts.failed + manifest.counts.bad
    return ExitCode.OK if whole else ExitCode.FAILED


async def _stdin_kept(output: Path, *, resume: bool) -> Path:
    """Read stdin in a thread that nobody waits for: Ctrl-C ends a command whose pipe says nothing."""
    loop = asyncio.get_running_loop()
    kept: asyncio.Future[Path] = loop.create_future()

    def read() -> None:
        # Without a buffer, whose lock the thread would hold when the interpreter ends.
        with FileIO(sys.stdin.fileno(), closefd=False) as stdin:
            try:
                end = partial(kept.set_result, keep_stdin(stdin, output, resume=resume))
            except LorayardError as error:
                end = partial(kept.set_exception, error)
        loop.call_soon_threadsafe(end)

    threading.Thread(target=read, name="batch-stdin", daemon=True).start()
    return await kept


def _stop_at_term() -> None:
    """SIGTERM ends it as Ctrl-C does: what is finished is written."""
    task = asyncio.current_task()
    assert task is not None, "a command runs in a task"
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _ended(output: Path, timeout_seconds: float) -> None:
    until = time.monotonic() + timeout_seconds
    while is_open(output):
        if time.monotonic() > until:
            message = f"its runner has not ended after {timeout_seconds:g} s; it will, once its jobs have"
            raise CommandError(ExitCode.TIMED_OUT, "timed_out", message)
        await asyncio.sleep(LOOK_SECONDS)


def _in_folder(folder: Path) -> Sequence[Manifest]:
    found: list[Manifest] = []
    for state in sorted(folder.glob("*.batch")):
        try:
            found.append(read_manifest(state.with_suffix("")))
        except NoBatchError:
            continue
        except BrokenOutputError as error:
            note(str(error))  # one that was torn hides no other
    return found


def _word(manifest: Manifest) -> str:
    if is_open(Path(manifest.output)):
        return "running"
    return "killed" if manifest.state is BatchState.RUNNING else manifest.state.value


def _document(manifest: Manifest) -> dict[str, object]:
    derived = {
        "written": manifest.counts.written,
        "tokens_per_second": manifest.counts.tokens_per_second,
        "hit_rate": manifest.counts.hit_rate,
        "seconds_left": manifest.counts.seconds_left,
        "age_seconds": _age(manifest),
    }
    return {**manifest.model_dump(mode="json"), "now": _word(manifest), **derived}


def _age(manifest: Manifest) -> float:
    """Since the runner told of itself; its clock and ours may differ by a little."""
    return max(0.0, time.time() - manifest.updated_at)


def _show(manifest: Manifest, told: Output) -> None:
    if told.json:
        print_json(_document(manifest))
        return
    counts, word = manifest.counts, _word(manifest)
    as_of = f" as of {clock(_age(manifest))} ago" if word in ("running", "killed") else ""
    lines = [
        f"{manifest.id}: {word}, {counts.written} of {counted(counts.lines, 'line')}{as_of}",
        f"  {counts.answered} answered, {counts.failed} failed, {counts.bad} bad; in {manifest.output}",
    ]
    if counts.failed + counts.bad:
        lines.append(f"  why not: {manifest.errors}")
    if counts.answers:
        resident = f"{counts.hit_rate or 0:.1%} found their adapter resident"
        lines.append(f"  {counts.tokens_per_second:,.0f} tokens/s over {clock(counts.seconds)}, {resident}")
    if word == "running" and counts.seconds_left is not None:
        lines.append(f"  {counts.in_flight} in flight, {clock(counts.seconds_left)} left")
    if trouble := manifest.trouble or (counts.trouble if word == "running" else None):
        lines.append(f"  {trouble}")
    if word in ("killed", "stopped", "cancelled"):
        lines.append(f"  lorayard batch resume {manifest.output} goes on with it")
    print_text("\n".join(lines))
