"""What `/v1/models` tells, in OpenAI's shape with the yard's own facts beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class VersionFacts(_Told):
    """One version that this tenant may use."""

    version: str
    digest: str
    kind: str
    rank: int
    size_bytes: int
    labels: dict[str, str]
    registered_at: float
    """Unix seconds."""


class AliasFacts(_Told):
    """A word for versions; `acme/gemma3-270m/summary@stable` is a model by itself."""

    alias: str
    shares: dict[str, float]
    """Version -> percent of the requests."""


class ModelFacts(_Told):
    """What OpenAI has no place for."""

    kind: Literal["base", "choose", "adapter", "alias", "version"]
    versions: list[VersionFacts] = []
    """The newest first."""
    aliases: list[AliasFacts] = []


class ModelCard(_Told):
    """One thing that a request's `model` may name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds."""
    owned_by: str
    root: str | None = None
    """The adapter that an alias or a version is of."""
    parent: str | None = None
    lorayard: ModelFacts


class ModelList(_Told):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
