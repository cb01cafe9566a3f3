"""How a verb of a client is called, and judged."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bus.lost.conftest import Case

Given = tuple[tuple[Any, ...], dict[str, Any]]


def given(*args: Any, **named: Any) -> Given:
    return args, named


def nothing(_case: Case, _client: Any) -> Given:
    return (), {}


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One of them."""

    path: str
    """From a client, or from a job's handle (`handle.`), which is that of `job`."""
    given: Callable[[Case, Any], Given] = nothing
    """Arguments; the client is the one that is called, blocking or not."""
    ready: Callable[[Case], Awaitable[object]] | None = None
    """Before it."""
    job: str = ""
    right: Callable[[Case, Any], Awaitable[object] | object] = lambda _case, _got: True
    """Whether what it returned is so: generators as a list."""
    changes: int = 0
    """Of what the yard keeps, with the case as their reason."""
    results: int | None = None
    """Jobs of the tenant that have ended, or will."""
    alone: bool = False
    """It changes what all share."""
    goes_on: bool = False
    """From what there is: called again it returns something else."""
    note: str = ""

    @property
    def label(self) -> str:
        return f"{self.path} ({self.note})" if self.note else self.path


def called(verb: Verb, case: Case, client: Any, more: Mapping[str, Any] | None = None) -> Any:
    """What the call returns: a value, something to await, or a generator."""
    args, named = verb.given(case, client)
    target, names = client, verb.path.split(".")
    if names[0] == "handle":
        target, names = client.handle(case.there[verb.job]), names[1:]
    for name in names:
        target = getattr(target, name)
    return target(*args, **{**named, **(more or {})})


async def call(verb: Verb, case: Case, client: Any, *, patience: float | None = None) -> Any:
    """What the call gives: generators as a list; `patience` is its time limit."""
    got = called(verb, case, client, {} if patience is None else {"timeout_seconds": patience})
    if isinstance(got, AsyncIterator):
        stream: AsyncIterator[Any] = got  # pyright: ignore[reportUnknownVariableType]  # it narrows Any to Unknown
        return [one async for one in stream]
    return await got if inspect.isawaitable(got) else got


async def of_all(verbs: Sequence[Verb], one: Callable[[Verb], Awaitable[list[str]]]) -> list[str]:
    """Faults: those of verbs that change what all share come one after the other, behind the rest."""
    together = await asyncio.gather(*(one(verb) for verb in verbs if not verb.alone))
    alone = [await one(verb) for verb in verbs if verb.alone]
    return [fault for faults in (*together, *alone) for fault in faults]


async def judged(verb: Verb, case: Case, got: Any, *, twice: bool = False) -> None:
    """Fail unless it was done, once; `twice`: it was called again, and the first time may have done it.

    Who makes a change first tells the audit trail; the second time there may be nothing left to change.
    """
    if got is not None and not (twice and verb.goes_on):
        right = verb.right(case, got)
        assert await right if inspect.isawaitable(right) else right, f"returned {got!r}"
    if verb.changes and not twice:
        assert await case.changes() == verb.changes, "changes"
    if verb.results is not None:
        wanted = verb.results

        async def ended() -> bool:
            return await case.results() >= wanted and await case.waiting() == 0

        await case.yard.wait_until(ended)
        assert await case.results() == wanted, "jobs"
