"""The judge of the ledger finds each thing that must not be."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from benchmarks.chaos.journal import Entry, Journal, read_journal
from benchmarks.chaos.orders import Kind, Order, draw_orders
from benchmarks.chaos.verdicts import faults

from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState

ORDERS = {order.kind: order for order in draw_orders(Random(1), 1000)}
ENTRY = Entry(submitted_at=100.0, accepted_at=100.5, existing=1, streamed="")


def succeeded(order: Order, *, tries: int = 0) -> JobResult:
    text = f"{order.request.prompt} by base"
    result = JobResult(job="j", tenant="t", state=ResultState.SUCCEEDED, text=text, finished_at=1000.0)
    return result.model_copy(update={"attempt": tries + 1, "attempts": attempts(tries)})


def failed(kind: ErrorKind, code: str, *, tries: int = 0) -> JobResult:
    error = ResultError(kind=kind, code=code, message="because")
    result = JobResult(job="j", tenant="t", state=ResultState.FAILED, error=error, finished_at=1000.0)
    return result.model_copy(update={"attempt": max(1, tries), "attempts": attempts(tries)})


def attempts(count: int, code: str = "engine_error") -> tuple[AttemptRecord, ...]:
    return tuple(
        AttemptRecord(attempt=number + 1, worker="w1", code=code, message="", at=1.0)
        for number in range(count)
    )


def letter(code: str, deaths: int = 0) -> DeadLetter:
    told = attempts(deaths, "worker_died")
    return DeadLetter(subject="s", sequence=1, code=code, reason="", body=b"", at=1.0, attempts=told)


CANCELLED = JobResult(job="j", tenant="t", state=ResultState.CANCELLED, finished_at=1000.0)
GIVEN_UP = failed(ErrorKind.RETRYABLE, "engine_error", tries=2)
SHED = failed(ErrorKind.RETRYABLE, "shed").model_copy(update={"state": ResultState.EXPIRED})
POISON = failed(ErrorKind.POISON, "delivered_too_often")


def test_what_may_be_is_no_fault() -> None:
    plain, flaky, cancelled = ORDERS[Kind.PLAIN], ORDERS[Kind.FLAKY], ORDERS[Kind.CANCELLED]
    assert not faults(plain, ENTRY, [succeeded(plain)], [])
    assert not faults(flaky, ENTRY, [succeeded(flaky, tries=3)], [])
    assert not faults(ORDERS[Kind.HOPELESS], ENTRY, [GIVEN_UP], [letter("engine_error")])
    assert not faults(cancelled, replace(ENTRY, cancels=["cancelled"]), [CANCELLED], [])
    assert not faults(cancelled, replace(ENTRY, cancels=["finished"]), [succeeded(cancelled)], [])
    assert not faults(ORDERS[Kind.POISON], ENTRY, [POISON], [letter("delivered_too_often", deaths=3)])
    assert not faults(plain, ENTRY, [POISON], [letter("delivered_too_often", deaths=3)]), "by blows alone"
    assert not faults(ORDERS[Kind.GHOST], Entry(), [CANCELLED], [])
    assert not faults(ORDERS[Kind.DEADLINE], ENTRY, [SHED], [])


@pytest.mark.parametrize(
    ("kind", "entry", "results", "letters", "told"),
    [
        (Kind.PLAIN, ENTRY, [], [], "0 results"),
        (Kind.PLAIN, ENTRY, [CANCELLED, CANCELLED], [], "2 results"),
        (Kind.PLAIN, ENTRY, [CANCELLED], [], "it ended as cancelled"),
        (Kind.PLAIN, ENTRY, [POISON], [letter("delivered_too_often", deaths=2)], "delivered_too_often"),
        (Kind.PLAIN, Entry(), [CANCELLED], [], "never was accepted, and has a result"),
        (Kind.PLAIN, Entry(), [], [], "never was accepted"),
        (Kind.GHOST, Entry(), [GIVEN_UP], [], "never was"),
        (Kind.HOPELESS, ENTRY, [GIVEN_UP], [], "dead letters"),
        (
            Kind.HOPELESS,
            ENTRY,
            [failed(ErrorKind.RETRYABLE, "engine_error", tries=1)],
            [letter("engine_error")],
            "1",
        ),
        (
            Kind.REFUSED,
            ENTRY,
            [failed(ErrorKind.PERMANENT, "bad_prompt")],
            [letter("bad_prompt")],
            "dead letters",
        ),
        (Kind.PLAIN, ENTRY, [succeeded(ORDERS[Kind.SLOW])], [], "its text is"),
        (
            Kind.FLAKY,
            ENTRY,
            [succeeded(ORDERS[Kind.FLAKY], tries=1).model_copy(update={"attempt": 3})],
            [],
            "attempt 3",
        ),
        (
            Kind.CANCELLED,
            replace(ENTRY, cancels=["cancelled"]),
            [succeeded(ORDERS[Kind.CANCELLED])],
            [],
            "was answered",
        ),
        (
            Kind.DELAYED,
            replace(ENTRY, submitted_at=999.9),
            [succeeded(ORDERS[Kind.DELAYED])],
            [],
            "too early",
        ),
        (Kind.TWICE, replace(ENTRY, existing=0), [succeeded(ORDERS[Kind.TWICE])], [], "second submit"),
        (
            Kind.HTTP,
            replace(ENTRY, text="another's"),
            [succeeded(ORDERS[Kind.HTTP])],
            [],
            "its asker was answered",
        ),
        (Kind.STREAM, replace(ENTRY, streamed=None), [succeeded(ORDERS[Kind.STREAM])], [], "never ended"),
        (Kind.STREAM, replace(ENTRY, streamed="told ''"), [succeeded(ORDERS[Kind.STREAM])], [], "told ''"),
    ],
)
def test_each_thing_that_must_not_be_is_found__e3__g1(
    kind: Kind, entry: Entry, results: list[JobResult], letters: list[DeadLetter], told: str
) -> None:
    found = faults(ORDERS[kind], entry, results, letters)
    assert any(told in fault for fault in found), found


def test_a_seed_draws_the_same_jobs() -> None:
    first, second, other = Random(1), Random(1), Random(2)
    assert draw_orders(first, 300) == draw_orders(second, 300) != draw_orders(other, 300)
    assert {order.kind for order in draw_orders(first, 300, [Kind.SLOW])} == {Kind.SLOW}


def test_a_journal_whose_writer_was_killed_in_mid_line_is_read_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    assert read_journal(path) == ({}, False)
    Journal(path).write("a", submitted_at=1.0)
    with path.open("ab") as file:
        file.write(b'{"key": "a", "accep')
    journal = Journal(path)
    journal.write("a", accepted_at=2.0, existing=True)
    journal.write("a", accepted_at=3.0, cancel="finished")
    journal.finish()
    assert read_journal(path) == (
        {"a": Entry(submitted_at=1.0, accepted_at=2.0, existing=1, cancels=["finished"])},
        True,
    )
