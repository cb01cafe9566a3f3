"""What a refresh of the page costs where the yard is large: its gateway, and the browser that shows it.

The yard has 10,000 waiting jobs over 1,000 adapters and 64 workers, each of which tells of itself each
second. One gateway serves the page to one headless Chromium. It prints JSON, and exits 1 when a must is
missed. Wants Debian's chromium.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import psutil
from playwright.async_api import CDPSession, Page, async_playwright

from lorayard_cli.bench.bus import warm_yard
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.bench.view_sides.large_yard import ADAPTERS, JOBS, WORKERS, beat, fill, large_settings
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

CHROMIUM: Final = shutil.which("chromium")
VIEWS: Final = {"overview": "", "queues": "queues", "adapters": "adapters", "workers": "workers"}
REFRESHES: Final = 20
"""Of each view; one comes each second."""
MUST_MS: Final = 200.0
MUST_TASK_MS: Final = 50.0
"""Longer tasks of a browser are felt: https://www.w3.org/TR/longtasks/"""

WATCH: Final = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
  }).observe({ type: "longtask" });
}"""


async def main() -> int:
    """Measure and print."""
    assert CHROMIUM is not None, "chromium is not here: Debian's package has it"
    async with warm_yard() as yard:
        settings = large_settings(yard.settings)
        async with await connect(settings, name="bench-page") as bus:
            await fill(bus)
            beating = asyncio.create_task(_beat(bus), name="beat")
            try:
                views = await _measure(settings)
            finally:
                await end_tasks([beating])
    holds = all(
        row["gateway_ms"] < MUST_MS and row["browser_ms"] < MUST_MS and row["longest_task_ms"] <= MUST_TASK_MS
        for row in views.values()
    )
    document = {
        "bench": "page",
        "jobs": JOBS,
        "adapters": ADAPTERS,
        "workers": WORKERS,
        "refreshes": REFRESHES,
        "musts": {"processor_ms": MUST_MS, "longest_task_ms": MUST_TASK_MS},
        "views": views,
        "holds": holds,
        **surroundings(),
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0 if holds else 1


async def _beat(bus: Bus) -> None:
    number = 0
    while True:
        number += 1
        await beat(bus, number)
        await asyncio.sleep(1.0)


async def _measure(settings: YardSettings) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    async with _gateway(settings) as (url, gateway), async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM)
        page = await browser.new_page(viewport={"width": 1280, "height": 860})
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")
        await page.goto(f"{url}/ui/")
        await page.locator(".tile .number").first.wait_for()
        for name, path in VIEWS.items():
            await page.goto(f"{url}/ui/#/{path}")
            await page.locator("main h1").wait_for(state="attached")
            rows[name] = await _view(page, session, gateway)
            sys.stderr.write(f"{name}: {rows[name]}\n")
        await browser.close()
    return rows


async def _view(page: Page, session: CDPSession, gateway: psutil.Process) -> dict[str, float]:
    """Milliseconds of a refresh, on the average, and the longest task of all of them."""
    await page.evaluate(WATCH)
    before = await _spent(session), _processor_seconds(gateway)
    await asyncio.sleep(REFRESHES)
    after = await _spent(session), _processor_seconds(gateway)
    browser_seconds, gateway_seconds = (late - early for early, late in zip(before, after, strict=True))
    longest: float = await page.evaluate("window.longest")
    return {
        "gateway_ms": round(1000 * gateway_seconds / REFRESHES, 1),
        "browser_ms": round(1000 * browser_seconds / REFRESHES, 1),
        "longest_task_ms": round(longest, 1),
    }


async def _spent(session: CDPSession) -> float:
    """Seconds of the page's main thread: scripts, styles, layout."""
    told = cast("dict[str, Any]", await session.send("Performance.getMetrics"))
    return next(float(one["value"]) for one in told["metrics"] if one["name"] == "TaskDuration")


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def _gateway(settings: YardSettings) -> AsyncGenerator[tuple[str, psutil.Process]]:
    command = ["-m", "lorayard_cli", "gateway", "--no-keys", "--port=0", "--page=read", "--json"]
    given = [f"--url={settings.url}", f"--prefix={settings.prefix}", "--log-level=warning"]
    room = ("jobs_max_bytes", "results_max_bytes", "payloads_max_bytes")
    environment = {f"LORAYARD_{name.upper()}": str(getattr(settings, name)) for name in room}
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *given,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert run.stdout is not None
    try:
        told: dict[str, Any] = json.loads(await run.stdout.readline())
        yield told["url"], psutil.Process(run.pid)
    finally:
        run.terminate()
        await run.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
