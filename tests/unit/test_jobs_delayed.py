"""When a job that was asked for later starts: pure, by whatever clock it is given (E4, bad input)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lorayard import GenerateRequest, InvalidRequestError
from lorayard.later import MOST_SECONDS, is_later, schedule_headers, starts_at
from lorayard_schemas.subjects import Subjects

NOW = 1_795_316_228.0


def start(**options: Any) -> float | None:
    return starts_at(GenerateRequest("x", **options), now=NOW)


def test_a_job_without_a_time_starts_at_once() -> None:
    assert not is_later(GenerateRequest("x"))
    assert is_later(GenerateRequest("x", delay_seconds=0))
    assert start(delay_seconds=0) is None


def test_a_delay_counts_from_the_clock_that_is_given__e4() -> None:
    assert start(delay_seconds=90) == NOW + 90
    wrong_by_a_day = starts_at(GenerateRequest("x", delay_seconds=90), now=NOW - 86_400)
    assert wrong_by_a_day == NOW - 86_400 + 90


def test_a_point_in_time_is_what_it_says_in_any_zone__e4() -> None:
    there = datetime.fromtimestamp(NOW + 60, timezone(timedelta(hours=5, minutes=45)))
    assert start(at=there) == start(at=there.astimezone(UTC)) == start(at=NOW + 60) == NOW + 60


def test_a_time_that_is_over_means_now() -> None:
    assert start(at=NOW) is None
    assert start(at=0) is None


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"delay_seconds": -1}, "delay_seconds", "from 0"),
        ({"delay_seconds": float("nan")}, "delay_seconds", "from 0"),
        ({"delay_seconds": "60"}, "delay_seconds", "from 0"),
        ({"delay_seconds": True}, "delay_seconds", "from 0"),
        ({"delay_seconds": MOST_SECONDS + 1}, "delay_seconds", "366"),
        ({"at": datetime(2026, 12, 1, 7)}, "at", "time zone"),  # noqa: DTZ001  # that is the point
        ({"at": "tomorrow"}, "at", "unix seconds"),
        ({"at": float("inf")}, "at", "unix seconds"),
        ({"at": NOW * 1000}, "at", "milliseconds"),
        ({"at": NOW + 60, "delay_seconds": 60}, "at", "one of the two"),
        ({"delay_seconds": 60, "deadline_seconds": 60}, "deadline_seconds", "before it starts"),
        ({"at": NOW + 60, "deadline_seconds": 5}, "deadline_seconds", "before it starts"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field__e4(options: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as error:
        start(**options)
    assert error.value.field == field


def test_a_deadline_after_the_start_is_in_order() -> None:
    assert start(delay_seconds=60, deadline_seconds=61) == NOW + 60


def test_the_server_is_told_the_time_to_the_microsecond_and_where_the_job_goes() -> None:
    told = schedule_headers(Subjects("yard"), "yard.jobs.bulk.acme._", NOW + 0.25)
    assert told["Nats-Schedule"] == "@at 2026-11-22T02:57:08.250000Z"
    assert told["Nats-Schedule-Target"] == "yard.due.bulk.acme._"
