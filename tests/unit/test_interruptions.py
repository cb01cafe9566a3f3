"""What tells a poison job from one that only waited long (G1)."""

from __future__ import annotations

import pytest

from lorayard_dispatcher import interruptions
from lorayard_dispatcher.interruptions import Interruptions


def test_only_deaths_of_workers_are_counted() -> None:
    counted = Interruptions()
    counted.note(["a", "b"])
    counted.note(["a"])

    assert (counted.times("a"), counted.times("b"), counted.times("c")) == (2, 1, 0)


def test_memory_is_bounded_and_the_longest_unseen_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptions, "REMEMBERED_JOBS", 2)
    counted = Interruptions()
    for key in ("a", "b", "a", "c"):
        counted.note([key])

    assert (counted.times("a"), counted.times("b"), counted.times("c")) == (2, 0, 1)
