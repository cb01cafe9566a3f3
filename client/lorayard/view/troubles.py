"""What is wrong with a yard, in sentences, with what mends it.

Each code has a section in docs/runbook.md. Nothing is asked here: the same state gives the same sentences.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from lorayard.view.fleet_troubles import fleet_troubles
from lorayard.view.yard_state import ConsumerState, YardState
from lorayard_schemas.control import Controlled, Pause, told
from lorayard_schemas.job import Lane
from lorayard_schemas.names import split_version
from lorayard_schemas.snapshot import Trouble, TroubleLevel
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.strike import Strike
from lorayard_schemas.subjects import JobAddress

DEAF_SECONDS = 2.0
"""A consumer from which nobody pulls though jobs wait: a dispatcher pulls again every 1.5 s."""

STANDS_SECONDS = 300.0
"""The oldest job of a lane that is not for bulk work, as the alert has it."""

SKEW_SECONDS = 2.0
"""Between two clocks: deadlines and ages are wrong by as much."""

NEARLY_FULL, FULL = 0.8, 0.95
"""Of what a stream may hold."""

MOST_NAMED = 5
"""Things of one kind in a sentence."""

CRITICAL, WARNING = TroubleLevel.CRITICAL, TroubleLevel.WARNING


def troubles(state: YardState) -> tuple[Trouble, ...]:
    """The worst first."""
    found = [
        *_bus(state),
        *_dispatchers(state),
        *fleet_troubles(state),
        *_hosts(state),
        *_consumers(state),
        *_waiting(state),
        *_held(state),
        *_records(state),
    ]
    return tuple(sorted(found, key=lambda one: one.level is not CRITICAL))


def _bus(state: YardState) -> Iterator[Trouble]:
    if state.missing:
        yield Trouble(
            level=CRITICAL,
            code="stream_missing",
            text=f"not on the server: {_named(state.missing)}",
            mend="lorayard doctor --mend",
            about=state.missing[0],
        )
    for stream in state.streams:
        if stream.most_bytes is None or not stream.refuses:
            continue
        share = stream.bytes / stream.most_bytes
        if share >= NEARLY_FULL:
            yield Trouble(
                level=CRITICAL if share >= FULL else WARNING,
                code="stream_full",
                text=f"stream {stream.name} is {100 * share:.0f} % full; a full one refuses what comes",
                mend="add workers (lorayard workers add 1), or raise its bytes and: lorayard doctor --mend",
                about=stream.name,
            )
    skew = state.own_now - state.now
    if abs(skew) > SKEW_SECONDS:
        yield Trouble(
            level=WARNING,
            code="clock_skew",
            text=f"the clock of who tells this is {abs(skew):.0f} s {_ahead(skew)} the server's",
            mend="let NTP set both clocks",
        )


def _ahead(skew: float) -> str:
    return "ahead of" if skew > 0 else "behind"


def _dispatchers(state: YardState) -> Iterator[Trouble]:
    if not state.living:
        waits = f"; {state.depth.unfinished} jobs wait" if state.depth.unfinished else ""
        yield Trouble(
            level=CRITICAL,
            code="no_dispatcher",
            text=f"no dispatcher is alive: nobody plans{waits}",
            mend="lorayard dispatcher",
        )
        return
    if vacant := sorted(set(range(state.partitions)) - state.seats):
        yield Trouble(
            level=CRITICAL,
            code="partition_vacant",
            text=f"no dispatcher is active for partition {_named(map(str, vacant))}",
            mend="one takes it within 3 s; else lorayard dispatcher, with the same LORAYARD_PARTITIONS",
            about=str(vacant[0]),
        )
    for name in state.silent_dispatchers:
        yield Trouble(
            level=WARNING,
            code="dispatcher_silent",
            text=f"dispatcher {name} says that it lives, and does not answer",
            mend="look at its log and at the load of its machine; end it if it stays: another takes over",
            about=name,
        )
    for status in state.dispatchers:
        yield from _of_dispatcher(status)


def _of_dispatcher(status: DispatcherStatus) -> Iterator[Trouble]:
    if status.blind:
        yield Trouble(
            level=WARNING,
            code="dispatcher_blind",
            text=f"dispatcher {status.dispatcher} does not hear {status.stale} of {len(status.workers)} "
            "workers: jobs go by hash",
            mend="look at the bus and at the load of the workers' machines",
            about=status.dispatcher,
        )
    if status.faults:
        yield Trouble(
            level=WARNING,
            code="dispatcher_deaf",
            text=f"dispatcher {status.dispatcher}: {'; '.join(status.faults[:MOST_NAMED])}",
            mend="it asks anew by itself, within 3 s; if it stays: look at the bus, then end it",
            about=status.dispatcher,
        )
    if status.failures:
        yield Trouble(
            level=WARNING,
            code="dispatcher_failures",
            text=f"{status.failures} tasks of dispatcher {status.dispatcher} have failed since its start",
            mend="its log has each as loop_failed",
            about=status.dispatcher,
        )


def _hosts(state: YardState) -> Iterator[Trouble]:
    for name in state.silent_hosts:
        yield Trouble(
            level=WARNING,
            code="host_silent",
            text=f"{name} has stopped answering",
            mend="look at its log and its machine; one that hangs has to be ended and started again",
            about=name,
        )
    for report in state.unready_hosts:
        yield Trouble(
            level=WARNING,
            code="host_deaf",
            text=f"{report.process}: {'; '.join(report.missing[:MOST_NAMED])}",
            mend="it asks anew by itself, within 2 s; if it stays: look at the bus, then end it",
            about=report.process,
        )


def _consumers(state: YardState) -> Iterator[Trouble]:
    if not state.living:
        return  # nobody plans, which is told
    # Each lane has a window of its own; what is kept back, of whatever lane, takes room from all.
    kept = sum(group.jobs for status in state.dispatchers for group in status.held)
    paused = {one.name for one in state.pauses if one.kind is Controlled.LANE}
    for one in state.consumers:
        if one.unacked + kept >= state.window or _lane(one) in paused:
            continue  # a dispatcher holds as much of it as it may, or shall not pull
        if one.quiet_seconds >= DEAF_SECONDS:
            yield Trouble(
                level=CRITICAL,
                code="consumer_deaf",
                text=f"{one.pending} jobs wait at {one.name}, and nobody has pulled from it for "
                f"{one.quiet_seconds:.0f} s",
                mend="restart the dispatcher that has the seat; another takes over within 3 s",
                about=one.name,
            )


def _lane(one: ConsumerState) -> str:
    return one.name.removeprefix("dispatch-").partition("-")[0]


def _waiting(state: YardState) -> Iterator[Trouble]:
    held = {one.name for one in state.pauses if one.kind is Controlled.LANE}
    for lane, at in sorted(state.lane_ages.items()):
        age = state.now - at
        if lane is not Lane.BULK and lane not in held and age > STANDS_SECONDS:
            yield Trouble(
                level=WARNING,
                code="queue_stands",
                text=f"the oldest job of lane {lane} has waited for {age / 60:.0f} minutes",
                mend="lorayard explain JOB says why; lorayard control ls and strikes ls, what is held",
                about=lane,
            )


def _held(state: YardState) -> Iterator[Trouble]:
    jobs = state.depth.jobs
    for pause in state.pauses:
        if waits := sum(count for address, count in jobs.items() if _is_paused(pause, address)):
            yield Trouble(
                level=WARNING,
                code="paused_waiting",
                text=f"{pause.word}: {told(pause)}; {waits} unfinished jobs name it",
                mend=f"when that is over: lorayard {pause.kind}s resume {shlex.quote(pause.name)}",
                about=pause.name,
            )
    for strike in state.strikes:
        if waits := sum(count for address, count in jobs.items() if _is_struck(strike, address)):
            yield Trouble(
                level=WARNING,
                code="struck_waiting",
                text=f"struck: {told(strike)}; {waits} unfinished jobs name it",
                mend=f"when the fault is mended: lorayard strikes lift {_options(strike)}",
                about=strike.label,
            )


def _is_paused(pause: Pause, address: JobAddress) -> bool:
    match pause.kind:
        case Controlled.LANE:
            return pause.name == address.lane
        case Controlled.TENANT:
            return pause.name == address.tenant
        case Controlled.ADAPTER:
            return _same(pause.name, address.adapter)
        case Controlled.WORKER:
            return False


def _is_struck(strike: Strike, address: JobAddress) -> bool:
    if strike.tenant not in (None, address.tenant):
        return False
    return strike.adapter is None or _same(strike.adapter, address.adapter)


def _options(strike: Strike) -> str:
    """What is struck, for a shell: names are whatever a publisher calls its tenant."""
    given = {"--adapter": strike.adapter, "--tenant": strike.tenant}
    return " ".join(f"{name} {shlex.quote(value)}" for name, value in given.items() if value is not None)


def _same(held: str, named: str | None) -> bool:
    """Whether jobs that name one may be held with the other: of versions, only the dispatcher knows."""
    name, version = split_version(held)
    asked, of = split_version(named or "")
    return name == asked and (version is None or of in (None, version))


def _records(state: YardState) -> Iterator[Trouble]:
    if state.dead_before is not None and state.depth.dead > state.dead_before:
        new = state.depth.dead - state.dead_before
        yield Trouble(
            level=WARNING,
            code="dead_letters",
            text=f"{new} more dead letters within {state.dead_seconds / 60:.0f} minutes, "
            f"{state.depth.dead} in all",
            mend="lorayard dead ls says why; lorayard dead redrive sends one again",
        )
    for place, why in list(state.unreadable.items())[:MOST_NAMED]:
        yield Trouble(
            level=WARNING,
            code="record_unreadable",
            text=f"{place} cannot be read: {why}",
            mend="stop what writes there, or write it again with this version of lorayard",
            about=place,
        )


def _named(names: Iterable[str]) -> str:
    """The first few."""
    known = list(names)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return ", ".join(known[:MOST_NAMED]) + more
