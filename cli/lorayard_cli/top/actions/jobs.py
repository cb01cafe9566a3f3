"""Cancel: one job, or those of a queue."""

from __future__ import annotations

from lorayard import CancelOutcome, CancelQuery
from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Situation
from lorayard_cli.top.amounts import count
from lorayard_cli.top.listed_job import ListedJob
from lorayard_schemas.snapshot import QueueRow


async def cancel_plans(at: Situation) -> list[Plan]:
    """End the chosen job."""
    job = at.about
    if not isinstance(job, ListedJob):
        raise NothingToDo("choose a job")
    if not job.unfinished:
        raise NothingToDo(f"job {job.job} is {job.where}: it has ended")
    return [_cancel(at, job)]


def _cancel(at: Situation, job: ListedJob) -> Plan:
    async def run(_reason: str) -> str:
        client = await at.clients.of(job.tenant)
        outcome = await client.handle(job.job).cancel()
        return f"job {job.job}: {outcome}"

    return Plan(
        title=f"Cancel job {job.job}",
        effect=f"It is {job.where} and of tenant {job.tenant}. It ends as cancelled, for good, and whoever "
        "waits for it is told so. A row that runs is stopped.",
        command=f"lorayard cancel {job.job} --tenant {job.tenant}",
        run=run,
    )


async def cancel_queue_plans(at: Situation) -> list[Plan]:
    """End all jobs of the chosen queue."""
    queue = at.about
    if not isinstance(queue, QueueRow):
        raise NothingToDo("choose a queue")
    if queue.adapter is None:
        raise NothingToDo("jobs that name no adapter are cancelled one by one: Enter lists them")
    query = CancelQuery(named=queue.adapter, lane=queue.lane.value)
    client = await at.clients.of(queue.tenant)
    fit = await client.cancel_where(query, dry_run=True)
    if not fit.outcomes:
        raise NothingToDo("it has no unfinished job any more")
    return [_cancel_queue(at, queue, query, len(fit.outcomes), fit.beyond)]


def _cancel_queue(at: Situation, queue: QueueRow, query: CancelQuery, jobs: int, beyond: int) -> Plan:
    async def run(_reason: str) -> str:
        client = await at.clients.of(queue.tenant)
        report = await client.cancel_where(query, most=jobs)
        ended, errors = report.count(CancelOutcome.CANCELLED), list(report.errors.values())
        failed = f", {count(len(errors))} could not be: {errors[0]}" if errors else ""
        return f"{count(ended)} of {count(len(report.outcomes))} jobs cancelled{failed}"

    rest = f" {count(beyond)} more are left alone." if beyond else ""
    return Plan(
        title=f"Cancel {count(jobs)} {'job' if jobs == 1 else 'jobs'}",
        effect=f"All unfinished jobs of tenant {queue.tenant} in lane {queue.lane} that name just "
        f"{queue.adapter}, {count(jobs)} now, end as cancelled, for good; those that run are stopped.{rest}",
        command=f"lorayard cancel --tenant {queue.tenant} --lane {queue.lane} --named {queue.adapter}",
        run=run,
    )


CANCEL = Action(key="C", word="cancel", sentence="End a job, for good.", plans=cancel_plans)
CANCEL_QUEUE = Action(
    key="C", word="cancel", sentence="End all unfinished jobs of a queue, for good.", plans=cancel_queue_plans
)
