"""`lorayard schedules`: jobs that come again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from lorayard import ScheduledRun, ScheduleView
from lorayard_cli.composing import UNSAID, AdapterOptions
from lorayard_cli.connection import client
from lorayard_cli.moments import moment, read_moment, shown
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.prompts import read_prompt, read_schema
from lorayard_cli.registry_changes import UNSIGNED, Signature


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When it is due, and what then becomes of it."""

    tz: str = "UTC"
    """Time zone of the expression, as Europe/Zurich."""
    overlap: Literal["skip", "queue", "replace"] = "skip"
    """While an earlier one has no result: skip it, have it wait, or cancel the earlier one."""
    catch_up: Literal["none", "last", "all"] = "none"
    """Of those that passed while all was down: none, the last, or the newest --catch-up-most."""
    catch_up_most: int = 10
    """With --catch-up all."""
    start: Annotated[str | None, Parameter(validator=moment)] = None
    """Nothing is due before: 2026-12-01T07:00+01:00, or unix seconds."""
    end: Annotated[str | None, Parameter(validator=moment)] = None
    """Nothing is due after."""
    jitter: float = 0.0
    """Each comes up to so many seconds later."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What each of its jobs asks for."""

    lane: Literal["urgent", "high", "normal", "bulk"] = "normal"
    """How urgent it is."""
    deadline: float | None = None
    """It expires when it has no answer so many seconds after it was due."""
    max_new_tokens: int = 256
    """Length of the answer at most."""
    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that make up this share."""
    seed: int | None = None
    """Makes drawing repeatable."""
    json_schema: Path | None = None
    """The answer is JSON that fits the schema in this file."""
    template: Literal["adapter", "none"] = "adapter"
    """adapter puts the prompt into the form the adapter was trained on; none sends it as it is."""


DUE = When()
USUAL = What()


async def add(
    name: str,
    *,
    cron: str,
    prompt: str | None = None,
    prompt_file: Path | None = None,
    replace: Annotated[bool, Parameter(negative="")] = False,
    when: When = DUE,
    adapters: AdapterOptions = UNSAID,
    what: What = USUAL,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Have a job come whenever a cron expression is due.

    Parameters
    ----------
    name
        Begins the ids of its jobs.
    cron
        Minute, hour, day of month, month, day of week: "0 7 * * 1-5"; or @hourly, @daily, @weekly, @monthly.
    prompt
        The text; - reads standard input.
    prompt_file
        Read the prompt from this file.
    replace
        Write over a schedule of that name.
    """
    text = read_prompt(prompt, prompt_file)
    async with client(yard, actor=signature.by) as connected:
        await connected.schedules.add(
            name,
            text,
            cron=cron,
            reason=signature.why,
            replacing=replace,
            tz=when.tz,
            overlap=when.overlap,
            catch_up=when.catch_up,
            catch_up_most=when.catch_up_most,
            start=None if when.start is None else read_moment(when.start),
            end=None if when.end is None else read_moment(when.end),
            jitter_seconds=when.jitter,
            adapter=adapters.single,
            composition=adapters.composition,
            lane=what.lane,
            deadline_seconds=what.deadline,
            max_new_tokens=what.max_new_tokens,
            temperature=what.temperature,
            top_p=what.top_p,
            seed=what.seed,
            json_schema=None if what.json_schema is None else read_schema(what.json_schema),
            template=what.template,
        )
        view = await connected.schedules.get(name)
    if output.json:
        print_json(_document(view))
    else:
        print_text(f"schedule {name} is due next at {_local(view)}")


