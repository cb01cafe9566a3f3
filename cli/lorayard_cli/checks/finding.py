"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """The yard runs, but not as it should."""
    FAIL = "fail"
    """Something will not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, and what mends it."""

    check: str
    level: Level
    message: str
    mend: str | None = None


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Level.OK, message=message)


def warn(check: str, message: str, mend: str) -> Finding:
    """Not as it should be."""
    return Finding(check=check, level=Level.WARN, message=message, mend=mend)


def fail(check: str, message: str, mend: str) -> Finding:
    """Will not work."""
    return Finding(check=check, level=Level.FAIL, message=message, mend=mend)


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.level is not Level.FAIL for finding in findings)
