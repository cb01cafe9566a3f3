"""The base of everything that travels: frozen, versioned, tolerant of fields a newer peer may write."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A nested value inside a message."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Part):
    """A whole message on the bus. `v` changes only when a reader of the old shape would be wrong."""

    v: Literal[1] = 1
