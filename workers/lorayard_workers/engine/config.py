"""How large a packed engine is and what it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.memory.quantized import Storage

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Limits of one engine. A value that cannot work raises ValueError, naming it."""

    slots: int = 8
    """Adapters in device memory at once, where `slot_bytes` has room for them."""
    slot_bytes: int | None = None
    """Device memory for all slots together; each adapter takes what its rank needs. None: room for one
    adapter of `max_rank` beside `slots - 1` of rank 16."""
    max_rank: int = 64
    """Largest rank accepted."""
    rows: int = 16
    """Requests that decode together: a step of 16 costs 1.2 times a step of one on AMX."""
    context_tokens: int | None = None
    """Prompt plus completion; None is the model's own. `kv_bytes` may lower either."""
    kv_bytes: int = 1024 * _MIB
    """Key-value cache of all rows together."""
    host_bytes: int = 1024 * _MIB
    """Packed adapters kept in host memory: about 280 of rank 8 for a 270M model."""
    costs_dir: Path | None = None
    """Where it is kept how long the forms of the multi-LoRA product take on this machine, measured at the
    first start; None measures nothing and takes usual figures."""
    packed_dir: Path | None = None
    """Where packed adapters are kept as files, so that the next load is one read; None keeps none."""
    disk_bytes: int = 4096 * _MIB
    """All files in `packed_dir`, whoever wrote them; 0 keeps none."""
    adapter_storage: Storage = Storage.MODEL
    """How adapters lie in host memory and in those files."""
    wide_bytes: int = 256 * _MIB
    """Device memory for LoRA on embedding and head, taken only by adapters that bring it, each up to
    `wide_bytes / slots`. With 8 slots that is rank 63 on the head of Gemma 3 270M."""
    precision: Precision = Precision.BF16
    base_quantization: BaseQuantization = BaseQuantization.NONE
    """Of the base model's linears and head; adapters are never quantized on the device."""
    screened_head: bool = True
    """Find greedy rows' tokens through a copy of the output projection in bytes (half of its memory again),
    where that is sound and measured to be faster: bf16 on a CPU with 8-bit dot products."""
    device: str = "auto"
    """`auto` is the first CUDA device, else the CPU."""
    threads: int | None = None
    """Torch's threads within an operation, for the whole process; None leaves torch's default."""
    prefix_reuse: bool = True
    """Rows that begin like an earlier one, with the same adapter, do not compute that part again."""
    deterministic: bool = False
    """A row's logits are the same bits whatever shares its batch. Costs a tenth of the throughput where the
    check at start finds that products allow it (bf16 on a CPU), and half of it elsewhere."""
    prefill_tokens: int = 512
    """Prompt tokens per step; longer prompts are cut into chunks, so rows that decode wait for at most
    this much."""
    json_schemas: bool = True
    """Whether requests may carry one. For a vocabulary of 262,144 tokens it takes 3 seconds at start and
    250 MB."""
    ageing_seconds: float = 2.0
    """A request that waited longer for a slot makes one drain: several times a usual answer."""
    pinned: frozenset[str] = frozenset()
    """Digests that are fetched at start and, once in a slot, never leave it."""

    def __post_init__(self) -> None:
        for name in ("slots", "max_rank", "rows", "kv_bytes", "host_bytes", "prefill_tokens"):
            self._require_positive(name, getattr(self, name))
        for name in ("context_tokens", "threads", "slot_bytes"):
            if getattr(self, name) is not None:
                self._require_positive(name, getattr(self, name))
        for name in ("ageing_seconds", "disk_bytes", "wide_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it cannot be negative")
        if len(self.pinned) >= self.slots:
            raise ValueError(f"pinned has {len(self.pinned)} adapters for {self.slots} slots: leave one free")

    @property
    def torch_device(self) -> str:
        """The device `auto` stands for on this machine."""
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def _require_positive(self, name: str, value: int) -> None:
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
