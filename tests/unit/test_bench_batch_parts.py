"""A bench of most of an hour that is cut off goes on behind the parts that it has done."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lorayard_cli.bench.batch import as_document
from lorayard_cli.bench.batch_sides.kept import Kept
from lorayard_cli.bench.batch_sides.kills import KillReport
from lorayard_cli.failures import CommandError

SEEN = KillReport(lines=3, killed=Counter(bus=2, runner=1), runs=2)


def _never() -> KillReport:
    raise AssertionError("it was measured before")


def test_a_part_that_stands_in_the_file_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    assert Kept(path, sizes="full").part("kills", KillReport, lambda: SEEN) == SEEN
    assert Kept(path, sizes="full").part("kills", KillReport, _never) == SEEN


def test_without_a_file_each_part_is_measured() -> None:
    assert Kept(None, sizes="full").part("kills", KillReport, lambda: SEEN) == SEEN
    with pytest.raises(AssertionError, match="measured before"):
        Kept(None, sizes="full").part("kills", KillReport, _never)


def test_the_file_is_gone_once_all_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    kept = Kept(path, sizes="full")
    kept.part("kills", KillReport, lambda: SEEN)
    kept.end()
    assert not path.exists()


def test_parts_of_other_sizes_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    Kept(path, sizes="quick").part("kills", KillReport, lambda: SEEN)
    with pytest.raises(CommandError, match="other sizes"):
        Kept(path, sizes="full")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 3}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "parts.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match="cannot be gone on with"):
        Kept(path, sizes="full")


def test_a_part_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parts.json"
    Kept(path, sizes="full").part("kills", KillReport, lambda: SEEN)
    told = json.loads(path.read_text(encoding="utf-8"))
    told["parts"]["kills"] = {"lines": "many"}
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(CommandError, match="cannot be read"):
        Kept(path, sizes="full").part("kills", KillReport, _never)


def test_all_that_was_seen_is_printed_as_json() -> None:
    told = json.loads(json.dumps(as_document([], (SEEN,), quick=False)))
    assert told["seen"]["KillReport"]["killed"] == {"bus": 2, "runner": 1}
