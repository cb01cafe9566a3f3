"""What every kind of test may use."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest

LOOK_SECONDS = 0.01
"""Between two looks at a condition."""


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[None]]:
    """Wait for a condition, plain or async, instead of for time to pass; fail when it never holds."""

    async def wait(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return
            if loop.time() > until:
                pytest.fail(f"never came true in {seconds} s: {inspect.getsource(condition).strip()}")
            await asyncio.sleep(LOOK_SECONDS)

    return wait
