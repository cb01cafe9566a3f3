"""The page in a real browser that reaches nothing but this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright
from tests.bus.gateway.conftest import Door

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
)

NO_ROOM = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
"""Whether a view is wider than its window."""

Wait = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """One for all tests of the process; says where it listens, once it does."""
    if CHROMIUM is None:
        pytest.skip("chromium is not here (Debian's package chromium): nobody has looked at the page")
    folder = tmp_path_factory.mktemp("chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses one to root
    command = [CHROMIUM, *FLAGS, *sandbox, f"--user-data-dir={folder}", "about:blank"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as run:
        yield lambda: _address(folder)
        run.terminate()
        with suppress(subprocess.TimeoutExpired):
            run.wait(10)
        run.kill()


def _address(folder: Path) -> str:
    told = folder / "DevToolsActivePort"
    port = told.read_text().splitlines()[:1] if told.exists() else []
    return f"http://127.0.0.1:{port[0]}" if port else ""


@pytest.fixture
async def browser(chromium: Callable[[], str], wait_until: Wait) -> AsyncIterator[Browser]:
    await wait_until(chromium)
    async with async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(chromium())
        yield browser
        await browser.close()


@dataclass(kw_only=True)  # playwright leaves its marks on it
class Eye:
    """Somebody at a page."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list[str])
    """What no page may do: ask others, fail, break its policy, open a dialog of the browser's."""

    async def go(self, path: str) -> None:
        """To a view, by its address."""
        await self.page.goto(f"{self.url}/ui/#/{path}")
        await self.page.locator("main h1").wait_for(state="attached")

    async def says(self, text: str, within: str = "body") -> None:
        """Wait until it does."""
        await self.page.locator(within).filter(has_text=text).first.wait_for()

    async def troubles(self, *rules: str) -> list[str]:
        """What keeps some people from reading it, as axe finds it; of these rules only, if any are given."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = list(rules)
        found = await Axe().run(self.page, options=options)
        return [
            f"{one['id']}: {node['html'][:120]}: {node['failureSummary']}"
            for one in found.response["violations"]
            for node in one["nodes"]
        ]

    def watch(self) -> None:
        self.page.on("request", self._asks)
        self.page.on("console", self._tells)
        self.page.on("pageerror", lambda error: self.faults.append(f"failed: {error}"))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))

    def _asks(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.faults.append(f"asked {request.url}")

    def _tells(self, message: ConsoleMessage) -> None:
        # A gateway that is gone, or that refuses something: the browser itself notes each.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{message.type}: {message.text}")


Look = Callable[..., Awaitable[Eye]]


@pytest.fixture
async def look(browser: Browser) -> AsyncIterator[Look]:
    """Open the page of a gateway, with a key in its cookie or without; in the end no fault was seen."""
    eyes: list[Eye] = []

    async def open_page(door: Door, key: str | None = None, path: str = "") -> Eye:
        made = await browser.new_context(viewport={"width": 1280, "height": 800})
        if key is not None:
            await made.add_cookies(
                [
                    {
                        "name": "lorayard_key",
                        "value": key,
                        "domain": "127.0.0.1",
                        "path": "/ui",
                        "httpOnly": True,
                    }
                ]
            )
        eye = Eye(page=await made.new_page(), url=door.url)
        eye.watch()
        eyes.append(eye)
        await eye.go(path)
        return eye

    yield open_page
    for eye in eyes:
        await eye.page.context.close()
    assert [fault for eye in eyes for fault in eye.faults] == []
