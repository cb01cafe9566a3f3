"""Holds adapters in tiers, runs batches of mixed adapters, stores results."""

from __future__ import annotations

from lorayard_workers.spared_imports import spare_imports

spare_imports()
