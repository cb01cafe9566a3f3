"""What traffic has taught: embeddings of prompts whose sender named the adapter. Never a text (B4)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterSpec, Digest

MAX_SAMPLES_BYTES = 32 * 2**20
"""Of one object: 20,000 vectors of 512 dimensions are 20 MB."""

MAX_DIMENSIONS = 4096


class AdapterSamples(Part):
    """Of one adapter, drawn so that each of its jobs has had the same chance."""

    seen: int = Field(ge=0)
    """Jobs among which these were drawn."""
    vectors: Annotated[bytes, Field(max_length=MAX_SAMPLES_BYTES)] = b""
    """float16, little endian, one vector after the other."""


class TrafficSamples(Message):
    """Of one partition, as its dispatcher last wrote them into the object store of payloads."""

    encoder: Digest
    """What made the vectors: others cannot be compared with them."""
    dimensions: int = Field(ge=1, le=MAX_DIMENSIONS)
    adapters: dict[AdapterSpec, AdapterSamples] = Field(default_factory=dict)
    """By the name that jobs gave."""
    at: float = 0.0
    """Unix seconds."""


def samples_object(partition: int) -> str:
    """The name of a partition's object."""
    return f"semantic-samples-{partition}"
