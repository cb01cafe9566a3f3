"""Several adapters as one that stands for itself: what an engine derives for them, as a PEFT folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import safetensors.torch
from torch import Tensor

from lorayard_schemas.composition import AppliedComposition, CompositionPolicy
from lorayard_shared.adapters.config import CONFIG_NAME
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import WEIGHTS_NAME, AdapterFile, LoraPair, read_adapter
from lorayard_shared.adapters.prompt_template import TEMPLATE_NAME
from lorayard_workers.memory.derive import derive, summable
from lorayard_workers.memory.packing import raw_to_tensor
from lorayard_workers.service.job_composition import engine_composition

_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""As decoders of the Llama kind call and order them. Masks of `dare_*` are drawn linear by linear: in a model
with other names they are others than those of a composed request, drawn in the model's own order."""


def write_merged(
    applied: AppliedComposition, folders: Sequence[Path], target: Path, *, template: str | None
) -> None:
    """Write the one adapter that a composition of these folders stands for; `sum` becomes an exact `cat`.

    Its weights are float32 with all scales folded in, as an engine has them before it casts them: answers
    are those of the composition. The same recipe gives the same bytes.

    Raises:
        AdapterRefusedError: a part cannot be read, is no plain LoRA, or does not go with the others.
        RequestRefusedError: the policy cannot merge parts of these ranks.
    """
    parts = [summable(read_adapter(folder)) for folder in folders]
    _check_shapes(parts)
    asked = engine_composition(applied)
    if applied.summed:
        asked = replace(asked, policy=CompositionPolicy.CAT)
    pairs = derive(asked, parts, _in_order(parts)).pairs
    target.mkdir(parents=True)
    tensors = {name: tensor for module, pair in pairs.items() for name, tensor in _tensors(module, pair)}
    safetensors.torch.save_file(tensors, target / WEIGHTS_NAME, metadata={"format": "pt"})
    config = json.dumps(_config(parts, pairs), indent=2, sort_keys=True)
    (target / CONFIG_NAME).write_text(config, encoding="utf-8")
    if template is not None:
        (target / TEMPLATE_NAME).write_bytes(template.encode())


def _check_shapes(parts: Sequence[AdapterFile]) -> None:
    """Parts that say nothing of their base model may still be made for different ones."""
    seen: dict[str, tuple[int, int, bool]] = {}
    for part in parts:
        for module, pair in part.pairs.items():
            shape = (pair.b.shape[0], pair.a.shape[1], pair.embedding)
            if seen.setdefault(module, shape) != shape:
                out, into, _ = seen[module]
                raise AdapterRefusedError(
                    part.path,
                    f"{module}: changes a [{shape[0]}, {shape[1]}] matrix, and a part before it "
                    f"a [{out}, {into}] one: they are made for different base models",
                    module=module,
                )


def _in_order(parts: Sequence[AdapterFile]) -> list[str]:
    """All modules as a model has them: the embedding, layer by layer, the head."""
    embeddings = {module for part in parts for module, pair in part.pairs.items() if pair.embedding}

    def place(module: str) -> tuple[int, list[int], int, str]:
        layers = [int(word) for word in module.split(".") if word.isdecimal()]
        leaf = module.rpartition(".")[2]
        where = 0 if module in embeddings else 1 if layers else 2
        return where, layers, _LINEARS.index(leaf) if leaf in _LINEARS else len(_LINEARS), module

    return sorted({module for part in parts for module in part.pairs}, key=place)


def _tensors(module: str, pair: LoraPair) -> list[tuple[str, Tensor]]:
    """By PEFT's names; the scale, which only `priority` leaves at other than 1, goes into B."""
    a, b = raw_to_tensor(pair.a).float(), raw_to_tensor(pair.b).float() * pair.scale
    ending = "lora_embedding_{}" if pair.embedding else "lora_{}.weight"
    return [
        (f"base_model.model.{module}.{ending.format(side)}", tensor.contiguous())
        for side, tensor in (("A", a), ("B", b))
    ]


def _config(parts: Sequence[AdapterFile], pairs: Mapping[str, LoraPair]) -> dict[str, object]:
    """alpha is the rank everywhere: what is written is B·A itself."""
    rank, others = _ranks({module: pair.rank for module, pair in pairs.items()})
    bases = {part.config.base_model_name_or_path for part in parts}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": bases.pop() if len(bases) == 1 else None,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": _targets(parts, pairs),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def _ranks(ranks: Mapping[str, int]) -> tuple[int, dict[str, int]]:
    """The usual rank, and patterns for the modules of another: by last name where that says it."""
    usual = Counter(ranks.values()).most_common(1)[0][0]
    of_leaf: dict[str, set[int]] = {}
    for module, rank in ranks.items():
        of_leaf.setdefault(module.rpartition(".")[2], set()).add(rank)
    others: dict[str, int] = {}
    for module, rank in ranks.items():
        leaf = module.rpartition(".")[2]
        if rank != usual:
            others[re.escape(leaf if len(of_leaf[leaf]) == 1 else module)] = rank
    return usual, others


def _targets(parts: Sequence[AdapterFile], pairs: Mapping[str, LoraPair]) -> list[str]:
    """What the parts' lists name together; whole names where one selects in another way."""
    lists = [part.config.target_modules for part in parts]
    narrowed = any(part.config.exclude_modules or part.config.layers_to_transform for part in parts)
    if narrowed or not all(isinstance(names, tuple) for names in lists):
        return sorted(pairs)
    return sorted({name for names in lists if isinstance(names, tuple) for name in names})
