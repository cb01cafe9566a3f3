"""Text to vector by looking tokens up in a small table: what every decision runs."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_shared.semantic.record import EncoderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFiles:
    """An encoder as the two files that every artifact over it carries."""

    kind: EncoderKind
    tokenizer: bytes
    """tokenizer.json"""
    table: bytes
    """encoder.safetensors"""
    digest: str
    """`sha256:<hex>` over both."""
