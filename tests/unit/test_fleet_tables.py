"""By which version people are shown what a worker holds."""

from __future__ import annotations

import pytest
from tests.unit.conftest import make_advert

from lorayard_cli.fleet_tables import (
    apart,
    names_by_digest,
    refusal_table,
    refusals,
    residents_by_label,
    several_versions,
)
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.advert import RefusedAdapter, SlotAdvert

DIGEST = "sha256:" + "1" * 64
HOLDS = make_advert("w1", slots=(SlotAdvert(digest=DIGEST),))


def record(version: str, state: AdapterState) -> AdapterRecord:
    return AdapterRecord(
        name="a/b/c",
        version=version,
        digest=DIGEST,
        rank=4,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
        state=state,
    )


ACTIVE, PUSHED = record("1", AdapterState.ACTIVE), record("2", AdapterState.PUSHED)


@pytest.mark.parametrize("records", [(ACTIVE, PUSHED), (PUSHED, ACTIVE)])
def test_bytes_that_two_versions_share_are_shown_as_the_one_that_serves(
    records: tuple[AdapterRecord, ...],
) -> None:
    assert names_by_digest(records) == {DIGEST: "a/b/c@1"}
    assert residents_by_label(records, [HOLDS]) == {"a/b/c@1": ["w1"]}


def test_bytes_that_nobody_serves_any_more_are_shown_too() -> None:
    assert names_by_digest([PUSHED]) == {DIGEST: "a/b/c@2"}
    assert residents_by_label([PUSHED], [HOLDS]) == {"a/b/c@2": ["w1"]}


def test_all_versions_that_serve_the_same_bytes_are_listed_with_their_workers() -> None:
    both = [ACTIVE, record("2", AdapterState.ACTIVE)]
    assert residents_by_label(both, [HOLDS]) == {"a/b/c@1": ["w1"], "a/b/c@2": ["w1"]}


def test_a_version_that_serves_is_not_called_refused_where_its_folder_is() -> None:
    gone = RefusedAdapter(name="a/b/c", version="1", reason="its folder was removed")
    bad = RefusedAdapter(name="a/b/d", version="1", reason="rank 9000")
    refused, troubles = apart(refusals([make_advert("w1", refused_adapters=(gone, bad))]), [ACTIVE, PUSHED])
    assert list(refused.items()) == [(bad, ["w1"])]
    assert [(label, list(of.items())) for label, of in troubles.items()] == [("a/b/c@1", [(gone, ["w1"])])]
    assert list(refusal_table(refused).columns[0].cells) == ["a/b/d"]


def test_all_versions_are_told_with_their_states_the_newest_last() -> None:
    assert several_versions([PUSHED, ACTIVE]) == "2 versions (1 active, 2 pushed)"
    many = [record(str(number), AdapterState.ACTIVE) for number in range(1, 12)]
    assert several_versions(many).startswith("11 versions (... 4 active, 5 active")
