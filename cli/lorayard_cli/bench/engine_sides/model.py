"""The model to measure on: Gemma 3 270M where it is prepared, else a random one of like size."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorayard_cli.bench.engine_sides.workload import ADAPTERS, RANK
from lorayard_cli.options import models_folder
from lorayard_workers.model_store import GEMMA3_270M, MARKER_NAME, resolve_model
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_STRENGTH = 0.05
"""Of random adapters: all of them act on every linear, and stronger ones together overflow a real model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchModel:
    """A folder and what to call it."""

    name: str
    folder: Path


def bench_model(scratch: Path) -> BenchModel:
    """Never converts anything: that takes a minute and 3 GB."""
    if (models_folder() / GEMMA3_270M / MARKER_NAME).is_file():
        return BenchModel(name=GEMMA3_270M, folder=resolve_model(GEMMA3_270M, models_folder()))
    folder = _make_random_llama(scratch)
    name = "random Llama of 162 M parameters (run `lorayard models prepare` for Gemma 3 270M)"
    return BenchModel(name=name, folder=folder)


def make_adapters(root: Path, shapes: Mapping[str, tuple[int, int]], *, count: int = ADAPTERS) -> list[Path]:
    """Random PEFT folders that fit a model's linears."""
    return [
        make_tiny_adapter(
            root / str(seed), seed=seed, rank=RANK, alpha=RANK, strength=_STRENGTH, shapes=shapes
        )
        for seed in range(count)
    ]


def _make_random_llama(scratch: Path) -> Path:
    """Hidden 1024, 12 layers: the shape of the anchors' own measurements."""
    config = LlamaConfig(
        vocab_size=8192,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=12,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        model: Any = LlamaForCausalLM(config)  # untyped from here: save_pretrained has a bare PathLike
    folder = scratch / "random-llama"
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in make_tiny_model(scratch / "tokenizer").glob("tokenizer*"):
        shutil.copy(file, folder / file.name)  # the engine wants one; prompts here are token ids
    return folder
