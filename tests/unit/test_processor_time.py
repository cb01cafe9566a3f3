"""The processor time of a yard's processes, as the bench of the bus path tells it."""

from __future__ import annotations

import os
import sys
import time

import pytest

from lorayard_cli.bench.processor_time import CLIENT, microseconds_each, processor_seconds


def test_what_a_job_took_is_told_by_process() -> None:
    before, after = {"client": 1.0, "bus": 2.0}, {"client": 1.5, "bus": 2.0, "late": 0.1}
    assert microseconds_each(before, after, 1000) == pytest.approx({"client": 500, "bus": 0, "late": 100})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_seconds_of_this_process_grow_as_it_works_and_the_dead_have_none() -> None:
    before = processor_seconds({"gone": None, "parent": os.getppid()})
    assert before.keys() == {CLIENT, "parent"}
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert processor_seconds({})[CLIENT] > before[CLIENT]
