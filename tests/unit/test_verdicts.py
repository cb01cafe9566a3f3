"""What `lorayard check` makes of a yard: a word, a line as monitoring plugins write it, and numbers."""

from __future__ import annotations

import pytest

from lorayard_cli.app import run_command
from lorayard_cli.monitoring.verdict import (
    WHOLE,
    Bounds,
    Figure,
    Part,
    Status,
    Verdict,
    judge_adapters,
    judge_dead,
    judge_queue,
    judge_shares,
    judge_troubles,
    judge_workers,
    together,
)
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import (
    AdapterRow,
    AdapterTraffic,
    Overview,
    QueueRow,
    Trouble,
    TroubleLevel,
    WorkerRow,
    YardSnapshot,
)

ERRORS = Bounds(warn=0.01, crit=0.1)


def seen(**given: object) -> YardSnapshot:
    overview = Overview(unfinished=7, delayed=0, oldest_seconds=90.0, workers=2, dead_letters=3)
    usual = {"prefix": "yard", "url": "u", "release": "0", "sequence": 1, "at": 1.0, "took_ms": 1.0}
    return YardSnapshot.model_validate({**usual, "overview": overview, **given})


def adapter(name: str, **given: object) -> AdapterRow:
    usual = {"version": "1", "digest": "sha256:" + "0" * 64, "state": "active", "rank": 8, "size_bytes": 1}
    return AdapterRow.model_validate({"name": name, **usual, **given})


QUEUES = (
    QueueRow(lane=Lane.NORMAL, tenant="acme", adapter="a/b/c", jobs=4, oldest_seconds=20.0),
    QueueRow(lane=Lane.BULK, tenant="acme", adapter="a/b/c@2", jobs=2, oldest_seconds=90.0),
    QueueRow(lane=Lane.HIGH, tenant="other", adapter=None, jobs=1),
)


def test_a_line_has_the_word_the_text_and_the_numbers_in_the_form_of_plugins__f2() -> None:
    figure = Figure(name="oldest", number=12.5, unit="s", bounds=Bounds(warn=60, crit=300))
    verdict = Verdict(check="queue", status=Status.OK, text="1 job | 'x'\nof a", figures=(figure,))
    assert verdict.line == "LORAYARD QUEUE OK - 1 job / x of a | 'oldest'=12.5s;60;300;0"


@pytest.mark.parametrize(
    ("part", "jobs", "oldest", "status"),
    [
        (WHOLE, 7, 90.0, Status.WARNING),
        (Part(adapter="a/b/c"), 6, 90.0, Status.WARNING),
        (Part(adapter="a/b/c@2"), 2, 90.0, Status.WARNING),
        (Part(lane="normal"), 4, 20.0, Status.OK),
        (Part(adapter="nobody/has/it"), 0, 0.0, Status.OK),
    ],
)
def test_a_queue_is_judged_whole_or_in_part__f2(part: Part, jobs: int, oldest: float, status: Status) -> None:
    verdict = judge_queue(seen(queues=QUEUES), age=Bounds(warn=60, crit=300), depth=Bounds(), part=part)
    assert [figure.number for figure in verdict.figures] == [jobs, oldest]
    assert verdict.status is status


def test_an_age_that_nobody_has_asked_for_is_unknown_and_never_well__f2() -> None:
    age, part = Bounds(warn=60, crit=300), Part(tenant="other")
    told = judge_queue(seen(queues=QUEUES), age=age, depth=Bounds(), part=part)
    assert (told.status, "queues not known: 1" in told.text) == (Status.UNKNOWN, True)
    full = judge_queue(seen(queues=QUEUES), age=age, depth=Bounds(crit=1), part=part)
    assert full.status is Status.CRITICAL
    cut = seen(queues=QUEUES[:2], queues_left_out=3)
    assert judge_queue(cut, age=age, depth=Bounds(), part=Part(lane="normal")).status is Status.UNKNOWN
    assert judge_queue(cut, age=age, depth=Bounds()).status is Status.WARNING, "of the whole yard it is known"


def test_too_many_jobs_and_too_old_ones_are_each_enough__f2() -> None:
    for age, depth, status in (
        (Bounds(warn=60, crit=90), Bounds(), Status.CRITICAL),
        (Bounds(), Bounds(warn=7), Status.WARNING),
        (Bounds(), Bounds(crit=7), Status.CRITICAL),
        (Bounds(), Bounds(crit=8), Status.OK),
    ):
        assert judge_queue(seen(), age=age, depth=depth).status is status


def test_few_workers_and_lost_ones_are_told__f2() -> None:
    lost = WorkerRow(worker="w2", age_seconds=60.0, lost=True)
    assert judge_workers(seen(), warn=0, crit=0).status is Status.OK
    assert judge_workers(seen(), warn=2, crit=1).status is Status.WARNING
    assert judge_workers(seen(), warn=2, crit=2).status is Status.CRITICAL
    told = judge_workers(seen(workers=(lost,)), warn=0, crit=0)
    assert (told.status, "lost: w2" in told.text) == (Status.WARNING, True)


def test_adapters_that_cannot_serve_are_named__f2() -> None:
    failing = AdapterTraffic(per_second=1.0, errors=0.2)
    rows = (adapter("x/y/a", struck="bad"), adapter("x/y/b", traffic=failing), adapter("x/y/c"))
    told = judge_adapters(seen(adapters=rows), errors=ERRORS)
    assert told.status is Status.CRITICAL
    assert "struck: x/y/a@1; failing: x/y/b@1" in told.text
    assert judge_adapters(seen(adapters=rows), errors=ERRORS, adapter="x/y/c").status is Status.OK
    gone = judge_adapters(seen(adapters=rows), errors=ERRORS, adapter="x/y/z")
    assert (gone.status, gone.text) == (Status.CRITICAL, "no version of x/y/z is active")


def test_dead_letters_full_streams_and_troubles_are_judged__f2() -> None:
    assert judge_dead(seen(), Bounds(warn=1, crit=100)).status is Status.WARNING
    assert judge_dead(seen(), Bounds(warn=4)).status is Status.OK
    full = judge_shares({"A": 50.0, "B": 96.0}, Bounds(warn=80, crit=95))
    assert (full.status, full.text) == (Status.CRITICAL, "B 96 %")
    trouble = Trouble(level=TroubleLevel.WARNING, code="x", text="something")
    assert judge_troubles(seen(troubles=(trouble,))).status is Status.WARNING
    assert judge_troubles(seen()).status is Status.OK


def test_what_is_known_to_be_bad_counts_more_than_what_is_not_known__f2() -> None:
    one = Verdict(check="a", status=Status.UNKNOWN, text="?")
    two = Verdict(check="b", status=Status.WARNING, text="w")
    assert together("all", (one, two)).status is Status.WARNING
    assert together("all", (one,)).status is Status.UNKNOWN
    assert together("all", ()).status is Status.OK


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "queue", "--warn-age", "soon"),
        ("check", "queue", "--lane", "fast"),
        ("check", "queue", "--warn-age", "9", "--crit-age", "3"),
        ("check", "nothing"),
        ("check", "bus", "--timeout", "0"),
        ("check", "workers", "--url", "http://x"),
    ],
)
def test_a_wrong_command_line_is_unknown_not_critical__f2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == Status.UNKNOWN
    told = capsys.readouterr().out
    assert told.startswith("LORAYARD ")
    assert "UNKNOWN - " in told
