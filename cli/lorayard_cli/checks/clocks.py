"""Do clocks agree: this machine's, the server's, each worker's. Deadlines, leases and waits go by them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import scan
from lorayard_shared.bus.server_time import server_seconds

WARN_SECONDS = 1.0
"""Waits and ages are shown to a tenth of a second, and deadlines are seldom under ten."""

FAIL_SECONDS = 5.0
"""A worker's key lives for 5 s by the server's clock, and what a dispatcher wrote is void after 6 s by the
reader's."""

ASKED = 3
"""Times; the quickest answer says most exactly what the server's clock shows."""

SECONDS = 5.0
SHOWN = 5

_MEND = "have that machine keep its time: chrony or systemd-timesyncd, `timedatectl` shows whether it does"


async def check_clocks(bus: Bus) -> AsyncIterator[Finding]:
    """Each against the server's, which stamps what everybody stores."""
    ahead, doubt = await _here(bus)
    yield judge("clock here", {"this machine": ahead}, doubt=doubt)
    workers = await _workers(bus)
    if workers:
        yield judge("clocks of workers", workers)


def judge(check: str, ahead: Mapping[str, float], *, doubt: float = 0.0) -> Finding:
    """`ahead` of the server's clock, in seconds, by whose it is; `doubt` is how wrong that may be."""
    wrong = {name: by for name, by in ahead.items() if abs(by) > WARN_SECONDS + doubt}
    if not wrong:
        most = max((abs(by) for by in ahead.values()), default=0.0)
        return ok(check, f"{most:.1f} s apart from the server's at most, of {len(ahead)}")
    worst = sorted(wrong, key=lambda name: -abs(wrong[name]))
    told = ", ".join(f"{name} is {_told(wrong[name])}" for name in worst[:SHOWN])
    more = f", and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""
    report = fail if abs(wrong[worst[0]]) > FAIL_SECONDS + doubt else warn
    return report(check, f"{told}{more}, by the server's clock", _MEND)


def _told(ahead: float) -> str:
    return f"{abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"


async def _here(bus: Bus) -> tuple[float, float]:
    """How far this machine's clock is ahead, and half of what the quickest answer took."""
    found: list[tuple[float, float]] = []
    for _ in range(ASKED):
        asked, began = time.time(), time.monotonic()
        told = await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}")
        took = time.monotonic() - began
        found.append((took / 2, asked + took / 2 - server_seconds(str(told["ts"]))))
    doubt, ahead = min(found)
    return ahead, doubt


async def _workers(bus: Bus) -> dict[str, float]:
    """How far each is ahead: what it says the time was as it wrote, and when the server stored that."""
    found: dict[str, float] = {}

    def look(_subject: str, headers: dict[str, str], body: bytes) -> None:
        try:
            advert = decode(WorkerAdvert, body)
        except MalformedMessageError:
            return  # somebody went; or what the dispatcher names as not believed
        found[advert.worker] = advert.at - server_seconds(headers["Nats-Time-Stamp"])

    bucket = bus.subjects.bucket("workers")
    await scan(bus, f"KV_{bucket}", f"$KV.{bucket}.>", look, seconds=SECONDS)
    return found
