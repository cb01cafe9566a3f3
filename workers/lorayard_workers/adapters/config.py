"""PEFT's adapter_config.json: what we honour, what we may ignore, and what we refuse by name.

A setting that changes what the weights mean and that we do not implement must never be skipped
silently: other servers dropped `use_rslora` that way and served adapters several times too weak.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lorayard_workers.errors import AdapterRefusedError

MAX_CONFIG_BYTES = 1 << 20
"""Real ones have 1-2 KB; the largest we have seen, with a pattern per module, had 60 KB."""

_REFUSED_WHEN_ON = {
    "use_dora": "DoRA is not supported: train with use_dora=false",
    "lora_bias": "LoRA biases are not supported: train with lora_bias=false",
    "modules_to_save": "fully trained modules are not supported: train with modules_to_save=null",
    "trainable_token_indices": "trained token embeddings are not supported",
    "layer_replication": "layer replication changes the base model and is not supported",
    "target_parameters": "LoRA on bare parameters (MoE experts) is not supported",
    "megatron_config": "Megatron layers are not supported",
    "fan_in_fan_out": "weights stored as (in, out) are not supported",
    "alora_invocation_tokens": "activated LoRA is not supported",
    "use_qalora": "QA-LoRA is not supported",
    "use_bdlora": "block-diagonal LoRA is not supported",
    "arrow_config": "Arrow routing is not supported",
    "kasa_config": "KaSA is not supported",
    "monteclora_config": "MonteCLoRA is not supported",
    "ensure_weight_tying": "tied trained modules are not supported",
}
_HARMLESS = frozenset(
    {
        # about training, or about how PEFT finds modules: the tensors themselves tell us
        *("auto_mapping", "base_model_class", "corda_config", "eva_config", "inference_mode"),
        *("layers_pattern", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core"),
        *("parent_library", "peft_version", "qalora_group_size", "revision", "runtime_config"),
        *("task_type", "velora_config"),
    }
)
_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "lora_ga"})
"""Initialisations that leave the base weights alone; PiSSA, OLoRA, CorDA and LoftQ rewrite them."""

_SAFE_PATTERN = re.compile(r"[A-Za-z0-9_.\\^$-]{1,512}")
"""Pattern keys are regular expressions from a stranger: without operators they run in linear time."""

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
    bias: Literal["none"] = "none"
    use_rslora: bool = False
    init_lora_weights: bool | str | None = True
    rank_pattern: Mapping[str, Rank] = {}
    alpha_pattern: Mapping[str, Alpha] = {}
    base_model_name_or_path: str | None = None

    @model_validator(mode="after")
    def _refuse_what_we_would_get_wrong(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in _HARMLESS or not value:
                continue
            raise ValueError(
                f"{name}: {_REFUSED_WHEN_ON.get(name, 'unknown setting, and it is switched on')}"
            )
        init = self.init_lora_weights
        if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
            raise ValueError(
                f"init_lora_weights: {init!r} rewrites the base weights; convert the adapter with "
                "PEFT's path_initial_model_for_weight_conversion"
            )
        for key in (*self.rank_pattern, *self.alpha_pattern):
            _check_pattern(key)
        return self

    def rank_of(self, module: str) -> int:
        """The rank declared for a module."""
        return self.rank_pattern.get(_pattern_for(self.rank_pattern, module), self.r)

    def scale_of(self, module: str) -> float:
        """What B·A is multiplied by for a module: alpha / r, or alpha / sqrt(r) for rsLoRA."""
        alpha = self.alpha_pattern.get(_pattern_for(self.alpha_pattern, module), self.lora_alpha)
        rank = self.rank_of(module)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    @property
    def largest_rank(self) -> int:
        """The largest rank declared for any module."""
        return max(self.r, *self.rank_pattern.values()) if self.rank_pattern else self.r

    @property
    def selects_by_name_only(self) -> bool:
        """Whether the list of targets alone says which modules must have tensors."""
        return (
            isinstance(self.target_modules, tuple)
            and self.exclude_modules is None
            and self.layers_to_transform is None
        )

    def targets(self, module: str) -> bool:
        """Whether a listed target names this module, whole or by its end."""
        assert isinstance(self.target_modules, tuple)  # asked only when selects_by_name_only
        return any(module == t or module.endswith(f".{t}") for t in self.target_modules)


def read_config(folder: Path) -> AdapterConfig:
    """Read and judge `adapter_config.json`. Raises AdapterRefusedError."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise AdapterRefusedError(folder, "adapter_config.json is missing")
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise AdapterRefusedError(
            folder, f"adapter_config.json has {size} bytes, more than {MAX_CONFIG_BYTES}"
        )
    try:
        return AdapterConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise AdapterRefusedError(folder, _first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    text = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in {"json_invalid", "model_type"}:
        return f"adapter_config.json is not a JSON object: {text}"
    given = "" if problem["type"] in {"missing", "value_error"} else f", not {problem['input']!r:.80}"
    return f"adapter_config.json: {where}: {text}{given}" if where else f"adapter_config.json: {text}"


def _check_pattern(key: str) -> None:
    if not _SAFE_PATTERN.fullmatch(key):
        raise ValueError(f"pattern key {key!r:.80}: only names, dots, \\ ^ and $ are allowed")
    try:
        re.compile(key)
    except re.error as error:
        raise ValueError(f"pattern key {key!r:.80}: {error}") from None


def _pattern_for(patterns: Mapping[str, object], module: str) -> str:
    """The first key that matches as PEFT matches (`get_pattern_key`), else the module's name."""
    return next((key for key in patterns if re.match(rf"(.*\.)?({key})$", module)), module)