async def ls(*, tenant: str | None = None, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the schedules, and when each is due next.

    Parameters
    ----------
    tenant
        Only those of this tenant; else of all.
    """
    async with client(yard, tenant=tenant) as connected:
        found = await connected.schedules.list(all_tenants=tenant is None)
    if output.json:
        print_json({"schedules": [_document(view) for view in found]})
        return
    if not found:
        whose = "" if tenant is None else f" of tenant {tenant}"
        note(f"there is no schedule{whose}; `lorayard schedules add` makes one")
        return
    listed = table("schedule", "tenant", "cron", "next", "adapter", "last", "missed", right=("missed",))
    for view in found:
        plan = view.schedule
        last = view.state.runs[-1] if view.state.runs else None
        cells = (plan.adapter or "-", "-" if last is None else _ended(last), str(view.state.missed))
        listed.add_row(*map(plain, (plan.name, plan.tenant, f"{plan.cron} {plan.tz}", _local(view), *cells)))
    out().print(listed)


async def show(name: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show a schedule: what it asks for, who wrote it, and when it is due.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard) as connected:
        view = await connected.schedules.get(name)
    if output.json:
        print_json(_document(view))
        return
    plan = view.schedule
    lines = {
        "cron": f"{plan.cron} in {plan.tz}",
        "next": ", ".join(shown(at) for at in view.upcoming) + " UTC" if view.upcoming else _local(view),
        "jobs": f"lane {plan.lane.value}, adapter {plan.adapter or 'chosen by the yard'}",
        "prompt": (plan.job.prompt or f"{len(plan.job.messages or ())} messages")[:200],
        "overlap": plan.overlap.value,
        "catch up": f"{plan.catch_up.value}; {view.state.missed} missed so far",
        "changed": f"{shown(plan.at)} by {plan.by or '-'}, revision {plan.revision}",
        "why": plan.why or "-",
    }
    for what, told in lines.items():
        out().print(f"[bold]{what:<9}[/] {plain(told)}")


async def rm(
    name: str, *, signature: Signature = UNSIGNED, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Take a schedule away; its jobs that are due already run on.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard, actor=signature.by) as connected:
        await connected.schedules.remove(name, reason=signature.why)
    _told({"removed": name}, f"schedule {name} is removed", output)


async def pause(
    name: str, *, signature: Signature = UNSIGNED, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Have nothing of a schedule come due until it is resumed.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard, actor=signature.by) as connected:
        await connected.schedules.pause(name, reason=signature.why)
    _told({"paused": name}, f"schedule {name} is paused", output)


async def resume(
    name: str, *, signature: Signature = UNSIGNED, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Let a schedule go on; what it was paused over is not made up.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard, actor=signature.by) as connected:
        await connected.schedules.resume(name, reason=signature.why)
        view = await connected.schedules.get(name)
    _told({"resumed": name}, f"schedule {name} is due next at {_local(view)}", output)


async def run_now(name: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Submit its job once more, now, whatever else of it runs.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard) as connected:
        handle = await connected.schedules.run_now(name)
    if output.json:
        print_json({"job": handle.id})
        return
    print_text(handle.id)
    note(f"queued; its answer: lorayard result {handle.id} --wait")


async def history(name: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show its last occurrences, the oldest first, and what became of them.

    Parameters
    ----------
    name
        The schedule.
    """
    async with client(yard) as connected:
        runs = await connected.schedules.history(name)
    if output.json:
        print_json({"schedule": name, "runs": [run.model_dump(mode="json") for run in runs]})
        return
    if not runs:
        note("it was not due yet")
        return
    listed = table("due", "how", "became", "finished", "job")
    for run in runs:
        finished = "-" if run.finished_at is None else shown(run.finished_at)
        cells = (shown(run.at), run.how.replace("_", " "), _ended(run), finished, run.job)
        listed.add_row(*map(plain, cells))
    out().print(listed)


def _ended(run: ScheduledRun) -> str:
    if run.state is None:
        return "no result yet"
    return run.state.value if run.code is None else f"{run.state.value}: {run.code}"


def _local(view: ScheduleView) -> str:
    if view.schedule.paused:
        return "paused"
    if not view.upcoming:
        return "never again"
    return datetime.fromtimestamp(view.upcoming[0], ZoneInfo(view.schedule.tz)).strftime("%Y-%m-%d %H:%M %Z")


def _document(view: ScheduleView) -> dict[str, object]:
    return {
        **view.schedule.model_dump(mode="json", exclude_none=True),
        "upcoming": view.upcoming,
        "ahead": None if view.state.ahead is None else view.state.ahead.model_dump(mode="json"),
        "missed": view.state.missed,
    }


def _told(document: dict[str, str], text: str, output: Output) -> None:
    if output.json:
        print_json(document)
    else:
        print_text(text)
