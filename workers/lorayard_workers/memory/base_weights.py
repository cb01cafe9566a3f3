"""The base model's own weights, read from its files: those in use may be packed, rounded or worn over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from lorayard_workers.errors import BaseModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseWeights:
    """Linears by module name; `turned` are those whose weight is stored as (in, out)."""

    folder: Path
    turned: frozenset[str] = frozenset()
    unchanged: Callable[[], bool] = lambda: True
    """Whether the files are those that were loaded."""

    def check(self) -> None:
        """What is read next belongs to the model that runs. Raises BaseModelError."""
        if not self.unchanged():
            raise BaseModelError(
                self.folder,
                "its files changed since the worker loaded them, and DoRA needs the loaded weights: put the "
                "files back or restart the worker",
            )

    def weight(self, module: str) -> Tensor | None:
        """[out, in] in fp32; None if the files name no such weight."""
        found = self._find([f"{module}.weight"])
        if found is not None and module in self.turned:
            found = found.t()
        return None if found is None else found.float()

    def bias(self, module: str) -> Tensor | None:
        """[out] in fp32; None for a linear without."""
        found = self._find([f"{module}.bias"])
        return None if found is None else found.float()

    def _find(self, names: Iterable[str]) -> Tensor | None:
        opener: Any = safe_open  # untyped in safetensors
        for path in sorted(self.folder.glob("*.safetensors")):
            with opener(path, "pt") as file:
                held = set(file.keys())
                for name in names:
                    if name in held:
                        tensor: Tensor = file.get_tensor(name)
                        return tensor
        return None
