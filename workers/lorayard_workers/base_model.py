"""Loads the base model from a local folder: weights, tokenizer, identity. Nothing is fetched.

A conversation is turned into a prompt by the tokenizer's chat template. A tokenizer without one (a
base model) gets `role: content` lines, an empty line between turns, and `assistant:` at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog
import torch

import lorayard_workers.quiet_imports  # noqa: F401  # pyright: ignore[reportUnusedImport]  # before transformers

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when transformers is imported

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from lorayard_shared.logs import Event
from lorayard_workers.engine.int8_kernel import int8_is_exact
from lorayard_workers.engine.quantization import BaseQuantization, quantized_digest, refusal
from lorayard_workers.engine.request import ChatMessage
from lorayard_workers.errors import (
    BaseModelError,
    BaseModelMissingError,
    BaseModelUnsupportedError,
    RequestRefusedError,
)

transformers_logging.disable_progress_bar()  # a worker's stderr is its log

_log = structlog.stdlib.get_logger(__name__)

DIGEST_NAME = ".lorayard-digest.json"
_READ_BYTES = 1 << 22
_HOW_TO = "give a folder written by save_pretrained, with config.json and *.safetensors"


class Precision(StrEnum):
    """What the weights are cast to."""

    BF16 = "bf16"
    """For serving."""
    FP32 = "fp32"
    """For exactness checks: rows then equal PEFT's within float noise."""

    @property
    def dtype(self) -> torch.dtype:
        """The torch type."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32


FileState = tuple[str, int, int]
"""Name, size and mtime in nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """A loaded base model. `model` and `tokenizer` are transformers objects, which carry no types."""

    folder: Path
    model: Any
    tokenizer: Any
    digest: str
    context_tokens: int
    eos_ids: frozenset[int]
    quantization: BaseQuantization = BaseQuantization.NONE
    """How the engine keeps the weights; part of `digest`."""
    files: tuple[FileState, ...] = ()
    """As they were when the weights were loaded."""

    def files_unchanged(self) -> bool:
        """Whether the folder still holds what `digest` names; hashed anew only if a file looks different."""
        try:
            if file_states(self.folder) == self.files:
                return True
            return quantized_digest(base_model_digest(self.folder), self.quantization) == self.digest
        except OSError:
            return False

    def prompt_ids(self, prompt: str | Sequence[ChatMessage]) -> list[int]:
        """The prompt's tokens. Raises RequestRefusedError when the template rejects the turns."""
        if isinstance(prompt, str):
            return list(self.tokenizer(prompt)["input_ids"])
        if self.tokenizer.chat_template is None:
            return list(self.tokenizer(plain_conversation(prompt))["input_ids"])
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is the model's own program, and raises what it likes
            raise RequestRefusedError(
                "bad_messages", f"the model's chat template refuses the turns: {error}", field="prompt"
            ) from error
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def plain_conversation(turns: Sequence[ChatMessage]) -> str:
    """The turns of a conversation for a model that was never taught any template."""
    return "\n\n".join([*(f"{turn.role}: {turn.content}" for turn in turns), "assistant:"])


def load_base_model(
    folder: Path,
    *,
    precision: Precision = Precision.BF16,
    device: str = "cpu",
    quantization: BaseQuantization = BaseQuantization.NONE,
) -> BaseModel:
    """Load a model folder. Raises BaseModelError with the path and what to do."""
    _check_folder(folder)
    reason = refusal(quantization, device, int8_exact=int8_is_exact())
    if reason is not None:
        raise BaseModelUnsupportedError(folder, reason)
    files = file_states(folder)
    config = _load(folder, AutoConfig)
    if getattr(config, "auto_map", None):
        raise BaseModelUnsupportedError(folder, "it needs code of its own, which is never run")
    tokenizer = _load(folder, AutoTokenizer)
    model = load_model(folder, precision.dtype).to(device)
    return BaseModel(
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        digest=quantized_digest(base_model_digest(folder), quantization),
        quantization=quantization,
        files=files,
        context_tokens=int(model.config.max_position_embeddings),
        eos_ids=_eos_ids(model, tokenizer),
    )


def load_model(folder: Path, dtype: torch.dtype) -> Any:
    """The weights alone, on the CPU, as a transformers model. Raises BaseModelError."""
    model = _load(folder, AutoModelForCausalLM, dtype=dtype, use_safetensors=True)
    return model.eval().requires_grad_(False)


def file_states(folder: Path) -> tuple[FileState, ...]:
    """Of config.json and all weights. Raises OSError if config.json is gone."""
    return tuple((f.name, (status := f.stat()).st_size, status.st_mtime_ns) for f in _digested(folder))


def base_model_digest(folder: Path) -> str:
    """`sha256:<hex>` of config.json and all weights; remembered beside them by size and mtime."""
    state = [list(file) for file in file_states(folder)]  # as JSON has it
    remembered = _remembered(folder / DIGEST_NAME)
    if remembered.get("files") == state and isinstance(remembered.get("digest"), str):
        return str(remembered["digest"])
    digest = hashlib.sha256(b"lorayard-base-1\n")  # changes if this recipe ever does
    for path in _digested(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    name = f"sha256:{digest.hexdigest()}"
    _remember(folder / DIGEST_NAME, {"digest": name, "files": state})
    return name


def _digested(folder: Path) -> list[Path]:
    return sorted([folder / "config.json", *folder.glob("*.safetensors")])


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BaseModelMissingError(folder, f"there is no such folder; {_HOW_TO}")
    if not (folder / "config.json").is_file():
        raise BaseModelMissingError(folder, f"config.json is missing; {_HOW_TO}")
    if not any(folder.glob("*.safetensors")):
        raise BaseModelMissingError(folder, f"no *.safetensors file; {_HOW_TO}")


def _load(folder: Path, loader: Any, **settings: Any) -> Any:
    try:
        return loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **settings)
    except Exception as error:  # a broken folder breaks anything in transformers
        raise BaseModelError(folder, f"{loader.__name__} cannot load it: {error}") from error


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every id that ends a text: some chat models end turns with another token than documents."""
    found: set[int] = set()
    for holder in (model.generation_config, model.config, tokenizer):
        ids = getattr(holder, "eos_token_id", None)
        found.update(ids if isinstance(ids, list) else [ids] if isinstance(ids, int) else [])  # pyright: ignore[reportUnknownArgumentType]  # transformers' configs are untyped
    return frozenset(found)


def _remembered(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]  # JSON


def _remember(path: Path, content: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:  # a read-only model folder costs a hash at each start, nothing more
        _log.info(Event.BASE_DIGEST_NOT_REMEMBERED, path=str(path), reason=str(error))
