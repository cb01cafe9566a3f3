"""LoRA on the embedding and on the output head: as wide as the vocabulary, so it has a byte limit of its own.

Of Gemma 3's 262,144 tokens one column of either costs more than a column of all other linears together. No
room is set aside for them: an adapter that has them brings them along, up to its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import AdapterFile
from lorayard_workers.adapters.base_copies import values_that_differ
from lorayard_workers.errors import CapacityError


class WideRole(StrEnum):
    """Which of the two."""

    EMBEDDING = "embedding"
    HEAD = "head"


@dataclass(frozen=True, slots=True, kw_only=True)
class WideModule:
    """The embedding (from tokens to `out_features`) or the head (to tokens) of a base model."""

    name: str
    role: WideRole
    in_features: int
    out_features: int
    multiplier: float = 1.0
    """What the model multiplies the embedding's output by, an adapter's share of it included (Gemma)."""

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in), as of a linear."""
        return self.out_features, self.in_features


@dataclass(frozen=True, slots=True, kw_only=True)
class WideRoom:
    """What adapters may bring for these modules. The default takes none."""

    modules: tuple[WideModule, ...] = ()
    bytes_each: int = 0
    itemsize: int = 4  # of the served precision
    base_folder: Path | None = None
    """Of the base model, to compare with what adapters bring of it."""

    def check(self, adapter: AdapterFile) -> None:
        """Kinds match and the bytes fit. Raises AdapterRefusedError or CapacityError."""
        roles = {module.name: module.role for module in self.modules}
        for name, pair in adapter.pairs.items():
            if pair.embedding != (roles.get(name) is WideRole.EMBEDDING):
                kind = "an embedding" if pair.embedding else "a linear layer"
                raise AdapterRefusedError(
                    adapter.path, f"{name}: has tensors for {kind}, which it is not", module=name
                )
            if pair.vectors and name in roles:
                what = " and ".join(kind for kind, _ in pair.vectors)
                raise AdapterRefusedError(
                    adapter.path,
                    f"{name}: a {what} (DoRA, lora_bias) on the {roles[name]} is not supported",
                    module=name,
                )
        self._check_brought(adapter)
        needed = self.size_bytes(adapter)
        if needed > self.bytes_each:
            raise CapacityError(
                f"adapter {adapter.path} (bytes for embedding and head)",
                needed=needed,
                limit=self.bytes_each,
                setting="wide_bytes / slots",
            )

    def _check_brought(self, adapter: AdapterFile) -> None:
        own = [f"{module.name}.weight" for module in self.modules]
        for name, tensor in adapter.brought.items():
            differ = None
            if self.base_folder is not None and f"{name}.weight" in own:
                names = dict.fromkeys([f"{name}.weight", *own])
                differ = values_that_differ(self.base_folder, list(names), tensor)
            if differ != 0:
                how = "cannot be compared with" if differ is None else f"differs in {differ} values from"
                raise AdapterRefusedError(
                    adapter.path,
                    f"{name}: the base weight {list(tensor.shape)} that comes along {how} the base model's "
                    "own; fully trained weights are not supported, save with save_embedding_layers=False",
                    module=name,
                )

    def size_bytes(self, adapter: AdapterFile) -> int:
        """What the adapter takes on the device for these modules."""
        return self.itemsize * sum(
            adapter.pairs[module.name].rank * (module.in_features + module.out_features)
            for module in self.modules
            if module.name in adapter.pairs
        )


NO_WIDE = WideRoom()
"""For whoever does not know the base model's embedding and head."""
