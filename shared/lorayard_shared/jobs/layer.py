"""One adapter of a composition in the making."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lorayard_schemas.adapter import AdapterKind, AdapterRecord
from lorayard_schemas.alias import AliasRef
from lorayard_shared.jobs.composed import base_of
from lorayard_shared.value import value

Find = Callable[[str], tuple[AdapterRecord, AliasRef | None]]
"""What an adapter's name stands for, and the alias that led there. Raises UnknownAdapterError."""


@value
class Layer:
    """An adapter, its weight, and who asked for it."""

    spec: str
    """As it was named."""
    record: AdapterRecord
    weight: float
    alias: AliasRef | None = None
    by: tuple[str, ...] = ()
    """The rules that added it; empty: it is of what was chosen."""

    def misfit(self, below: Sequence[Layer]) -> str | None:
        """Why it does not go with those below it; None: it does."""
        if self.record.kind is AdapterKind.DORA:
            return f"{self.spec} has DoRA magnitudes: it cannot be weighed or summed"
        base = base_of([layer.record for layer in below])
        if base is not None and self.record.base_digest not in (None, base):
            return f"{self.spec} is made for another base model than the parts before it: they do not combine"
        return None
