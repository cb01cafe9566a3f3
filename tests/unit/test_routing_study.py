"""The study behind the plots runs every rule in every case, and keeps what was not run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.routing import study

from lorayard_cli.simulation.routers import ROUTERS


def test_every_rule_is_run_in_every_case() -> None:
    tasks = list(study.tasks_of(study.PARTS, study.served_regimes(), 2))
    assert len(tasks) == len(set(tasks))
    assert {task.router for task in tasks} <= set(ROUTERS)
    searches = [task for task in tasks if task.part == "served"]
    assert len(searches) == len(study.served_regimes()) * len(study.SERVED_RULES)
    assert len(study.served_regimes()) == 21
    assert len(tasks) - len(searches) == 2 * len(study.RULES) * (len(study.LOADS) + 2)


def test_a_part_that_is_run_again_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"sweep": {"0.5": {}}, "cold": {"all": {"ours": {"0": {}, "7": {}}}}}))
    monkeypatch.setattr(study, "RESULT", path)
    monkeypatch.setattr(study, "RULES", ("ours",))
    assert study.main(["--part", "cold", "--seeds", "1", "--processes", "1"]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["sweep"] == {"0.5": {}}
    assert set(found["cold"]["all"]["ours"]) == {"0", "7"}
    assert 0 < found["cold"]["all"]["ours"]["0"]["cold_worst"] < 60
