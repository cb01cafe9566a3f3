"""Whether a process does its work: asked for on its `health` endpoint."""

from __future__ import annotations

from lorayard_schemas.message import Message


class HealthReport(Message):
    """What one process says of itself. That it answers says that its loop runs."""

    process: str
    """Its name."""
    ready: bool
    """Whether it does what it is there for."""
    missing: tuple[str, ...] = ()
    """What keeps it from that, in sentences for people."""
    leaving: bool = False
    """It ends as it was told to: the last report of its life."""
