"""kill -9 of runner, worker and bus at random points of a batch: each line is answered, and once (E6, G1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorayard_cli.bench.batch_sides.kills import kill_at_random
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import provide

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

KILLS = 6
LINES = 800
"""More than are answered between so many kills."""
PACE = {"LORAYARD_ECHO_DELAY_SECONDS": "0.02", "LORAYARD_ACK_WAIT_SECONDS": "3"}


@pytest.mark.parametrize("seed", [7])
async def test_every_line_stands_once_whoever_is_killed__e6__g1(tmp_path: Path, seed: int) -> None:
    """The files are whole too: whatever is torn or no UTF-8 fails the reading of them."""
    wanted = YardPlan(
        data=tmp_path / "data", engine="echo", model="tiny", port=0, workers=2, rows=4, environment=PACE
    )
    plan = provide(replace(wanted), progress=lambda _line: None)
    report = await kill_at_random(plan, tmp_path, lines=LINES, kills=KILLS, seed=seed)
    assert sum(report.killed.values()) == KILLS
    assert report.killed["runner"]
    assert (report.missing, report.twice, report.failed, report.published_twice) == (0, 0, 0, 0)
