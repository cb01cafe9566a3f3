"""Keeps the garbage collector away from what a start leaves behind."""

from __future__ import annotations

import gc


def settle_heap() -> None:
    """Collect once, then let the collector forget all that is there; for a process that has started.

    torch, transformers and a model are some 400,000 objects that are never garbage. Each full collection
    walked over all of them and stopped every thread for 190 ms, longer than a step takes.
    """
    gc.collect()
    gc.freeze()
