"""Whether what became of an order is what may become of one of its kind; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.chaos.journal import Entry
from benchmarks.chaos.orders import MOST_ATTEMPTS, Kind, Order

from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.result import ErrorKind, JobResult, ResultState

POISON: Final = "delivered_too_often"
SHED: Final = "shed"
"""Its deadline would have passed while it waited: answered as expired at once, with the reason."""
DEATHS: Final = 3
"""`LORAYARD_MAX_INTERRUPTIONS`: fewer make no job poison."""
CLOCK_SECONDS: Final = 0.05
"""Of what two processes of one machine read from its clock, one after the other."""

ENDS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.PLAIN: frozenset({"succeeded"}),
    Kind.TWICE: frozenset({"succeeded"}),
    Kind.SLOW: frozenset({"succeeded"}),
    Kind.STREAM: frozenset({"succeeded"}),
    Kind.FLAKY: frozenset({"succeeded", "engine_error"}),
    Kind.HOPELESS: frozenset({"engine_error"}),
    Kind.REFUSED: frozenset({"bad_prompt"}),
    Kind.UNKNOWN: frozenset({"unknown_adapter", "adapter_unavailable"}),
    Kind.DELAYED: frozenset({"succeeded"}),
    Kind.RECALLED: frozenset({"cancelled"}),
    Kind.CANCELLED: frozenset({"succeeded", "cancelled"}),
    Kind.DEADLINE: frozenset({"succeeded", "expired", SHED}),
    Kind.POISON: frozenset({POISON}),
    Kind.ALIAS: frozenset({"succeeded", "adapter_unavailable"}),
    Kind.HTTP: frozenset({"succeeded"}),
    Kind.PROBE: frozenset({"succeeded"}),
}
"""A state, or the code of a failure."""

CHANCE: Final = frozenset(ENDS) - {Kind.POISON}
"""Kinds that blows alone may make poison: then each of the deaths is told."""


def end_of(result: JobResult) -> str:
    """Its state, or why it failed."""
    return result.error.code if result.error is not None else str(result.state)


def faults(
    order: Order, entry: Entry, results: Sequence[JobResult], letters: Sequence[DeadLetter]
) -> list[str]:
    """What is wrong with it, each in a sentence; none: nothing."""
    if order.kind is Kind.GHOST:
        return _ghost(results)
    if entry.accepted_at is None:
        return ["it never was accepted, and has a result"] if results else ["it never was accepted"]
    if len(results) != 1:
        return [f"{len(results)} results are stored"]
    (result,) = results
    rules: tuple[Callable[[Order, Entry, JobResult, Sequence[DeadLetter]], str], ...] = (
        _end,
        _letters,
        _history,
        _answer,
        _time,
        _keys,
        _stream,
    )
    return [fault for rule in rules if (fault := rule(order, entry, result, letters))]


def _ghost(results: Sequence[JobResult]) -> list[str]:
    """What cancelling it stored, so that it does not run should it come yet, and nothing else."""
    ends = [end_of(result) for result in results]
    return [] if ends in ([], ["cancelled"]) else [f"a job that never was ended as {ends}"]


def _end(order: Order, _: Entry, result: JobResult, letters: Sequence[DeadLetter]) -> str:
    end = end_of(result)
    if end in ENDS[order.kind]:
        return ""
    deaths = max((len(letter.attempts) for letter in letters), default=0)
    if end == POISON and order.kind in CHANCE and deaths >= DEATHS:
        return ""
    return f"it ended as {end}: {result.error.message if result.error else ''}"


def _letters(_: Order, __: Entry, result: JobResult, letters: Sequence[DeadLetter]) -> str:
    error = result.error if result.state is ResultState.FAILED else None
    codes = [letter.code for letter in letters]
    given_up = error is not None and error.kind in (ErrorKind.RETRYABLE, ErrorKind.POISON)
    wanted = [error.code] if error is not None and given_up else []
    return "" if codes == wanted else f"dead letters {codes}, wanted {wanted}"


def _history(order: Order, _: Entry, result: JobResult, __: Sequence[DeadLetter]) -> str:
    tries = [record.attempt for record in result.attempts if record.code != "worker_died"]
    if tries != list(range(1, len(tries) + 1)):
        return f"attempts {tries} are told"
    end = end_of(result)
    most = {Kind.FLAKY: MOST_ATTEMPTS, Kind.HOPELESS: 2}.get(order.kind, 1)
    if end == "engine_error" and not len(tries) == result.attempt == most:
        return f"given up at attempt {result.attempt} of {most}, and {len(tries)} are told"
    if end == "succeeded" and result.attempt != len(tries) + 1:
        return f"it succeeded at attempt {result.attempt}, and {len(tries)} are told"
    return ""


def _answer(order: Order, entry: Entry, result: JobResult, _: Sequence[DeadLetter]) -> str:
    maker = result.maker
    wanted = f"{order.request.prompt} by {(maker.digest if maker is not None else None) or 'base'}"
    if end_of(result) == "succeeded" and result.text != wanted:
        return f"its text is {result.text!r}, wanted {wanted!r}"
    if entry.text is not None and entry.text != result.text:
        return f"its asker was answered {entry.text!r}, stored is {result.text!r}"
    if "cancelled" in entry.cancels and end_of(result) != "cancelled":
        return f"cancelling it was answered {entry.cancels}, and it ended as {end_of(result)}"
    return ""


def _time(order: Order, entry: Entry, result: JobResult, _: Sequence[DeadLetter]) -> str:
    delay = order.request.delay_seconds
    if delay is None or entry.submitted_at is None or order.kind is Kind.RECALLED:
        return ""
    early = entry.submitted_at + delay - result.finished_at
    return f"it ended {early:.2f} s too early" if early > CLOCK_SECONDS else ""


def _keys(order: Order, entry: Entry, _: JobResult, __: Sequence[DeadLetter]) -> str:
    if order.kind is Kind.TWICE and not entry.existing:
        return "a second submit under its key made another job, or was never answered"
    return ""


def _stream(order: Order, entry: Entry, _: JobResult, __: Sequence[DeadLetter]) -> str:
    if order.kind is not Kind.STREAM:
        return ""
    return "its stream never ended" if entry.streamed is None else entry.streamed
