"""How often, and how soon, a job that failed in a way that may pass is tried again."""

from __future__ import annotations

from pydantic import Field, model_validator

from lorayard_schemas.attempt import MAX_ATTEMPTS
from lorayard_schemas.message import Part

MAX_BASE_SECONDS = 3600.0
MAX_CAP_SECONDS = 86_400.0
"""A result lives as long by default: who asks for it later would find it gone."""


class Retry(Part):
    """A wish of a job or a tenant; what is None is left to the tenant's record, then to settings."""

    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)
    """In all: 1 tries once."""
    base_seconds: float | None = Field(default=None, ge=0.1, le=MAX_BASE_SECONDS, allow_inf_nan=False)
    """The shortest wait before another attempt."""
    cap_seconds: float | None = Field(default=None, ge=0.1, le=MAX_CAP_SECONDS, allow_inf_nan=False)
    """The longest."""
    dead_letter: bool | None = None
    """Whether a dead letter is left beside the failed result when the job is given up."""

    @model_validator(mode="after")
    def _in_order(self) -> Retry:
        base, cap = self.base_seconds, self.cap_seconds
        if base is not None and cap is not None and base > cap:
            raise ValueError(f"base_seconds {base:g} is above cap_seconds {cap:g}")
        return self
