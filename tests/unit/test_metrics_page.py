"""Who scrapes slowly, or not at all, holds up nobody; nor does a name that cannot be asked for (F1, G2)."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lorayard_shared.errors import SettingsError
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage, metrics_served
from lorayard_shared.settings import YardSettings

ANY_PORT = YardSettings(metrics_port=0)


def page_of(*codes: str) -> MetricsPage:
    def read(readings: Readings) -> None:
        for code in codes:
            readings.put(declared.ERRORS, 1, code)

    return MetricsPage(source=Source.WORKER, name="w", read=read)


def scraped(url: str | None) -> str:
    assert url is not None
    with urllib.request.urlopen(url, timeout=30) as page:
        return str(page.read().decode())


async def test_scrapers_that_take_nothing_hold_up_no_other() -> None:
    large = page_of(*(f"{number:0>100}" for number in range(50_000)))  # more than a socket holds
    async with metrics_served(ANY_PORT, lambda: large) as url:
        assert url is not None
        port = int(url.split(":")[-1].partition("/")[0])
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        for number, peer in enumerate(slow):
            peer.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" if number % 2 else b"GET /met")
        assert "lorayard_worker_errors_total" in await asyncio.to_thread(scraped, url)
        for peer in slow:
            peer.close()


async def test_a_machine_without_dns_listens_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait_for_dns(name: str = "") -> str:
        raise AssertionError(f"asked for {name}")

    monkeypatch.setattr(socket, "getfqdn", wait_for_dns)
    async with metrics_served(ANY_PORT, page_of) as url:
        assert "lorayard_process_answers 1" in await asyncio.to_thread(scraped, url)


async def test_what_cannot_be_written_as_utf_8_takes_no_page_along() -> None:
    async with metrics_served(ANY_PORT, lambda: page_of("half \ud800", 'a"\\\nb')) as url:
        text = await asyncio.to_thread(scraped, url)
    assert 'errors_total{code="half ?"} 1' in text
    assert r'errors_total{code="a\"\\\nb"} 1' in text


async def test_an_address_that_is_none_is_named__g3() -> None:
    nowhere = YardSettings(metrics_port=0, metrics_host="256.0.0.1")
    with pytest.raises(SettingsError, match="LORAYARD_METRICS_HOST"):
        async with metrics_served(nowhere, page_of):
            pass


def asked(url: str | None, path: str) -> tuple[int, list[str]]:
    assert url is not None
    try:
        with urllib.request.urlopen(url.replace("/metrics", path), timeout=30) as answer:
            return answer.status, json.loads(answer.read())["missing"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["missing"]


async def test_what_keeps_a_process_from_its_work_makes_it_unready_and_does_not_end_it() -> None:
    missing = ["the bus is away"]
    page = replace(page_of(), unready=lambda: missing)
    async with metrics_served(ANY_PORT, lambda: page) as url:
        assert await asyncio.to_thread(asked, url, "/readyz") == (503, missing)
        assert await asyncio.to_thread(asked, url, "/healthz") == (200, [])
        missing.clear()
        assert await asyncio.to_thread(asked, url, "/readyz") == (200, [])


async def test_a_loop_that_does_not_answer_is_told_by_both() -> None:
    async with metrics_served(ANY_PORT, page_of) as url:
        with ThreadPoolExecutor(max_workers=2) as pool:
            asking = [pool.submit(asked, url, path) for path in ("/healthz", "/readyz")]
            # Until both have their answers the loop is blocked, which is what is tested.
            assert [one.result()[0] for one in asking] == [503, 503]
