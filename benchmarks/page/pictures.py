"""Photographs the page over a yard at work into docs/images: `make page-pictures`. Wants Debian's chromium.

Three tenants ask sixteen tiny adapters of three workers; then a canary is rolled back and a worker is killed.
Other looks than those of the documents (dark, 800 pixels) go to the folder that is given, if one is.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from lorayard import Client, GenerateRequest, GuardRule, Lane
from lorayard.settings import client_settings
from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_shared.process import end_tasks
from lorayard_workers.tiny_model import make_tiny_adapter

IMAGES: Final = Path(__file__).resolve().parents[2] / "docs/images"
CHROMIUM: Final = shutil.which("chromium")

TASKS: Final = {
    "acme/desk": ("summary", "triage", "reply", "tags", "tone"),
    "globex/shop": ("titles", "specs", "faq", "ads", "sizes"),
    "initech/law": ("clauses", "dates", "parties", "risks", "digest", "redact"),
}
ADAPTERS: Final = tuple(f"{org}/{task}" for org, tasks in TASKS.items() for task in tasks)
TRIED: Final = "acme/desk/summary"
ALIAS: Final = f"{TRIED}@stable"
TENANTS: Final = {
    "acme": (Lane.HIGH, Lane.NORMAL),
    "globex": (Lane.NORMAL, Lane.BULK),
    "initech": (Lane.BULK,),
}

STRUCK: Final = "initech/law/redact"
ASKED: Final = tuple(ALIAS if name == TRIED else name for name in ADAPTERS if name != STRUCK)
MOST_WAITING: Final = 160

WARM_SECONDS: Final = 75.0
"""So that plots have a past."""
SETTLE_SECONDS: Final = 1.2
PLOT_SECONDS: Final = 6.0
"""An adapter's plots get a point each second."""
SIZES: Final = {1280: 860, 800: 900}
SHOWN: Final = {
    ("overview", "light", 1280): "page-overview.png",
    ("overview-after", "dark", 1280): "page-worker-lost.png",
    ("job", "light", 1280): "page-job.png",
    ("adapter-after", "light", 1280): "page-adapter.png",
}
"""The documents' own."""
PROMPT: Final = "the quick brown fox jumps over the lazy dog, and "


async def main(elsewhere: Path | None) -> None:
    """Everything, one scene after the other."""
    assert CHROMIUM is not None, "chromium is not here: Debian's package has it"
    with tempfile.TemporaryDirectory() as folder:
        plan = _plan(Path(folder))
        async with (
            EmbeddedYard(plan, policy=RestartPolicy(first_seconds=120.0, longest_seconds=120.0)) as yard,
            Client(settings=client_settings(yard.settings)) as client,
            async_playwright() as driver,
        ):
            await _tell_news(client)
            browser = await driver.chromium.launch(executable_path=CHROMIUM)
            async with _load(yard):
                await _scenes(yard, client, browser, elsewhere)
            await browser.close()


def _plan(folder: Path) -> YardPlan:
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(folder / "adapters" / name / "1", seed=seed)
    make_tiny_adapter(folder / "adapters" / TRIED / "2", seed=99)
    return YardPlan(
        data=folder / "data",
        model="tiny",
        adapters=folder / "adapters",
        workers=3,
        slots=4,
        rows=4,
        threads=1,
        port=0,
        gateway=0,
        page="operate",
        environment={"LORAYARD_CONTEXT_TOKENS": "512", "LORAYARD_GATEWAY_PAGE_TEXTS": "true"},
    )


async def _tell_news(client: Client) -> None:
    """What people have done to the yard."""
    await client.aliases.split(ALIAS, {"1": 100}, preload_seconds=None, reason="first release")
    shares = {"1": 80, "2": 20}
    await client.aliases.split(
        ALIAS, shares, preload_seconds=None, guard=GuardRule(), reason="try the new weights"
    )
    await client.control.pause("tenant", "hooli", reason="invoice is open", for_seconds=8 * 3600)
    await client.strikes.add(adapter=STRUCK, reason="it leaves names in; Mo looks")


@asynccontextmanager
async def _load(yard: EmbeddedYard) -> AsyncGenerator[None]:
    tasks = [
        asyncio.create_task(_ask(yard, tenant, lanes, number), name=f"load-{tenant}")
        for number, (tenant, lanes) in enumerate(TENANTS.items())
    ]
    try:
        yield
    finally:
        await end_tasks(tasks)


