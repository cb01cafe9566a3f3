"""How a batch is run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lorayard.batch.line import MAX_LINE_BYTES
from lorayard.batch.writer import Fsync
from lorayard.request import LaneName

WINDOW_LINES = 4096
"""Read ahead and sent adapter by adapter: with 16 adapters mixed, some 500 of one follow each other."""

IN_FLIGHT = 512
"""Jobs: the rows of many workers and a reserve behind them; what is killed with the runner is no more."""


class BatchOptions(BaseModel):
    """Everything but the files; the defaults are for a large file and any fleet."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lane: LaneName = "bulk"
    """Of lines whose body names none."""
    window_lines: int = Field(default=WINDOW_LINES, ge=1, le=1_000_000)
    in_flight: int = Field(default=IN_FLIGHT, ge=1, le=10_000)
    fsync: Fsync = Fsync.INTERVAL
    max_line_bytes: int = Field(default=MAX_LINE_BYTES, ge=1)
    strict: bool = False
    """Send nothing if one line is bad."""
