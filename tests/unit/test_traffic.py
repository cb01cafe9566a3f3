"""What is learnt of traffic is bounded, whatever has drawn it (B4)."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from lorayard_cli import traffic as module
from lorayard_cli.traffic import MOST_OF_ONE, read_traffic
from lorayard_schemas.codec import encode
from lorayard_schemas.samples import AdapterSamples, TrafficSamples, samples_object
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings

ENCODER = "sha256:" + "a" * 64
NAME, OTHER = "acme/tiny/a", "acme/tiny/b"


class Drawn:
    """The objects of a yard's partitions."""

    def __init__(self, *of_partition: dict[str, int]) -> None:
        self._of = {samples_object(n): encode(drawn(n, counts)) for n, counts in enumerate(of_partition)}
        self.settings = YardSettings(partitions=len(of_partition))

    async def get(self, name: str, *, limit_bytes: int) -> bytes | None:
        return self._of.get(name)


def drawn(partition: int, counts: dict[str, int]) -> TrafficSamples:
    """So many vectors by name, of which the first number is the partition's."""
    adapters = {
        name: AdapterSamples(seen=count, vectors=np.full((count, 2), partition, "<f2").tobytes())
        for name, count in counts.items()
    }
    return TrafficSamples(encoder=ENCODER, dimensions=2, adapters=adapters)


async def test_no_more_than_so_many_of_an_adapter_are_learnt_from_all_partitions_and_names__b4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = {NAME: MOST_OF_ONE, f"{NAME}@stable": MOST_OF_ONE, OTHER: 3}
    yard = Drawn(many, many)

    def objects(_bus: Bus, _bucket: str) -> Drawn:
        return yard

    monkeypatch.setattr(module, "Objects", objects)
    found = await read_traffic(cast("Bus", yard), ENCODER, [NAME, OTHER])
    of_one = [one for one in found.observed if one.adapter == NAME]
    assert (len(of_one), len(found.observed), found.unused) == (MOST_OF_ONE, MOST_OF_ONE + 6, 3 * MOST_OF_ONE)
    assert sum(float(one.vector[0]) for one in of_one) == MOST_OF_ONE / 2, "as many of each partition"
