"""`lorayard explain`: why a job waits, or why it went where it went."""

from __future__ import annotations

from typing import Any

from lorayard.job_ids import check_job_id
from lorayard.settings import client_settings
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text
from lorayard_shared.bus.connection import connect
from lorayard_shared.explaining.evidence import Evidence, JobState
from lorayard_shared.explaining.gather import gather
from lorayard_shared.explaining.sentences import sentence


async def explain(
    job: str, *, tenant: str | None = None, yard: YardAddress = NEAREST, output: Output = TEXT
) -> int:
    """Say in one sentence why a job waits, or why it went where it went.

    Ends with 1 when there is no trace of the job, with 8 when no dispatcher is alive to ask either.

    Parameters
    ----------
    job
        The id that `submit` printed.
    tenant
        Whose job it is; else LORAYARD_TENANT, else `default`.
    """
    found = await _look(yard, check_job_id(job), tenant)
    if found.state is JobState.UNKNOWN:
        exit_code = ExitCode.FAILED if found.answers else ExitCode.NOT_READY
        raise CommandError(exit_code, "unknown_job", sentence(found), field="job")
    if output.json:
        print_json(_document(found))
    else:
        print_text(sentence(found))
    return ExitCode.OK


async def _look(yard: YardAddress, job: str, tenant: str | None) -> Evidence:
    settings = client_settings(yard.settings(), tenant=tenant)
    async with client(yard) as connected, await connect(settings, name="cli-explain") as bus:
        workers = frozenset(advert.worker for advert in await connected.workers())
        return await gather(bus, settings.tenant, job, workers)


def _document(found: Evidence) -> dict[str, Any]:
    """Everything on one line; the keys are stable."""
    live, schedule = found.live, found.schedule
    return {
        "job": found.job,
        "tenant": found.tenant,
        "state": found.state.value,
        "sentence": sentence(found),
        "reason": live.reason.value if live is not None and live.reason is not None else None,
        "dispatcher": live.model_dump(mode="json") if live is not None else None,
        "due_at": schedule.at if schedule is not None else None,
        "attempt": _attempt(found),
        "worker": _worker(found),
        "records": [record.model_dump(mode="json") for record in found.records],
    }


def _attempt(found: Evidence) -> int:
    if found.result is not None:
        return found.result.attempt
    if found.live is not None and found.live.attempt > 1:
        return found.live.attempt
    if found.schedule is not None:
        return found.schedule.attempt
    return found.records[-1].attempt if found.records else 1


def _worker(found: Evidence) -> str | None:
    """That answered it, or has it."""
    if found.result is not None:
        return found.result.maker.worker if found.result.maker is not None else None
    if found.state is JobState.HANDED_OVER and found.live is not None:
        return found.live.worker
    return None
