"""What every kind of test may use."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

# While all tests are imported nothing is garbage, and looking for it is a fifth of that time.
gc.disable()

# How fast an example runs is the machine's affair, and what others do on it. What 40 examples do not find is
# left to further runs, each with examples of its own, and to `pytest --hypothesis-profile=long` at night.
settings.register_profile(
    "any-machine", settings(), deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("any-machine"), max_examples=1000)
settings.load_profile("any-machine")

# Before a process sets up its logs, structlog prints a fault with every local, tensors too: up to 10 s each.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

Tally = Callable[[str, int], None]

LOOK_SECONDS = 0.01
"""Between two looks at a condition."""

PATIENCE_SECONDS = 60.0
"""For what never comes true: long, since nothing waits for it but a test that fails, and others may keep the
machine busy."""

_TALLY = "tally: "

_ORDER = (
    "bus/lost",
    "bus/gateway/test_gateway_document.py",
    "bus/several",
    "bus",
    "e2e/test_kills.py",
    "model/test_bench_run.py",
    "model/test_deterministic.py",
    "model/test_bleed.py",
    "e2e",
    "chaos",
    "model",
    "fundamentals",
    "conformance",
    "unit",
)
"""In which order several processes take files: those that wait most first, since the type checkers run beside
them; then long before short, so that none is left with a long one when the others have ended."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The order above where several processes share the tests; one alone keeps the usual one."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path.relative_to(Path(__file__).parent)))


def _turn(path: Path) -> int:
    return next((turn for turn, early in enumerate(_ORDER) if path.is_relative_to(early)), len(_ORDER))


def pytest_collection_finish() -> None:
    """What was imported is never garbage: nobody looks for any there from now on."""
    gc.freeze()  # before anybody walks over all of it: that is most of a second
    gc.enable()


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Count what a test has checked, as in `tally("bleed rows", n)`: the sums end pytest's output."""
    return lambda what, count: record_property(_TALLY + what, count)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much the tests that keep a tally have looked at, over all processes."""
    counted = Counter[str]()
    for what, count in _tallied(terminalreporter):
        counted[what] += count
    if counted:
        terminalreporter.section("checked")
    for what, count in sorted(counted.items()):
        terminalreporter.write_line(f"{what}: {count:,}")


def _tallied(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, int]]:
    for report in reporter.stats.get("passed", []):
        if getattr(report, "when", None) == "call":  # a test's other phases repeat its properties
            for name, value in report.user_properties:
                if name.startswith(_TALLY):
                    yield name.removeprefix(_TALLY), int(value)


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[None]]:
    """Wait for a condition, plain or async, instead of for time to pass; fail when it never holds."""

    async def wait(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
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
