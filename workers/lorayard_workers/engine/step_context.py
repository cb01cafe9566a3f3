"""What the patched layers of a model need to know about the step in progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorayard_workers.engine.attention_plan import AttentionPlan
from lorayard_workers.engine.kv_cache import KvCache
from lorayard_workers.engine.lora_plan import LoraPlan
from lorayard_workers.engine.users import Users


@dataclass(slots=True, kw_only=True)
class StepContext:
    """Set by the runner before each forward; one per model, read by its layers."""

    cache: KvCache
    lora: LoraPlan = field(default_factory=LoraPlan)
    attention: AttentionPlan | None = None
    users: Users | None = None
