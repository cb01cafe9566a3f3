"""Engine modes that the bench asks for. One that this engine does not have is none, not a fault."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from lorayard_workers.engine.config import EngineConfig


def without_prefix_reuse(config: EngineConfig) -> EngineConfig:
    """For work that repeats its prompts and must be done anew each time."""
    return _with(config, {"prefix_reuse": False}) or config


def in_deterministic_mode(config: EngineConfig) -> EngineConfig | None:
    """None where the engine has no such mode."""
    return _with(config, {"deterministic": True})


def _with(config: EngineConfig, changes: dict[str, Any]) -> EngineConfig | None:
    known = {field.name for field in fields(config)}
    return replace(config, **changes) if known >= set(changes) else None
