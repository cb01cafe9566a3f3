"""A worker that has started is not stopped for collecting what it was started with."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lorayard_shared.heap import settle_heap


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    settle_heap()


def test_what_is_there_is_collected_no_more_and_what_comes_later_is() -> None:
    class Loop:
        def __init__(self) -> None:
            self.me = self

    old = Loop()
    settle_heap()
    assert gc.get_freeze_count() > 1000
    assert not any(one is old for one in gc.get_objects())
    Loop()
    assert sum(isinstance(one, Loop) for one in gc.get_objects()) == 1
    gc.collect()
    assert not any(isinstance(one, Loop) for one in gc.get_objects())
