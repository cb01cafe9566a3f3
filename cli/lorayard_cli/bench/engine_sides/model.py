"""The model to measure on: one of random weights by name, else Gemma 3 270M where it is prepared."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import models_folder
from lorayard_workers.model_store import GEMMA3_270M, MARKER_NAME, resolve_model
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_STRENGTH = 0.05
"""Of random adapters: all of them act on every linear, and stronger ones together overflow a real model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama's sizes."""

    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int


RANDOM_MODELS: Mapping[str, Shape] = MappingProxyType(
    {
        "random-tiny": Shape(vocabulary=512, hidden=128, feed_forward=352, layers=2, heads=4, kv_heads=2),
        # A step of it takes some milliseconds: hundreds of requests are affordable, and what the engine's
        # books cost shows more than it would beside a larger model.
        "random-55m": Shape(vocabulary=4096, hidden=1024, feed_forward=2816, layers=4, heads=16, kv_heads=16),
        "random-162m": Shape(
            vocabulary=8192, hidden=1024, feed_forward=2816, layers=12, heads=16, kv_heads=16
        ),
        # Llama 3.2 1B and Llama 2 7B.
        "random-1b": Shape(
            vocabulary=128256, hidden=2048, feed_forward=8192, layers=16, heads=32, kv_heads=8
        ),
        "random-7b": Shape(
            vocabulary=32000, hidden=4096, feed_forward=11008, layers=32, heads=32, kv_heads=32
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchModel:
    """A folder and what to call it."""

    name: str
    folder: Path


def bench_model(scratch: Path, name: str | None = None) -> BenchModel:
    """Never converts anything: that takes a minute and 3 GB.

    Raises CommandError when no random model has this name.
    """
    if name is not None:
        return _random_model(scratch, name)
    if not (models_folder() / GEMMA3_270M / MARKER_NAME).is_file():
        found = _random_model(scratch, "random-162m")
        return replace(found, name=f"{found.name} (run `lorayard models prepare` for Gemma 3 270M)")
    prepared = resolve_model(GEMMA3_270M, models_folder())
    return BenchModel(name=GEMMA3_270M, folder=prepared)


def make_adapter(folder: Path, shapes: Mapping[str, tuple[int, int]], *, rank: int) -> None:
    """A random PEFT folder that fits a model's linears; its name is the seed."""
    make_tiny_adapter(folder, seed=int(folder.name), rank=rank, alpha=rank, strength=_STRENGTH, shapes=shapes)


def _random_model(scratch: Path, name: str) -> BenchModel:
    shape = RANDOM_MODELS.get(name)
    if shape is None:
        message = f"--model must be one of {', '.join(RANDOM_MODELS)}, got {name!r}"
        raise CommandError(ExitCode.USAGE, "usage", message, field="model")
    return BenchModel(name=name, folder=_make_random_llama(scratch / name, shape))


def _make_random_llama(folder: Path, shape: Shape) -> Path:
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    default = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]  # untyped in torch
        torch.set_default_dtype(torch.bfloat16)  # 7 billion parameters in fp32 would be twice the memory
        try:
            model: Any = LlamaForCausalLM(config)  # untyped from here: save_pretrained has a bare PathLike
        finally:
            torch.set_default_dtype(default)
    model.save_pretrained(folder)
    for file in make_tiny_model(folder / "tokenizer").glob("tokenizer*"):
        shutil.copy(file, folder / file.name)  # the engine wants one
    shutil.rmtree(folder / "tokenizer")
    return folder
