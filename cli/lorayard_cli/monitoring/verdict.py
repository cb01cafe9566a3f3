"""What a monitoring system is told: one word, one line, and numbers it may draw.

The words, exit codes and the form of the line are those of Nagios' plugins, which Icinga, Zabbix, Checkmk,
Sensu and others read as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from lorayard_schemas.snapshot import QueueRow, TroubleLevel, YardSnapshot

SHOWN = 4
"""Things named in a line; pagers cut it."""


class Status(IntEnum):
    """The exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    """Nobody could be asked: it may be well."""


_BADNESS = {Status.OK: 0, Status.UNKNOWN: 1, Status.WARNING: 2, Status.CRITICAL: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """From which number on it is bad; None: never."""

    warn: float | None = None
    crit: float | None = None

    def judge(self, found: float) -> Status:
        """Of a number that should be small."""
        if self.crit is not None and found >= self.crit:
            return Status.CRITICAL
        return Status.WARNING if self.warn is not None and found >= self.warn else Status.OK


NONE = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number to draw."""

    name: str
    number: float
    unit: str = ""
    """`s`, `B`, `%` or none."""
    bounds: Bounds = NONE

    def __str__(self) -> str:
        """As plugins write it: `'label'=value[unit];warn;crit;min`."""
        warn, crit = (_number(bound) for bound in (self.bounds.warn, self.bounds.crit))
        return f"'{_plain(self.name)}'={_number(self.number)}{self.unit};{warn};{crit};0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one thing is."""

    check: str
    status: Status
    text: str
    figures: tuple[Figure, ...] = ()

    @property
    def line(self) -> str:
        """All of it, in one."""
        said = f"LORAYARD {self.check.upper()} {self.status.name} - {_plain(self.text)}"
        return f"{said} | {' '.join(map(str, self.figures))}" if self.figures else said

    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "check": self.check,
            "status": self.status.name.lower(),
            "exit_code": int(self.status),
            "text": self.text,
            "figures": {one.name: one.number for one in self.figures},
        }


def worst(statuses: Iterable[Status]) -> Status:
    """Of several: what is known to be bad counts more than what is not known."""
    return max(statuses, key=lambda status: _BADNESS[status], default=Status.OK)


