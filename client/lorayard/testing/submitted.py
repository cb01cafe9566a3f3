"""What a test's clients have submitted, and the sentences about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from lorayard_schemas.job import Job, Lane

SHOWN = 20
"""Jobs that a message lists."""
SHOWN_CHARACTERS = 60
"""Of each prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """One job that the yard has taken."""

    id: str
    tenant: str
    lane: Lane
    adapter: str | None
    prompt: str
    """The whole text; of a conversation its last turn."""
    request: Job
    at: float | None
    """When it starts, unix seconds; None: at once."""

    def __str__(self) -> str:
        """One line for people."""
        text = self.prompt if len(self.prompt) <= SHOWN_CHARACTERS else f"{self.prompt[:SHOWN_CHARACTERS]}..."
        later = "" if self.at is None else ", for later"
        return f"adapter={self.adapter!r}, tenant={self.tenant!r}, lane={str(self.lane)!r}{later}: {text!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are meant: those that fit all that is not None."""

    adapter: str | None = None
    tenant: str | None = None
    lane: str | None = None
    prompt: str | None = None
    """Somewhere in the job's."""

    def fits(self, job: SubmittedJob) -> bool:
        """Whether a job is meant."""
        if self.prompt is not None and self.prompt not in job.prompt:
            return False
        names = [field.name for field in fields(self) if field.name != "prompt"]
        return all(getattr(self, name) in (None, getattr(job, name)) for name in names)

    def __str__(self) -> str:
        """As an assertion names it."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{name}={told!r}" for name, told in said.items() if told is not None) or "any job"


def check_times(jobs: Sequence[SubmittedJob], wanted: Wanted, times: int) -> list[SubmittedJob]:
    """Those that fit, if they are so many.

    Raises:
        AssertionError: they are not; it lists what was submitted.
    """
    found = [job for job in jobs if wanted.fits(job)]
    if len(found) != times:
        raise AssertionError(f"{times} submitted with {wanted} wanted, {len(found)} found\n{listing(jobs)}")
    return found


def check_none(jobs: Sequence[SubmittedJob], wanted: Wanted) -> None:
    """Raises:
    AssertionError: some fit; it lists what was submitted.
    """
    found = [job for job in jobs if wanted.fits(job)]
    if found:
        raise AssertionError(f"none submitted with {wanted} wanted, {len(found)} found\n{listing(jobs)}")


def listing(jobs: Sequence[SubmittedJob]) -> str:
    """What was submitted, a line for each."""
    if not jobs:
        return "nothing was submitted"
    left = [f"... and {len(jobs) - SHOWN} more"] if len(jobs) > SHOWN else []
    return "\n".join(["submitted:", *(f"- {job}" for job in jobs[:SHOWN]), *left])
