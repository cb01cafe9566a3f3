"""What `lorayard bench gateway` makes of what it saw: nothing is timed here."""

from __future__ import annotations

import json

import pytest

from lorayard_cli.bench.engine_report.rows import exit_code
from lorayard_cli.bench.figures import spread
from lorayard_cli.bench.gateway import GOALS, judge, make_document
from lorayard_cli.exit_codes import ExitCode

GOOD = {"added_p50": 1.0, "added_p99": 5.0, "share": 0.4}


@pytest.mark.parametrize(
    ("figures", "code"),
    [
        ({}, ExitCode.OK),
        ({"added_p50": 2.1}, ExitCode.FAILED),
        ({"added_p99": 11.0}, ExitCode.FAILED),
        ({"share": 0.29}, ExitCode.FAILED),
    ],
)
def test_each_must_is_judged(figures: dict[str, float], code: ExitCode) -> None:
    found = {goal.key: spread([{**GOOD, **figures}.get(goal.key, 1.0)]) for goal in GOALS}
    rows = judge(found)
    assert exit_code(rows) == code
    document = json.loads(json.dumps(make_document(rows, quick=True)))
    assert document["holds"] is (code == ExitCode.OK)
    assert {row["key"] for row in document["rows"]} == {goal.key for goal in GOALS}
