"""PEFT's adapter_config.json: what we honour, what we may ignore, and what we refuse by name.

A setting that changes what the weights mean and that we do not implement must never be skipped
silently: other servers dropped `use_rslora` that way and served adapters several times too weak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lorayard_schemas.reasons import plain_reason
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.patterns import ModulePatterns, check_expression, check_plain
from lorayard_shared.adapters.plain_file import read_plain_file

CONFIG_NAME = "adapter_config.json"

MAX_CONFIG_BYTES = 1 << 20
"""Real ones have 1-2 KB; the largest we have seen, with a pattern per module, had 60 KB."""

REFUSED_WHEN_ON = {
    "modules_to_save": "fully trained modules are not supported: train with modules_to_save=null",
    "trainable_token_indices": "trained token embeddings are not supported",
    "layer_replication": "layer replication changes the base model and is not supported",
    "target_parameters": "LoRA on bare parameters (MoE experts) is not supported",
    "megatron_config": "Megatron layers are not supported",
    "alora_invocation_tokens": "activated LoRA is not supported",
    "use_qalora": "QA-LoRA is not supported",
    "use_bdlora": "block-diagonal LoRA is not supported",
    "arrow_config": "Arrow routing is not supported",
    "kasa_config": "KaSA is not supported",
    "monteclora_config": "MonteCLoRA is not supported",
    "ensure_weight_tying": "tied trained modules are not supported",
}
HARMLESS = {
    "auto_mapping": "how PEFT finds the base model's class",
    "base_model_class": "older spelling of auto_mapping",
    "parent_library": "older spelling of auto_mapping",
    "corda_config": "how training starts; a start that rewrites the base is refused by init_lora_weights",
    "eva_config": "how training starts",
    "lora_ga_config": "how training starts",
    "loftq_config": "how training starts; LoftQ itself is refused by init_lora_weights",
    "velora_config": "how training keeps its gradients",
    "lora_dropout": "training only: off when a model answers",
    "inference_mode": "whether PEFT trains on",
    "fan_in_fan_out": "PEFT sets it by the layer's class; A and B have the same axes either way",
    "megatron_core": "where to import Megatron from; megatron_config switches it on",
    "qalora_group_size": "means something only with use_qalora",
    "runtime_config": "where PEFT computes, not what",
    "peft_version": "who wrote the folder",
    "revision": "of the base model's repository; the shapes decide",
    "task_type": "which class PEFT wraps around the model",
}
"""Settings that don't change what the tensors compute, and why."""

_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "lora_ga"})
"""Initialisations that leave the base weights alone; PiSSA, OLoRA, CorDA and LoftQ rewrite them."""

Rank = Annotated[int, Field(ge=1, le=4096, strict=True)]
Alpha = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AdapterConfig(BaseModel):
    """The settings that decide what an adapter computes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: Literal["LORA"]
    r: Rank
    lora_alpha: Alpha
    target_modules: str | tuple[str, ...] | None = None
    exclude_modules: str | tuple[str, ...] | None = None
    layers_to_transform: int | tuple[int, ...] | None = None
    layers_pattern: str | tuple[str, ...] | None = None
    bias: Literal["none"] = "none"
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    init_lora_weights: bool | str | None = True
    rank_pattern: Mapping[str, Rank] = {}
    alpha_pattern: Mapping[str, Alpha] = {}
    base_model_name_or_path: str | None = None

    @model_validator(mode="after")
    def _refuse_what_we_would_get_wrong(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in HARMLESS or not value:
                continue
            raise ValueError(f"{name}: {REFUSED_WHEN_ON.get(name, 'unknown setting, and it is switched on')}")
        init = self.init_lora_weights
        if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
            raise ValueError(
                f"init_lora_weights: {init!r} rewrites the base weights; convert the adapter with "
                "PEFT's path_initial_model_for_weight_conversion"
            )
        if self.use_dora and self.lora_bias:
            raise ValueError("lora_bias: cannot be used with use_dora")  # PEFT's rule
        self._check_patterns()
        return self

    def _check_patterns(self) -> None:
        check_plain("rank_pattern", self.rank_pattern)
        check_plain("alpha_pattern", self.alpha_pattern)
        check_plain("layers_pattern", self.layer_lists)
        for name in ("target_modules", "exclude_modules"):
            expression: object = getattr(self, name)
            if isinstance(expression, str):
                check_expression(name, expression)
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: cannot be used when target_modules is an expression")

    @property
    def layer_lists(self) -> tuple[str, ...]:
        """Names of the lists that `layers_to_transform` counts in; empty means any."""
        pattern = self.layers_pattern or ()
        return (pattern,) if isinstance(pattern, str) else pattern

    @cached_property
    def _ranks(self) -> ModulePatterns[int]:
        return ModulePatterns(self.rank_pattern)

    @cached_property
    def _alphas(self) -> ModulePatterns[float]:
        return ModulePatterns(self.alpha_pattern)

    def rank_of(self, module: str) -> int:
        """The rank declared for a module."""
        return self._ranks.find(module, self.r)

    def scale_of(self, module: str) -> float:
        """What B·A is multiplied by for a module: alpha / r, or alpha / sqrt(r) for rsLoRA."""
        alpha, rank = self._alphas.find(module, self.lora_alpha), self.rank_of(module)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    @property
    def largest_rank(self) -> int:
        """The largest rank declared for any module."""
        return max(self.r, *self.rank_pattern.values()) if self.rank_pattern else self.r


def read_config(folder: Path) -> AdapterConfig:
    """Read and judge `adapter_config.json`. Raises AdapterRefusedError."""
    try:
        data = read_plain_file(folder, CONFIG_NAME, MAX_CONFIG_BYTES)
        return AdapterConfig.model_validate_json(bytes(data))
    except FileNotFoundError:
        raise AdapterRefusedError(folder, f"{CONFIG_NAME} is missing") from None
    except ValidationError as error:
        raise AdapterRefusedError(folder, _first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    text = plain_reason(problem)
    if problem["type"] in {"json_invalid", "model_type"}:
        return f"adapter_config.json is not a JSON object: {text}"
    given = "" if problem["type"] in {"missing", "value_error"} else f", not {problem['input']!r:.80}"
    return f"adapter_config.json: {where}: {text}{given}" if where else f"adapter_config.json: {text}"
