"""Which version a declaration by name is for."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.placements import wishes
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.placement import Placement
from lorayard_shared.jobs.adapter_registry import AdapterRegistry

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


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
    asked = wishes([Placement(adapter="a/b/c", pin=True)], registry(ONE, TWO))
    assert {digest: wish.pin for digest, wish in asked.items()} == {ONE: False, TWO: True}


@pytest.mark.parametrize("digests", [(ONE, ONE), (ONE, TWO, ONE)])
def test_versions_with_equal_bytes_are_one_adapter_and_what_is_asked_for_it_counts__b7(
    digests: tuple[str, ...],
) -> None:
    assert wishes([Placement(adapter="a/b/c", pin=True)], registry(*digests))[ONE].pin
