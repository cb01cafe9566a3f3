"""What happens again and again is told once per interval, with how often."""

from __future__ import annotations

from lorayard_shared.repeated import Repeated


def test_the_first_time_is_told_at_once_and_the_next_after_the_interval_with_the_count() -> None:
    now = [0.0]
    repeated = Repeated(every_seconds=10.0, clock=lambda: now[0])
    told = []
    for at in (0.0, 1.0, 9.9, 10.0, 11.0, 50.0):
        now[0] = at
        told.append(repeated.again())
    assert told == [1, None, None, 3, None, 2]
