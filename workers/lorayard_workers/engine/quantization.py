"""Whether the base model's weights are kept in fewer bits, and what that makes of its identity."""

from __future__ import annotations

import hashlib
from enum import StrEnum


class BaseQuantization(StrEnum):
    """How the frozen linears and the output head keep their weights; adapters stay as they are."""

    NONE = "none"
    """As loaded."""
    INT8 = "int8"
    """One byte per weight and one scale per output channel; activations keep 15 bits."""
    INT4 = "int4"
    """Half a byte per weight. Refused everywhere for now: see `refusal`."""


INT4_REFUSAL = (
    "rounded to 4 bits in groups of 32, Gemma 3 270M's perplexity rises by 17 to 34 %, and torch's CPU "
    "kernel (_weight_int4pack_mm_for_cpu) is no faster than bf16 from 16 rows up: use int8"
)


def refusal(quantization: BaseQuantization, device: str, *, int8_exact: bool) -> str | None:
    """Why this machine cannot do it, naming setting, device and library; None if it can."""
    named = f"base_quantization {quantization.value} on {device}"
    if quantization is BaseQuantization.INT4:
        return f"{named}: {INT4_REFUSAL}"
    if quantization is BaseQuantization.INT8 and not device.startswith("cpu"):
        return f"{named}: only torch's CPU kernel (onednn.qlinear_pointwise) has been measured: use none"
    if quantization is BaseQuantization.INT8 and not int8_exact:
        return (
            f"{named}: torch's onednn.qlinear_pointwise is missing or saturates here (the CPU has no "
            "8-bit dot products: AVX512-VNNI or AVX-VNNI): use none"
        )
    return None


def quantized_digest(digest: str, quantization: BaseQuantization) -> str:
    """The identity of a base model so kept: its answers differ, so it must not share the plain digest.

    A digest of its own, not a suffix: everything that compares or checks digests goes on working.
    """
    if quantization is BaseQuantization.NONE:
        return digest
    # The recipe's name changes whenever the arithmetic does.
    content = f"lorayard-base-quantized-1\n{digest}\n{quantization.value}\n"
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
