"""What a tenant in an account of its own asks of the yard where only a look at the question's body says
whose it is: `{prefix}.own.{tenant}.>`, which the server fills, and nobody publishes on.
"""

from __future__ import annotations

from typing import Final

ASKED: Final = ("cancel", "cancel-many", "explain", "limits")
"""Orders to dispatchers, as `ask.{verb}`."""

READ: Final = ("results", "tokens", "delayed", "audit", "dead", "jobs")
"""Streams that are read by requests with a body, as `get.{stream}`."""

INFORMED: Final = ("jobs", "delayed", "results", "tokens")
"""Streams of which it is asked whether they are there, and how full, as `info.{stream}`."""
