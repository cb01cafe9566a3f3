"""A strike: jobs of an adapter, a version, a tenant or a pair of both wait until it is lifted.

Kept in the bucket `yard_control`. What runs when it comes runs on.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from lorayard_schemas.alias import Text
from lorayard_schemas.message import Message
from lorayard_schemas.names import AdapterSpec, Tenant, is_alias, key_token, split_version

STRIKES = "strike."
"""Begins the bucket keys of strikes."""

_ANY = "_"
"""In a key, for what a strike leaves open; no adapter and no tenant is called that."""


class Strike(Message):
    """What is struck, by whom, and why."""

    adapter: AdapterSpec | None = None
    """All its versions, or `name@version`; `base` for the base model."""
    tenant: Tenant | None = None
    """Alone: whatever it asks for. With an adapter: only that, only there."""
    why: Annotated[Text, StringConstraints(min_length=1)]
    by: Text = ""
    at: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Unix seconds."""

    @model_validator(mode="after")
    def _sound(self) -> Strike:
        if self.adapter is None and self.tenant is None:
            raise ValueError("name an adapter, a tenant or both")
        word = split_version(self.adapter)[1] if self.adapter is not None else None
        if word is not None and is_alias(word):
            raise ValueError(f"{self.adapter!r} is an alias: strike the version that it leads to")
        return self

    @property
    def label(self) -> str:
        """What is struck, for people."""
        tenant = f"tenant {self.tenant}" if self.tenant is not None else ""
        if self.adapter is None:
            return tenant
        adapter = "the base model" if self.adapter == "base" else f"adapter {self.adapter}"
        return f"{adapter} for {tenant}" if tenant else adapter


def strike_key(adapter: str | None, tenant: str | None) -> str:
    """The bucket key of a strike: struck twice, the later word counts."""
    name, version = split_version(adapter) if adapter is not None else (None, None)
    parts = [f"a={key_token(part)}" if part is not None else _ANY for part in (name, version, tenant)]
    return STRIKES + ".".join(parts)
