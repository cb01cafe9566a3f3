"""Everything that is shown at one moment: a value, so that screens are functions of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard import Letter
from lorayard_cli.top.listed_job import ListedJob
from lorayard_schemas.snapshot import YardSnapshot


class Tab(StrEnum):
    """The tabs, in their order."""

    OVERVIEW = "overview"
    QUEUES = "queues"
    ADAPTERS = "adapters"
    WORKERS = "workers"
    JOBS = "jobs"
    DEAD = "dead"
    BATCHES = "batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The yard as it was last read."""

    snapshot: YardSnapshot
    jobs: tuple[ListedJob, ...] | None = None
    """Those of the chosen queue, where one is; None: not read yet."""
    letters: tuple[Letter, ...] | None = None
    """None: not read yet."""
