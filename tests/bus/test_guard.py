"""A version that fails is stopped by itself, over the real bus (D4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_dispatcher.guard import GUARD, led_by_aliases, read_answer
from lorayard_schemas.alias import AliasRecord, GuardRule
from lorayard_schemas.job import Job
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

ANA = Author(actor="ana", reason="try 2")


def told(version: str, revision: int, **more: Any) -> dict[str, Any]:
    """A result as a worker writes it."""
    alias = {"name": f"{ADAPTER}@stable", "revision": revision}
    return {"maker": {"version": version, "alias": alias}, "state": "succeeded", **more}


def told_as_a_part(version: str, revision: int, **more: Any) -> dict[str, Any]:
    """The same where the version was one of several, and no alias led to the other."""
    single = told(version, revision, **more)
    maker = {"composition": {"parts": [{"version": "7"}, single["maker"]]}}
    return {**single, "maker": maker}


@pytest.mark.parametrize("told", [told, told_as_a_part], ids=["alone", "part"])
async def test_a_version_that_fails_loses_its_share_to_the_control_by_the_guard__d4__c7(
    told: Callable[..., dict[str, Any]], yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    versions = {version: await yard.record(ADAPTER, version) for version in ("1", "2")}
    store = AliasStore(yard.bus)
    for weights in ((("1", 100.0),), (("1", 80.0), ("2", 20.0))):
        wish = SplitWish(adapter=ADAPTER, alias="stable", weights=weights, guard=GuardRule())
        made = await store.split(wish, versions, ANA)
    assert (made.control, made.revision) == ("1", 2)

    async def stopped() -> bool:
        for number in range(10):
            failed = {"state": "failed", "error": {"kind": "retryable", "code": "engine"}}
            answers = [told("1", 2), told("2", 2, **failed), told("2", 1, **failed), {"maker": None}, {}]
            for body in answers:
                await yard.bus.nc.publish(yard.bus.subjects.done("acme", f"j{number}"), msgpack.packb(body))
        return (await now(store)).revision > 2

    await wait_until(stopped)
    found = await now(store)
    assert (found.shares, found.by, found.stopped, found.revision) == ("1=100 2=0", GUARD, ("2",), 3)
    assert "2 failed in" in found.why
    await yard.publish(Job(id="j", prompt="x"), adapter=ADAPTER)
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert maker.version == "1"
    back = await store.roll_back(ADAPTER, "stable", None, versions, ANA)
    assert back.shares == "1=100", "no return leads to what was stopped"


async def now(store: AliasStore) -> AliasRecord:
    """The alias as it is."""
    return (await store.past(ADAPTER, "stable"))[-1]


def test_an_answer_counts_for_every_part_that_an_alias_led_to__c7__d4() -> None:
    two = {"version": "2", "alias": {"name": "a@stable", "revision": 4}}
    three = {"version": "3", "alias": {"name": "b@next", "revision": 1}}
    parts = [two, {"version": "9"}, three, {"version": "8", "alias": None}]
    made = {"maker": {"composition": {"parts": parts}}, "state": "succeeded"}
    assert list(led_by_aliases(made)) == [("2", two["alias"]), ("3", three["alias"])]
    assert list(led_by_aliases({"maker": {**two, "composition": None}})) == [("2", two["alias"])]


@pytest.mark.parametrize(
    ("more", "failed", "milliseconds"),
    [
        ({"timings": {"total_ms": 50.0, "queued_ms": 20.0, "load_ms": 5.0}}, False, 25.0),
        ({}, False, 0.0),
        ({"state": "failed", "error": {"kind": "retryable", "code": "c"}}, True, None),
        ({"state": "failed", "error": {"kind": "poison", "code": "c"}}, True, None),
        ({"state": "failed", "error": {"kind": "permanent", "code": "c"}}, True, None),
    ],
)
def test_what_counts_against_a_version__d4(more: Any, failed: bool, milliseconds: float | None) -> None:
    answer = read_answer(told("1", 1, **more), "1")
    assert answer is not None
    assert (answer.version, answer.failed, answer.milliseconds) == ("1", failed, milliseconds)


@pytest.mark.parametrize(
    "more",
    [
        {"state": "failed", "error": {"kind": "permanent", "code": "c", "field": "prompt"}},
        {"state": "cancelled"},
        {"state": "expired"},
    ],
)
def test_what_is_the_requests_own_counts_against_none__d4(more: Any) -> None:
    assert read_answer(told("1", 1, **more), "1") is None


@pytest.mark.parametrize("more", [{"state": "failed", "error": "of its own form"}, {"timings": "fast"}])
def test_what_is_no_result_is_not_taken_for_one__d4(more: Any) -> None:
    """As whoever listens expects it: any other error would be nobody's."""
    with pytest.raises(TypeError):
        read_answer(told("1", 1, **more), "1")
