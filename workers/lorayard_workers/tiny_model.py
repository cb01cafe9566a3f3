"""A random Llama of 0.87 million parameters and LoRA adapters for it, made in a tenth of a second.

For tests, and for `lorayard up --model tiny`: every moving part is real, only the text is noise.
Nothing here is read from a network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import (
    save_file,  # pyright: ignore[reportUnknownVariableType]  # os.PathLike without its parameter
)

import lorayard_workers.quiet_imports  # noqa: F401  # pyright: ignore[reportUnusedImport]  # before transformers

HIDDEN = 128
FEED_FORWARD = 352
LAYERS = 4
HEADS = 4
KV_HEADS = 2
VOCABULARY = 512
CONTEXT_TOKENS = 2048
SPECIAL_TOKENS = ("<unk>", "<s>", "</s>")
ALL_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_KV_WIDTH = HIDDEN // HEADS * KV_HEADS
_LAYER_SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (_KV_WIDTH, HIDDEN),
    "self_attn.v_proj": (_KV_WIDTH, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
    "mlp.up_proj": (FEED_FORWARD, HIDDEN),
    "mlp.down_proj": (HIDDEN, FEED_FORWARD),
}
TINY_SHAPES: Mapping[str, tuple[int, int]] = {
    f"model.layers.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in _LAYER_SHAPES.items()
}
"""Every linear an adapter may target: module name -> (out, in)."""


def make_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a random Llama and a byte-level tokenizer to `folder`; returns it."""
    # Imported here: whoever only wants adapters should not wait two seconds for torch.
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=SPECIAL_TOKENS.index("<s>"),
        eos_token_id=SPECIAL_TOKENS.index("</s>"),
        tie_word_embeddings=False,
        initializer_range=0.08,  # large enough that greedy text differs from prompt to prompt
    )
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]  # untyped
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]  # os.PathLike
    _save_tokenizer(folder)
    return folder


def make_tiny_adapter(
    folder: Path,
    *,
    seed: int,
    rank: int = 8,
    alpha: float = 16.0,
    targets: tuple[str, ...] = ALL_TARGETS,
    rank_pattern: Mapping[str, int] | None = None,
    alpha_pattern: Mapping[str, float] | None = None,
    use_rslora: bool = False,
    strength: float = 0.5,
    shapes: Mapping[str, tuple[int, int]] = TINY_SHAPES,
    base_model: str = "tiny",
) -> Path:
    """Write a random PEFT LoRA folder that visibly changes the text; returns it.

    `shapes` (module -> (out, in)) is the tiny model's unless another model's is given. Patterns are
    keyed by the module's last name (`q_proj`).
    """
    ranks = rank_pattern or {}
    generator = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for module, (out_features, in_features) in shapes.items():
        leaf = module.rpartition(".")[2]
        if leaf not in targets:
            continue
        own_rank = ranks.get(leaf, rank)
        down = generator.standard_normal((own_rank, in_features)) / math.sqrt(in_features)
        up = generator.standard_normal((out_features, own_rank)) * strength / math.sqrt(own_rank)
        tensors[f"base_model.model.{module}.lora_A.weight"] = down.astype(np.float32)
        tensors[f"base_model.model.{module}.lora_B.weight"] = up.astype(np.float32)
    config: dict[str, object] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": list(targets),
        "rank_pattern": dict(ranks),
        "alpha_pattern": dict(alpha_pattern or {}),
        "use_rslora": use_rslora,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return folder


def _save_tokenizer(folder: Path) -> None:
    """A tokenizer of single bytes; the rest of the vocabulary are syllables only a model emits."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    symbols += islice(_syllables(), VOCABULARY - len(symbols))
    tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    wrapped.save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]  # os.PathLike


def _syllables() -> Iterator[str]:
    """Endless enough: `ba`, `be`, ... with the byte alphabet's sign for a leading space on some."""
    for lead, first, vowel in product(("", "Ġ"), "bdfghjklmnprstvz", "aeiouyäöü"):
        if vowel.isascii():
            yield f"{lead}{first}{vowel}"
    for first, vowel, last in product("bdfgklmnprst", "aeiou", "nrst"):
        yield f"{first}{vowel}{last}"
