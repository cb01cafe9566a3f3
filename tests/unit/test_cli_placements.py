"""What people write and read about placement (B7, B8)."""

from __future__ import annotations

import pytest

from lorayard_cli.failures import CommandError
from lorayard_cli.placements import placement_lines, read_replicas
from lorayard_schemas.placement import AdapterPriority, AdapterTier, PlacedAdapter, Placement


@pytest.mark.parametrize(
    ("text", "range_"),
    [("2:4", (2, 4)), ("2:", (2, None)), (":3", (None, 3)), ("2", (2, 2)), (":", (None, None))],
)
def test_replicas_are_a_range_or_one_number(text: str, range_: tuple[int | None, int | None]) -> None:
    assert read_replicas(text) == range_


@pytest.mark.parametrize("text", ["", "two", "1:2:3", "-1", "1:-1", "1.5", "٣", "12345678"])
def test_anything_else_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_replicas(text)
    assert caught.value.failure.field == "replicas"


def test_a_declaration_is_one_line() -> None:
    plain = Placement(adapter="a/b/c")
    assert plain.told == "tier auto, replicas 0:"
    full = Placement(
        adapter="a/b/c",
        tier=AdapterTier.SHARED,
        replicas_min=1,
        replicas_max=2,
        on=("w1", "zone=a"),
        only=True,
        pin=True,
        priority=AdapterPriority.HIGH,
    )
    assert full.told == "tier shared, replicas 1:2, only on w1, zone=a, pinned, priority high"


def test_where_it_should_be_stands_above_where_it_is() -> None:
    placed = PlacedAdapter(
        adapter="a/b/c@1",
        tier=AdapterTier.MERGED,
        merged=("w1",),
        replicas=("w2",),
        allowed=("w1", "w2"),
        in_slot=("w2", "w3"),
        in_host=("w2", "w4"),
        short=1,
        demand_rows=12.5,
        trouble=("worker w1: dedicate: refused: the worker is stopping",),
    )
    assert not placed.kept
    assert placement_lines(placed) == [
        "adapter    a/b/c@1",
        "declared   nothing",
        "tier       merged, demand 12.5 rows",
        "should be  merged into w1; at hand on w2; nowhere but on w1, w2",
        "is         in a slot of w2, w3; in memory of w4  (not yet as it should be)",
        "short      1 more than live workers can take",
        "trouble    worker w1: dedicate: refused: the worker is stopping",
    ]


def test_what_nobody_asks_anything_of_is_where_it_should_be() -> None:
    placed = PlacedAdapter(adapter="a/b/c@1", tier=AdapterTier.ON_DEMAND)
    assert placed.kept
    assert placement_lines(placed)[3:] == ["should be  where its jobs bring it", "is         nowhere"]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"short": 1}, False),
        ({"is_merged": ()}, False),
        ({"in_slot": (), "in_host": ("w2",)}, True),
        ({"in_slot": ()}, False),
        ({"allowed": ("w1",)}, False),
    ],
)
def test_it_is_kept_when_nothing_is_missing_and_nothing_astray__b7(
    changes: dict[str, object], kept: bool
) -> None:
    good: dict[str, object] = {
        "adapter": "a/b/c@1",
        "tier": "merged",
        "merged": ("w1",),
        "replicas": ("w2",),
        "is_merged": ("w1",),
        "in_slot": ("w2",),
    }
    assert PlacedAdapter.model_validate({**good, **changes}).kept is kept
