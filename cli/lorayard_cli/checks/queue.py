"""Does the work move: who pulls, whether results come, whether what is scheduled comes due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lorayard import Client
from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_schemas.codec import decode
from lorayard_schemas.control import Controlled
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.schedule import PLANS, STATES, Schedule, ScheduleState
from lorayard_shared.bus.connection import Bus, JsonMap
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.bus.topology import CHECK_DELAYED, ConsumerDeclaration, topology

LOOKS = 4
LOOK_SECONDS = 0.4
"""Between two looks at a consumer: a puller that has just been served asks again at once."""

STANDS_SECONDS = 60.0
STUCK_SECONDS = 300.0
"""Since the last result was stored, while jobs wait for as long; the alert fires then, too."""

LATE_SECONDS = 30.0
"""An occurrence that was due so long ago, and still lies ahead."""

SHOWN = 5


async def check_consumers(bus: Bus, client: Client) -> AsyncIterator[Finding]:
    """Of each consumer with something to give: whether anybody takes it."""
    pauses = (await client.control.list()).pauses
    held = {pause.name for pause in pauses if pause.kind is Controlled.LANE}
    wanted = [
        one
        for one in topology(bus.settings).consumers
        if one.name != CHECK_DELAYED and (one.lane is None or one.lane.value not in held)
    ]
    before = await _states(bus, wanted)
    suspects = [name for name, state in before.items() if state.may_be_deaf]
    for _ in range(LOOKS):
        if not suspects:
            break
        await asyncio.sleep(LOOK_SECONDS)
        now = await _states(bus, [one for one in wanted if one.name in suspects])
        suspects = [
            name for name, state in now.items() if state.may_be_deaf and state.given == before[name].given
        ]
    for name in suspects:
        yield fail(
            "consumers",
            f"nobody pulls from {name}, where {before[name].pending} jobs wait",
            "start a dispatcher (lorayard dispatcher); if one is active, its log says why it is deaf",
        )
    if not suspects:
        waiting = sum(state.pending for state in before.values())
        yield ok("consumers", f"{len(before)}, {waiting} jobs not given out yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Consumer:
    """What the server says of one."""

    pending: int
    given: int
    may_be_deaf: bool


async def _states(bus: Bus, wanted: Iterable[ConsumerDeclaration]) -> dict[str, _Consumer]:
    asked = list(wanted)
    told = await asyncio.gather(*(bus.api(f"CONSUMER.INFO.{one.stream}.{one.name}") for one in asked))
    return {one.name: _read(info) for one, info in zip(asked, told, strict=True)}


def _read(info: JsonMap) -> _Consumer:
    pending, waiting = int(info["num_pending"]), int(info["num_waiting"])
    most = int(info["config"].get("max_ack_pending", 0))
    # Half of what may be unacknowledged fills a dispatcher's window: it waits for room, and does not pull.
    full = most > 0 and 2 * int(info["num_ack_pending"]) >= most
    return _Consumer(
        pending=pending,
        given=int(info["delivered"]["consumer_seq"]),
        may_be_deaf=pending > 0 and waiting == 0 and not full,
    )


async def check_queue(bus: Bus, client: Client) -> AsyncIterator[Finding]:
    """Whether results are stored while jobs wait."""
    jobs = await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}")
    results = await bus.api(f"STREAM.INFO.{bus.subjects.stream('results')}")
    waiting = int(jobs["state"]["messages"])
    if not waiting:
        yield ok("queue", "empty")
        return
    now = server_seconds(str(jobs["ts"]))
    oldest = now - server_seconds(str(jobs["state"]["first_ts"]))
    last = str(results["state"]["last_ts"])
    idle = oldest if last.startswith("0001") else now - server_seconds(last)  # no result was ever stored
    message = f"{waiting} jobs, the oldest for {_span(oldest)}, the last result {_span(idle)} ago"
    if min(oldest, idle) < STANDS_SECONDS:
        yield ok("queue", message)
        return
    pauses = (await client.control.list()).pauses
    names = ", ".join(pause.label for pause in pauses)
    cause = f"; {names} {'are' if ',' in names else 'is'} paused" if names else ""
    report = fail if min(oldest, idle) >= STUCK_SECONDS and not names else warn
    yield report(
        "queue",
        f"it stands still: {message}{cause}",
        "what is said of dispatcher and workers here; then lorayard explain with the id of a job that waits",
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


async def check_schedules(bus: Bus) -> AsyncIterator[Finding]:
    """Whether what is due comes, and what ran last ended well."""
    bucket = await bus.js.key_value(bus.subjects.bucket("schedules"))
    plans: dict[str, Schedule] = {}
    states: dict[str, ScheduleState] = {}
    for entry in await list_bucket(bucket):
        try:
            if entry.operation is None and entry.key.startswith(PLANS):
                plans[entry.key.removeprefix(PLANS)] = decode(Schedule, entry.value or b"")
            elif entry.operation is None and entry.key.startswith(STATES):
                states[entry.key.removeprefix(STATES)] = decode(ScheduleState, entry.value or b"")
        except MalformedMessageError:
            continue  # `records` names it
    found = list(judge_schedules(plans, states, time.time()))
    for finding in found[:SHOWN]:
        yield finding
    if len(found) > SHOWN:
        yield warn("schedules", f"{len(found) - SHOWN} more are in trouble", "lorayard schedules ls")
    if plans and not found:
        yield ok("schedules", f"{len(plans)}, none late")


def judge_schedules(
    plans: Mapping[str, Schedule], states: Mapping[str, ScheduleState], now: float
) -> Iterator[Finding]:
    """Those that are late, over, or fail every time, by their keys."""
    for key, plan in plans.items():
        if plan.paused:
            continue
        name, state = f"{plan.name} of tenant {plan.tenant}", states.get(key)
        show = f"LORAYARD_TENANT={plan.tenant} lorayard schedules show {plan.name}"
        ended = [run for run in state.runs if run.state is not None] if state is not None else []
        if plan.end is not None and plan.end < now:
            yield warn("schedules", f"{name} is over: nothing of it comes due any more", f"{show}, then rm")
        elif state is None and plan.since < now - LATE_SECONDS:
            yield warn("schedules", f"{name} was never looked at", "start a dispatcher: lorayard dispatcher")
        elif state is not None and state.ahead is not None and state.ahead.due < now - LATE_SECONDS:
            late = _span(now - state.ahead.due)
            yield warn("schedules", f"{name} is {late} late", "start a dispatcher: lorayard dispatcher")
        elif len(ended) >= 3 and all(run.state != "succeeded" for run in ended[-3:]):
            yield warn("schedules", f"{name}: its last three jobs all failed ({ended[-1].code})", show)
