"""Every setting of PEFT's LoRA is decided on, and selects the modules that PEFT selects (C8)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists  # pyright: ignore[reportUnknownVariableType]

from lorayard_shared.adapters.config import HARMLESS, REFUSED_WHEN_ON, AdapterConfig
from lorayard_workers.adapters.selection import selected

MODULES = (
    *(
        f"model.layers.{i}.self_attn.{name}"
        for i in range(12)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    ),
    *(f"model.layers.{i}.mlp.{name}" for i in range(12) for name in ("gate_proj", "up_proj", "down_proj")),
    *(f"transformer.h.{i}.attn.c_attn" for i in range(3)),
)


def test_no_setting_of_peft_is_skipped_unseen__c8() -> None:
    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    decided = [*AdapterConfig.model_fields, *HARMLESS, *REFUSED_WHEN_ON]
    assert fields - set(decided) == set()
    assert len(decided) == len(set(decided))  # each once


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "up_proj"]},
        {"target_modules": ["proj"]},  # a part of a name is no name
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": r"model\.layers\.[0-4]\.mlp\.(?!gate).*"},
        {"target_modules": "q_proj"},  # an expression must match from end to end
        {"target_modules": ["q_proj"], "layers_to_transform": 3},
        {"target_modules": ["q_proj", "c_attn"], "layers_to_transform": [1, 10]},
        {"target_modules": ["q_proj", "c_attn"], "layers_to_transform": [1, 2], "layers_pattern": "h"},
        {
            "target_modules": ["q_proj", "c_attn"],
            "layers_to_transform": [2],
            "layers_pattern": ["h", "layers"],
        },
        {"target_modules": ["q_proj", "model.layers.5.mlp.up_proj"], "layers_to_transform": [2]},
        {"target_modules": ["q_proj"], "layers_to_transform": []},
        {"target_modules": ["q_proj", "up_proj"], "exclude_modules": ["model.layers.0.self_attn.q_proj"]},
        {"target_modules": ["q_proj", "up_proj"], "exclude_modules": ["up_proj"]},
        {"target_modules": r".*_proj", "exclude_modules": r".*\.(1|2)\..*"},
    ],
)
def test_the_modules_selected_are_those_that_peft_selects__c8(settings: dict[str, Any]) -> None:
    theirs: Any = LoraConfig(**settings)
    ours = AdapterConfig.model_validate({"peft_type": "LORA", "r": 8, "lora_alpha": 8, **settings})
    wanted = frozenset(name for name in MODULES if check_target_module_exists(theirs, name))
    assert selected(ours, MODULES) == wanted


def test_all_linear_is_every_linear_but_the_head__c8() -> None:
    ours = AdapterConfig.model_validate(
        {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": "all-linear"}
    )
    assert selected(ours, MODULES, ["lm_head", "model.embed_tokens"]) == frozenset(MODULES)
