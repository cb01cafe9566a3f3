"""Engine modes that the bench asks for."""

from __future__ import annotations

from dataclasses import replace

from lorayard_workers.engine.config import EngineConfig


def without_prefix_reuse(config: EngineConfig) -> EngineConfig:
    """For work that repeats its prompts and must be done anew each time."""
    return replace(config, prefix_reuse=False)


def in_deterministic_mode(config: EngineConfig) -> EngineConfig:
    """The same bits in any company."""
    return replace(config, deterministic=True)
