"""What a dispatcher tells of itself, as the lines of `lorayard status`."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_cli.embedded.liveness import dispatchers_line
from lorayard_cli.output import counted, folded, plain
from lorayard_schemas.semantic import SemanticStatus
from lorayard_schemas.status import DispatcherStatus

_HEAD_COLUMNS = 12
"""Before what a line says of its word."""


def dispatcher_lines(status: DispatcherStatus) -> Iterator[str]:
    """Lines with console markup; only the first is always there."""
    parked = sum(group.jobs for group in status.parked)
    yield (
        f"[bold]dispatcher[/]  {plain(status.dispatcher)}: {parked} waiting for room, "
        f"{status.handed_over} handed over ({status.warm} warm, {status.cold} cold)"
    )
    if len(status.dispatchers) > 1 or not status.seats:
        yield f"[bold]dispatchers[/] {plain(dispatchers_line(status))}"
    if status.placements:
        kept = f"{status.placements_kept} of {counted(status.placements, 'adapter')} where they should be"
        named = ", ".join(status.misplaced)
        yield f"[bold]placement[/]   {kept}" + (f"; not yet {plain(named)}" if named else "")
    if status.sessions:
        turns = status.session_turns_kept + status.session_turns_moved
        kept = f"{status.session_turns_kept} of {turns} further turns went where the one before ran"
        yield f"[bold]sessions[/]    {status.sessions} in memory; {kept}"
    yield from _limits(status)
    if status.semantic is not None:
        yield from _semantic(status.semantic)
    back = {"struck": status.struck, "paused": status.paused, "capped": status.capped}
    if any(back.values()):
        counts = ", ".join(f"{count} {word}" for word, count in back.items() if count)
        yield f"[bold]held back[/]   {counts}"
    yield from _trouble(status)


def _limits(status: DispatcherStatus) -> Iterator[str]:
    if status.limits:
        told = f"{status.limits_refused} refused, {status.limits_waiting} waiting for a rate"
        tight = f"; used up: {plain(', '.join(status.limits_tight))}" if status.limits_tight else ""
        yield f"[bold]limits[/]      {told}{tight}"
    if status.shed_hopeless or status.shed_by_lane:
        yield (
            f"[bold]shed[/]        {status.shed_hopeless} beyond their deadlines, "
            f"{status.shed_by_lane} from lanes that were too long"
        )


def _semantic(told: SemanticStatus) -> Iterator[str]:
    if told.revision:
        yield (
            f"[bold]semantic[/]    revision {told.revision}, {counted(told.labels, 'adapter')}: "
            f"{told.decided} decided, {told.abstained} abstained, "
            f"{told.cost_p50_us:.0f} us each (p99 {told.cost_p99_us:.0f})"
        )
    if told.trouble:
        head = " " * _HEAD_COLUMNS
        for number, line in enumerate(folded(head + told.trouble, indent=_HEAD_COLUMNS)):
            start = head if number else "[bold]semantic[/]    "
            yield f"{start}[yellow]{plain(line.strip())}[/]"


def _trouble(status: DispatcherStatus) -> Iterator[str]:
    if status.blind:
        yield (
            f"[bold]fleet[/]       [yellow]out of sight[/]: {status.stale} of "
            f"{len(status.workers)} workers not heard for 1.5 s; jobs go by hash"
        )
    if status.failures:
        yield (
            f"[bold]trouble[/]     [red]{status.failures} of its tasks failed[/]; "
            "its log has each as loop_failed"
        )
    if status.missing:
        gone = plain(", ".join(status.missing))
        yield f"[bold]missing[/]     [red]{gone}[/]; `lorayard doctor --mend` declares them again"
