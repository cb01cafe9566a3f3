"""Pauses and caps as records: what cannot be told to anybody is none (E5)."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from lorayard_schemas.codec import encode
from lorayard_schemas.control import Cap, Controlled, Pause, cap_key, pause_key, told
from lorayard_shared.jobs.controls import ControlBook

YEAR_9999 = 253_402_300_799.0


@pytest.mark.parametrize("moment", [YEAR_9999 + 1.0, 1e300, math.inf, math.nan, -1.0])
def test_a_moment_that_no_calendar_has_ends_no_pause__e5(moment: float) -> None:
    for field in ("until", "at"):
        with pytest.raises(ValidationError):
            Pause.model_validate({"kind": "lane", "name": "normal", "why": "x", field: moment})


def test_the_last_moment_there_is_can_be_told__e5() -> None:
    pause = Pause(kind=Controlled.LANE, name="normal", why="x", until=YEAR_9999)
    assert "until 9999-12-31 23:59:59 UTC" in told(pause)


def test_a_pause_that_ends_after_all_calendars_leaves_what_there_was__e5() -> None:
    book = ControlBook()
    key = pause_key(Controlled.LANE, "normal")
    fine = Pause(kind=Controlled.LANE, name="normal", why="x")
    book.on_change(key, encode(fine), 0.0)
    assert not book.on_change(key, encode(fine.model_copy(update={"until": 1e300})), 0.0)
    assert book.paused(Controlled.LANE, "normal") == fine


def test_caps_are_set_changed_and_taken_away_by_their_keys__e5() -> None:
    book, kind = ControlBook(), Controlled.TENANT
    for most in (3, 5):
        caps = [Cap(kind=kind, name=name, why="x", most=most) for name in ("a", "b")]
        assert [book.on_change(cap_key(kind, cap.name), encode(cap), 0.0) for cap in caps] == [True, True]
        assert not book.on_change(cap_key(kind, "a"), encode(caps[0]), 0.0)
        assert [book.cap_of(cap.thing) for cap in caps] == caps
    assert book.on_change(cap_key(kind, "a"), None, 0.0)
    assert not book.on_change(cap_key(kind, "a"), None, 0.0)
    assert (book.cap_of("tenant:a"), book.cap_of("tenant:b")) == (None, caps[1])