def together(check: str, verdicts: Iterable[Verdict]) -> Verdict:
    """Several as one, the worst first."""
    found = sorted(verdicts, key=lambda one: -_BADNESS[one.status])
    bad = [one for one in found if one.status is not Status.OK]
    text = "; ".join(f"{one.check}: {one.text}" for one in bad) or f"{len(found)} checks are well"
    return Verdict(
        check=check,
        status=worst(one.status for one in found),
        text=text,
        figures=tuple(figure for one in found for figure in one.figures),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Queues that are meant: those that fit all that is given; nothing: the whole yard."""

    adapter: str | None = None
    """In any version, or this one."""
    lane: str | None = None
    tenant: str | None = None

    def __str__(self) -> str:
        """For people."""
        return ", ".join(part for part in (self.adapter, self.lane, self.tenant) if part is not None)

    def rows(self, yard: YardSnapshot) -> list[QueueRow]:
        """Those of a snapshot."""
        return [row for row in yard.queues if self._has(row)]

    def unaged(self, yard: YardSnapshot) -> int:
        """How many of them nobody has asked for the age of their oldest job: a look asks some, in turn."""
        return sum(row.oldest_seconds is None for row in self.rows(yard)) if self != WHOLE else 0

    def _has(self, row: QueueRow) -> bool:
        named = row.adapter or ""
        return (
            self.adapter in (None, named, named.partition("@")[0])
            and self.lane in (None, row.lane)
            and self.tenant in (None, row.tenant)
        )


WHOLE = Part()


def judge_queue(yard: YardSnapshot, *, age: Bounds, depth: Bounds, part: Part = WHOLE) -> Verdict:
    """How many jobs wait, and for how long the oldest has: of the whole yard, or of a part of it."""
    rows, whole = part.rows(yard), part == WHOLE
    unknown = 0 if whole else part.unaged(yard) + yard.queues_left_out
    jobs = yard.overview.unfinished if whole else sum(row.jobs for row in rows)
    ages = [row.oldest_seconds for row in rows if row.oldest_seconds is not None]
    oldest = (yard.overview.oldest_seconds or 0.0) if whole else max(ages, default=0.0)
    text = f"{jobs} jobs{'' if whole else f' of {part}'}, the oldest for {oldest:.0f} s"
    if unknown:
        text += f"; queues not known: {unknown}"
    if yard.pauses:
        text += f"; paused: {_some(pause.label for pause in yard.pauses)}"
    return Verdict(
        check="queue",
        status=worst((age.judge(oldest), depth.judge(jobs), Status.UNKNOWN if unknown else Status.OK)),
        text=text,
        figures=(
            Figure(name="jobs", number=jobs, bounds=depth),
            Figure(name="oldest", number=round(oldest, 1), unit="s", bounds=age),
        ),
    )


def judge_workers(yard: YardSnapshot, *, warn: int, crit: int) -> Verdict:
    """Whether there are enough; `warn` and `crit` are how few are too few."""
    alive = yard.overview.workers
    lost = [row.worker for row in yard.workers if row.lost]
    ill = [f"{row.worker}: {row.trouble}" for row in yard.workers if row.trouble]
    alone = [row.worker for row in yard.workers if row.emergency and not row.lost]
    status = Status.CRITICAL if alive <= crit else Status.WARNING if alive <= warn else Status.OK
    if lost or ill or alone:
        status = worst((status, Status.WARNING))
    text = f"{alive} alive"
    for word, names in (("lost", lost), ("in trouble", ill), ("without a dispatcher", alone)):
        text += f"; {word}: {_some(names)}" if names else ""
    return Verdict(
        check="workers",
        status=status,
        text=text,
        figures=(
            Figure(name="workers", number=alive),
            Figure(name="lost", number=len(lost)),
            Figure(name="rows", number=sum(row.rows_running for row in yard.workers if not row.lost)),
        ),
    )


def judge_adapters(yard: YardSnapshot, *, errors: Bounds, adapter: str | None = None) -> Verdict:
    """Whether those that serve can: none struck, refused by workers, or failing; or whether one does."""
    rows = [row for row in yard.adapters if adapter in (None, row.name, f"{row.name}@{row.version}")]
    active = [row for row in rows if row.state == "active"]
    struck = [f"{row.name}@{row.version}" for row in active if row.struck]
    refused = [f"{row.name}@{row.version}" for row in active if row.refused_by]
    failing = {
        f"{row.name}@{row.version}": row.traffic.errors
        for row in active
        if row.traffic is not None and errors.judge(row.traffic.errors) is not Status.OK
    }
    status = worst(errors.judge(share) for share in failing.values())
    if struck or refused:
        status = worst((status, Status.WARNING))
    text = f"{len(active)} active"
    if adapter is not None and not active:
        status, text = Status.CRITICAL, f"no version of {adapter} is active"
    for word, names in (("struck", struck), ("refused by workers", refused), ("failing", list(failing))):
        text += f"; {word}: {_some(names)}" if names else ""
    return Verdict(
        check="adapters",
        status=status,
        text=text,
        figures=(
            Figure(name="active", number=len(active)),
            Figure(name="struck", number=len(struck)),
            Figure(name="refused", number=len(refused)),
        ),
    )


def judge_dead(yard: YardSnapshot, bounds: Bounds) -> Verdict:
    """How many dead letters lie there."""
    count = yard.overview.dead_letters
    return Verdict(
        check="dead",
        status=bounds.judge(count),
        text=f"{count} dead letters" + ("; lorayard dead ls says why" if count else ""),
        figures=(Figure(name="dead", number=count, bounds=bounds),),
    )


def judge_shares(shares: Mapping[str, float], bounds: Bounds) -> Verdict:
    """How full things are, in percent."""
    full = {name: share for name, share in shares.items() if bounds.judge(share) is not Status.OK}
    most = max(shares, key=lambda name: shares[name], default=None)
    told = [f"{name} {share:.0f} %" for name, share in sorted(full.items(), key=lambda pair: -pair[1])]
    well = f"{most} is the fullest, {shares[most]:.0f} %" if most is not None else "nothing has a limit"
    return Verdict(
        check="disk",
        status=worst(bounds.judge(share) for share in shares.values()),
        text=_some(told) if told else well,
        figures=tuple(
            Figure(name=name, number=round(share, 1), unit="%", bounds=bounds)
            for name, share in shares.items()
        ),
    )


def judge_troubles(yard: YardSnapshot) -> Verdict:
    """What the yard's own view calls wrong."""
    levels = {TroubleLevel.WARNING: Status.WARNING, TroubleLevel.CRITICAL: Status.CRITICAL}
    return Verdict(
        check="troubles",
        status=worst(levels[trouble.level] for trouble in yard.troubles),
        text=_some(trouble.text for trouble in yard.troubles) if yard.troubles else "none",
        figures=(Figure(name="troubles", number=len(yard.troubles)),),
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _plain(text: str) -> str:
    """Without what has a meaning in such a line."""
    return " ".join(text.replace("|", "/").replace("'", "").split())
