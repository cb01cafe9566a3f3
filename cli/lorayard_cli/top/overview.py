"""The first tab's text: what is wrong, how much goes on, and how it went over the last minutes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.text import Text

from lorayard_cli.top.amounts import UNKNOWN, age, count, rate, share
from lorayard_cli.top.columns import clean, fit
from lorayard_cli.top.history import CURVES, Curve, History, spark
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import Overview, Trouble, TroubleLevel, WaitRow, YardSnapshot

TITLE, VALUE, LANES, PEAK = 9, 8, 18, 12
"""Columns of the parts beside the curves."""

ROOMY = 20
"""Lines from which on blank ones keep the parts apart."""

_STYLES = {TroubleLevel.CRITICAL: "bold red", TroubleLevel.WARNING: "yellow"}
_WORDS = {TroubleLevel.CRITICAL: "CRITICAL", TroubleLevel.WARNING: "warning"}


def overview_text(snapshot: YardSnapshot, history: History, width: int, height: int) -> Text:
    """All of it, in so many columns; troubles are cut so that the rest has room in so many lines."""
    airy = [Text("")] if height >= ROOMY else []
    numbers = [*_curves(snapshot.overview, history, width), *airy, *_summary(snapshot, width), *airy]
    troubles = trouble_lines(snapshot.troubles, width, max(2, height - len(numbers) - 1))
    return Text("\n").join([*troubles, Text(""), *numbers])


def trouble_lines(troubles: Sequence[Trouble], width: int, most: int) -> list[Text]:
    """What is wrong, the worst first, each with its mend; in at most so many lines."""
    if not troubles:
        return [Text("All is well: nothing that a yard can see of itself is wrong.", style="green")]
    lines: list[Text] = []
    for number, trouble in enumerate(troubles):
        block = _trouble(trouble, width)
        left = len(troubles) - number
        if lines and len(lines) + len(block) + (1 if left > 1 else 0) > most:
            return [*lines, Text(f"and {left} more: Enter shows all", style="bold")]
        lines += block
    return lines


def _trouble(trouble: Trouble, width: int) -> list[Text]:
    style = _STYLES[trouble.level]
    head = f"{_WORDS[trouble.level]}: {clean(trouble.text)}"
    lines = [Text(line, style=style) for line in textwrap.wrap(head, width, subsequent_indent="  ")]
    if trouble.mend:
        mend = textwrap.wrap(clean(trouble.mend), width, initial_indent="  mend: ", subsequent_indent="  ")
        lines += [Text(line) for line in mend]
    return lines


def _curves(overview: Overview, history: History, width: int) -> list[Text]:
    drawn = max(8, width - TITLE - VALUE - LANES - PEAK - 4)
    lanes = [(lane.value, overview.by_lane.get(lane, 0)) for lane in Lane]
    beside = [*lanes, ("delayed", overview.delayed)]
    return [
        _curve(curve, overview, history.points(curve, drawn), *lane)
        for curve, lane in zip(CURVES, beside, strict=True)
    ]


def _curve(curve: Curve, overview: Overview, points: Sequence[float | None], lane: str, jobs: int) -> Text:
    known = [point for point in points if point is not None]
    line = Text(f"{curve.title:<{TITLE}}")
    line.append(f"{_said(curve, curve.value(overview)):>{VALUE}}", style="bold")
    line.append(f" {spark(points)} ", style="cyan")
    peak = f"peak {_said(curve, max(known))}" if known else ""
    line.append(f"{peak:<{PEAK}}", style="dim")
    line.append(f"  {lane:<8}")
    line.append(f"{count(jobs):>8}", style="bold" if jobs else "dim")
    return line


def _said(curve: Curve, value: float | None) -> str:
    if curve.title == "hit rate":
        return share(value)
    if curve.title == "waiting":
        return UNKNOWN if value is None else count(round(value))
    return rate(value)


def _summary(snapshot: YardSnapshot, width: int) -> list[Text]:
    overview = snapshot.overview
    lost = f" ({overview.workers_lost} lost)" if overview.workers_lost else ""
    parts = [
        f"{_counted(overview.workers, 'worker')}{lost}",
        _counted(overview.dispatchers, "dispatcher"),
        _counted(overview.adapters, "adapter"),
        _counted(overview.dead_letters, "dead letter"),
        f"{count(overview.at_workers)} at workers",
    ]
    waits = f"oldest {age(overview.oldest_seconds)} · waiting for: {waiting_for(snapshot.waits)}"
    return [Text(fit(line, width).rstrip()) for line in (" · ".join(parts), waits)]


def waiting_for(waits: Sequence[WaitRow]) -> str:
    """`rows busy 120, struck 4`: what those wait for that a dispatcher has."""
    by_reason: dict[str, int] = {}
    for wait in waits:
        reason = wait.reason.replace("_", " ") or "not told"
        by_reason[reason] = by_reason.get(reason, 0) + wait.jobs
    most_first = sorted(by_reason.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{reason} {count(jobs)}" for reason, jobs in most_first) or "nothing"


def _counted(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