async def _ask(yard: EmbeddedYard, tenant: str, lanes: Sequence[Lane], number: int) -> None:
    """Waves of jobs, more of them than there are rows for."""
    draw = random.Random(number)
    settings = client_settings(yard.settings).model_copy(update={"tenant": tenant})
    async with Client(settings=settings) as client:
        await client.submit("later", adapter=ADAPTERS[number], delay_seconds=1800.0)
        struck = [GenerateRequest(PROMPT, adapter=STRUCK, lane=Lane.BULK) for _ in range(12)]
        await client.submit_many(struck)
        while True:
            if (await client.queue_depth()).total < MOST_WAITING:
                await client.submit_many([_request(draw, lanes) for _ in range(draw.randrange(4, 40))])
            await asyncio.sleep(draw.uniform(1.0, 4.0))


def _request(draw: random.Random, lanes: Sequence[Lane]) -> GenerateRequest:
    # Few are asked much and many a little, as it is.
    place = min(int(draw.expovariate(0.25)), len(ASKED) - 1)
    return GenerateRequest(
        f"{PROMPT}{draw.randrange(10_000)}",
        adapter=ASKED[place],
        lane=draw.choice(lanes),
        max_new_tokens=draw.randrange(16, 96),
        temperature=0.8,
        metadata={"user": str(draw.randrange(50))},
    )


async def _scenes(yard: EmbeddedYard, client: Client, browser: Browser, elsewhere: Path | None) -> None:
    assert yard.gateway_url is not None
    eye = await browser.new_page(viewport={"width": 1280, "height": SIZES[1280]})
    await eye.goto(f"{yard.gateway_url}/ui/")
    await asyncio.sleep(WARM_SECONDS)
    api = f"{yard.gateway_url}/ui/api"
    ended = (await (await eye.request.get(f"{api}/jobs?state=ended&limit=200")).json())["jobs"]
    waiting = (await (await eye.request.get(f"{api}/jobs?adapter={STRUCK}")).json())["jobs"]
    views = {
        "overview": "",
        "job": _job(max((one for one in ended if one["adapter"]), key=_interest)),
        "job-waits": _job(waiting[0]),
        "adapter": f"adapter?name={TRIED}",
        "queues": "queues",
        "adapters": "adapters",
        "workers": "workers",
        "jobs": "jobs",
        "jobs-ended": "jobs?state=ended",
        "dead": "dead",
        "batches": "batches",
    }
    await _looks(browser, eye, yard.gateway_url, views, elsewhere)
    await eye.goto(f"{yard.gateway_url}/ui/#/")
    pid = yard.pids["w2"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    await eye.locator('[data-worker="w2"].bad').wait_for(timeout=30_000)
    sys.stdout.write(f"red {time.monotonic() - killed:.1f} s after kill -9\n")
    await client.aliases.rollback(ALIAS, reason="version 2 rambles, see the answers of this morning")
    after = {f"{name}-after": views[name] for name in ("overview", "adapter", "workers")}
    await _looks(browser, eye, yard.gateway_url, after, elsewhere)


def _interest(row: dict[str, Any]) -> float:
    """Of a job that has ended: one that waited, though not for the whole evening."""
    return float(row["took_ms"]) if row["took_ms"] < 20_000 and row["state"] == "succeeded" else 0.0


def _job(row: dict[str, Any]) -> str:
    return f"job?tenant={row['tenant']}&job={row['job']}"


async def _looks(
    browser: Browser, eye: Page, url: str, views: dict[str, str], elsewhere: Path | None
) -> None:
    for name, path in views.items():
        for scheme in ("light", "dark"):
            for width, height in SIZES.items():
                kept = SHOWN.get((name, scheme, width))
                folder = IMAGES if kept else elsewhere
                if folder is None:
                    continue
                await eye.emulate_media(color_scheme=scheme)
                await eye.set_viewport_size({"width": width, "height": height})
                await eye.goto(f"{url}/ui/#/{path}")
                has_plots = path.startswith("adapter?") and width == 1280
                await asyncio.sleep(PLOT_SECONDS if has_plots else SETTLE_SECONDS)
                file = folder / (kept or f"{name}-{scheme}-{width}.png")
                await eye.screenshot(path=file, full_page=True)
                _shrink(file)


def _shrink(file: Path) -> None:
    """To a palette: nobody sees the difference, and a repository keeps every picture for ever."""
    with Image.open(file) as picture:
        small = picture.convert("RGB").quantize(
            128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
    small.save(file, optimize=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
