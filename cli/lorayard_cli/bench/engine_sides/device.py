"""Waiting for a device: work for a GPU is only queued when a call returns."""

from __future__ import annotations

from collections.abc import Callable

import torch


def settling(device: torch.device | str) -> Callable[[], None]:
    """Waits until the device has done what it was given; on a CPU there is nothing to wait for."""
    found = torch.device(device)
    if found.type == "cuda":
        return lambda: torch.cuda.synchronize(found)
    return _nothing


def _nothing() -> None:
    """The CPU has done it when a call returns."""
