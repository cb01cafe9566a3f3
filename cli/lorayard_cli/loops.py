"""Run a long-lived process's coroutine, on uvloop where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def run_service(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end; dispatcher and worker spend much of their time in the event loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)
