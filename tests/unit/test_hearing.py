"""Who is deaf or blind is found within two seconds, by a clock that the test moves (F4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lorayard_shared.bus.hearing import (
    FOUND_SECONDS,
    HEARTBEAT_SECONDS,
    PullHearing,
    WatchHearing,
)

STEP_SECONDS = 0.01


def seconds_until(found: Callable[[float], bool]) -> float:
    """Since the last that was heard, at 0; asked again and again, as `health` does."""
    steps = 1
    while not found(steps * STEP_SECONDS):
        steps += 1
        assert steps * STEP_SECONDS < 10 * FOUND_SECONDS, "it is never found"
    return steps * STEP_SECONDS


class Looking:
    """A watch that hears nothing from 0 on, and looks as often as it says that it does."""

    def __init__(self, newest: int | None) -> None:
        """What the bus says of the bucket's newest revision; None: it says nothing."""
        self.hearing, self._newest = WatchHearing(), newest
        self.hearing.hears(7)
        self._looks_at = self.hearing.patience_seconds

    def blind(self, now: float) -> bool:
        if now >= self._looks_at:
            self.hearing.unsure(now)
            if self._newest is not None:
                self.hearing.missed(self._newest)
            self._looks_at = now + self.hearing.patience_seconds
        return self.hearing.blind(now)


@pytest.mark.parametrize("newest", [8, None], ids=["a change does not come", "the bus says nothing"])
def test_a_blind_watch_is_found_within_two_seconds__f4(newest: int | None) -> None:
    assert seconds_until(Looking(newest).blind) <= FOUND_SECONDS


def test_a_watch_of_a_bucket_that_does_not_change_is_not_blind() -> None:
    looking = Looking(7)
    assert not any(looking.blind(step * 0.1) for step in range(600))


def test_what_was_on_its_way_at_one_look_and_has_come_is_not_missed() -> None:
    hearing = WatchHearing()
    hearing.hears(7)
    assert not hearing.missed(8), "it may be on its way"
    hearing.hears(8)
    assert not hearing.missed(9)
    assert hearing.missed(9)
    hearing.listed(9)
    assert not hearing.blind(100.0)


def test_a_deaf_puller_is_found_within_two_seconds__f4() -> None:
    hearing = PullHearing()
    hearing.asks(0.0, room=True)
    hearing.served(0.0)
    assert seconds_until(hearing.deaf) <= FOUND_SECONDS


def test_a_puller_is_not_deaf_while_the_server_speaks_or_it_asks_for_nothing() -> None:
    hearing = PullHearing()
    hearing.asks(0.0, room=True)
    for beat in range(20):
        assert not hearing.deaf(beat * HEARTBEAT_SECONDS)
        hearing.served(beat * HEARTBEAT_SECONDS)
    hearing.asks(10.0, room=False)
    assert not hearing.deaf(100.0)
    hearing.asks(100.0, room=True)
    assert not hearing.deaf(100.0 + HEARTBEAT_SECONDS), "it has asked anew"
