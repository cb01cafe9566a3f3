"""The base of everything that travels: frozen, versioned, tolerant of fields a newer peer may write."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

CONTRACT_VERSION = "1.0.0"
"""Of what travels, as a whole: the first number is the `v` of every message, the second grows with subjects,
messages and fields that are new, the third with words."""


class Part(BaseModel):
    """A nested value inside a message."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Part):
    """A whole message on the bus. `v` changes only when a reader of the old shape would be wrong."""

    v: Literal[1] = 1
