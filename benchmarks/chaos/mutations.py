"""Faults put into a worker on purpose: a ledger that sees none of them would see nothing.

Each happens once in the life of a worker: an ack that is never sent, a result that is stored twice (under a
subject that others would read too), and two tenants' answers in each other's place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, cast

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_workers.service.execution import Execution
from lorayard_workers.service.held_jobs import HeldJob

MUTATIONS: Final = ("drop_ack", "store_twice", "swap_tenants")


def mutate(names: Sequence[str]) -> None:
    """Put them in. Raises KeyError for one that is unknown."""
    ways: dict[str, Callable[[], None]] = {
        "drop_ack": _drop_ack,
        "store_twice": _store_twice,
        "swap_tenants": _swap_tenants,
    }
    for name in names:
        ways[name]()


_Acks = Callable[[Execution, Sequence[HeldJob]], None]
_Stores = Callable[[ResultStore, Sequence[PackedResult]], "asyncio.Future[list[Stored | None]]"]


def _drop_ack() -> None:
    send = cast("_Acks", Execution._ack)  # a mutation is made inside  # pyright: ignore[reportPrivateUsage]
    left = [1]

    def ack(self: Execution, done: Sequence[HeldJob]) -> None:
        if done and left:
            left.pop()
            lost, done = done[0], done[1:]
            self._held.drop(lost.key)  # pyright: ignore[reportPrivateUsage]
            self._leases.release(lost.assigned.lease)  # pyright: ignore[reportPrivateUsage]
        send(self, done)

    Execution._ack = ack  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]


def _store_twice() -> None:
    store = ResultStore.try_together
    left = [1]

    async def try_together(self: ResultStore, results: Sequence[PackedResult]) -> list[Stored | None]:
        stored = await store(self, results)
        if results and left:
            left.pop()
            twin = replace(results[0], job=f"{results[0].job[:60]}-2")
            await store(self, [twin])
        return stored

    ResultStore.try_together = try_together  # type: ignore[method-assign]


def _swap_tenants() -> None:
    store = ResultStore.try_together
    kept: list[PackedResult] = []
    left = [1]

    async def try_together(self: ResultStore, results: Sequence[PackedResult]) -> list[Stored | None]:
        if left and not kept:
            kept.extend(results[:1])
        if left and kept and (other := next((one for one in results if one.tenant != kept[0].tenant), None)):
            left.pop()
            results = [_with_text_of(one, kept[0]) if one is other else one for one in results]
        return await store(self, results)

    ResultStore.try_together = try_together  # type: ignore[method-assign]


def _with_text_of(result: PackedResult, other: PackedResult) -> PackedResult:
    text = decode(JobResult, other.body).text
    body = encode(decode(JobResult, result.body).model_copy(update={"text": text}))
    return replace(result, body=body)
