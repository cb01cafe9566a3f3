"""What makes a figure worthless."""

from __future__ import annotations


class SideFaultError(Exception):
    """A side did not do the work it was timed for."""
