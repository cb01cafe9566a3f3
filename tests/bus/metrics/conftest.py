"""Scrapes of processes that run in the test."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scrape:
    """One page, as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all that has these labels; 0: there is none."""
        wanted = labels.items()
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and wanted <= sample.labels.items()
        )

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self._samples}


@pytest.fixture
def metrics_port() -> Callable[[], int]:
    """A port that nobody has."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture
def scrape() -> Callable[[int], Awaitable[Scrape]]:
    def read(port: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
            return str(page.read().decode())

    async def run(port: int) -> Scrape:
        return Scrape(await asyncio.to_thread(read, port))

    return run
