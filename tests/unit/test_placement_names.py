"""Which version a declaration by name is for."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.placements import wishes
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord, Arm
from lorayard_schemas.codec import encode
from lorayard_schemas.placement import AdapterPriority, Placement, placement_key
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.alias_book import AliasBook
from lorayard_shared.jobs.placements import Placements

ONE, TWO, THREE = (f"sha256:{digit}" + digit * 63 for digit in "123")


def registry(*digests: str) -> AdapterRegistry:
    """Versions 1, 2, ... of one adapter."""
    made = AdapterRegistry()
    for number, digest in enumerate(digests, start=1):
        record = AdapterRecord(
            name="a/b/c", version=str(number), digest=digest, base_digest="sha256:" + "b" * 64,
            rank=8, alpha=8, targets=("q_proj",), size_bytes=1,
        )  # fmt: skip
        made.on_change(record.key, encode(record))
    return made


def test_a_name_stands_for_its_newest_version_and_lets_go_of_the_others__b7() -> None:
    asked = wishes([Placement(adapter="a/b/c", pin=True)], registry(ONE, TWO), AliasBook())
    assert {digest: wish.pin for digest, wish in asked.items()} == {ONE: False, TWO: True}


@pytest.mark.parametrize(
    ("shares", "pinned"),
    [
        ({"1": 100.0}, {ONE}),
        ({"1": 90.0, "2": 10.0}, {ONE, TWO}),
        ({"1": 0.0, "3": 100.0}, {THREE}),
        ({"9": 100.0}, set[str]()),
        ({}, {THREE}),
    ],
)
def test_a_name_stands_for_what_its_stable_alias_gives_a_share__b7__d4(
    shares: dict[str, float], pinned: set[str]
) -> None:
    aliases, known = AliasBook(), registry(ONE, TWO, THREE)
    arms = tuple(Arm(version=version, weight=weight) for version, weight in shares.items())
    aliases.add(AliasRecord(adapter="a/b/c", alias="stable", revision=1, arms=arms))
    aliases.add(
        AliasRecord(adapter="a/b/c", alias="other", revision=1, arms=(Arm(version="2", weight=100.0),))
    )
    asked = wishes([Placement(adapter="a/b/c", pin=True)], known, aliases)
    assert {digest for digest, wish in asked.items() if wish.pin} == pinned
    assert set(asked) == {ONE, TWO, THREE}
    declared = Placements()
    declared.on_change(placement_key("a/b/c"), encode(Placement(adapter="a/b/c", pin=True)))
    of = {one.digest for one in known.known["a/b/c"].values() if declared.of(one, known, aliases)}
    assert of == pinned


@pytest.mark.parametrize("digests", [(ONE, ONE), (ONE, TWO, ONE)])
def test_versions_with_equal_bytes_are_one_adapter_and_what_is_asked_for_it_counts__b7(
    digests: tuple[str, ...],
) -> None:
    assert wishes([Placement(adapter="a/b/c", pin=True)], registry(*digests), AliasBook())[ONE].pin


def test_a_names_priority_counts_for_all_versions_that_have_no_declaration_of_their_own__b7() -> None:
    known, declared = registry(ONE, TWO, THREE), Placements()
    assert not declared.have_priorities
    assert declared.worths(known.known) == {}
    of_name = Placement(adapter="a/b/c", priority=AdapterPriority.HIGH)
    of_two = Placement(adapter="a/b/c@2", pin=True)
    of_three = Placement(adapter="a/b/c@3", priority=AdapterPriority.LOW)
    for one in (of_name, of_two, of_three):
        declared.on_change(placement_key(one.adapter), encode(one))
    assert declared.have_priorities
    assert declared.worths(known.known) == {ONE: 4.0, THREE: 0.25}
    assert not of_name.asks_nothing
    declared.on_change(placement_key("a/b/c"), None)
    assert declared.worths(known.known) == {THREE: 0.25}


def test_of_versions_with_the_same_bytes_the_higher_priority_counts__b7() -> None:
    known, declared = registry(ONE, ONE), Placements()
    for version, priority in (("1", AdapterPriority.HIGH), ("2", AdapterPriority.LOW)):
        one = Placement(adapter=f"a/b/c@{version}", priority=priority)
        declared.on_change(placement_key(one.adapter), encode(one))
    assert declared.worths(known.known) == {ONE: 4.0}
