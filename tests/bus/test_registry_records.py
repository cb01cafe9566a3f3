"""Adapter records (D1): changed by compare-and-set only, each change with who and why in the audit stream."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from lorayard_schemas.adapter import (
    TRANSITIONS,
    AdapterRecord,
    AdapterRefusal,
    AdapterState,
    StoredFile,
    record_key,
)
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode, encode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.errors import (
    ContendedError,
    RecordUnreadableError,
    TransitionError,
    VersionTakenError,
    VersionUnknownError,
)
from lorayard_shared.registry.records import Author, Records

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
ANA = Author(actor="ana@laptop", reason="the new wording")
LISTED = [(before, after) for before, moves in TRANSITIONS.items() for after in sorted(moves)]
UNLISTED = [
    (before, after)
    for before, after in product(AdapterState, AdapterState)
    if before is not after and (before, after) not in LISTED
]


def record(
    state: AdapterState = AdapterState.PUSHED, *, digest: str = "ab", version: str = "1"
) -> AdapterRecord:
    return AdapterRecord(
        name=NAME,
        version=version,
        digest=f"sha256:{digest * 32}",
        rank=4,
        alpha=8,
        targets=("q_proj",),
        size_bytes=10,
        files=(StoredFile(name="adapter_model.safetensors", sha256="0" * 64, size_bytes=10),),
        state=state,
        registered_at=1.0,
        registered_by="ana@laptop",
    )


async def audit(bus: Bus, version: str = "1") -> list[RegistryChange]:
    info = await bus.api(f"STREAM.INFO.{bus.subjects.stream('audit')}")
    last = int(info["state"]["last_seq"])
    stream, subject = bus.subjects.stream("audit"), bus.subjects.registry_audit("adapters", NAME, version)
    stored = [await bus.js.get_msg(stream, seq=number) for number in range(1, last + 1)]
    return [decode(RegistryChange, message.data or b"") for message in stored if message.subject == subject]


async def test_a_new_version_is_registered_and_found_again__d1(bus: Bus) -> None:
    records = Records(bus)
    await records.create(record(), ANA)
    kept = await records.get(NAME, "1")
    assert kept.record == record()
    (told,) = await audit(bus)
    assert (told.actor, told.verb, told.reason) == ("ana@laptop", "push", "the new wording")
    assert (told.before, told.after, told.digest) == ("", "pushed", record().digest)


async def test_a_version_taken_by_other_bytes_is_refused_with_both_digests__d1(bus: Bus) -> None:
    records = Records(bus)
    await records.create(record(), ANA)
    with pytest.raises(VersionTakenError) as caught:
        await records.create(record(digest="cd"), ANA)
    assert "ab" * 32 in str(caught.value)
    assert "cd" * 32 in str(caught.value)
    assert (await records.get(NAME, "1")).record == record()


@pytest.mark.parametrize(("before", "after"), LISTED)
async def test_a_listed_move_is_made_and_says_who_and_why__d6(
    bus: Bus, before: AdapterState, after: AdapterState
) -> None:
    records = Records(bus)
    await records.create(record(before), ANA)
    kept = await records.move(NAME, "1", after, ANA, verb="test")
    assert (kept.record.state, kept.record.changed_by, kept.record.change) == (
        after,
        "ana@laptop",
        "the new wording",
    )
    assert kept == await records.get(NAME, "1")
    assert [(told.before, told.after) for told in await audit(bus)] == [("", before), (before, after)]


@pytest.mark.parametrize(("before", "after"), UNLISTED)
async def test_an_unlisted_move_is_refused_and_changes_nothing__d6(
    bus: Bus, before: AdapterState, after: AdapterState
) -> None:
    records = Records(bus)
    await records.create(record(before), ANA)
    with pytest.raises(TransitionError) as caught:
        await records.move(NAME, "1", after, ANA, verb="test")
    assert (caught.value.before, caught.value.after) == (before, after)
    assert (await records.get(NAME, "1")).record == record(before)


async def test_a_move_to_where_it_is_writes_nothing(bus: Bus) -> None:
    records = Records(bus)
    first = await records.create(record(), ANA)
    assert await records.move(NAME, "1", AdapterState.PUSHED, ANA, verb="test") == first
    assert len(await audit(bus)) == 1


async def test_other_bytes_than_were_judged_are_not_touched(bus: Bus) -> None:
    records = Records(bus)
    await records.create(record(), ANA)
    with pytest.raises(VersionTakenError):
        await records.move(
            NAME, "1", AdapterState.VALIDATED, ANA, verb="validate", digest="sha256:" + "cd" * 32
        )
    assert (await records.get(NAME, "1")).record.state is AdapterState.PUSHED


async def test_writers_at_the_same_time_lose_none_of_their_changes(bus: Bus) -> None:
    records = Records(bus)
    await records.create(record(), ANA)

    async def label(number: int) -> None:
        def more(known: AdapterRecord) -> AdapterRecord:
            return known.model_copy(update={"labels": {**known.labels, f"n{number}": "x"}})

        await records.change(NAME, "1", more, Author(actor=f"w{number}"), verb="label")

    await asyncio.gather(*(label(number) for number in range(8)))
    assert sorted((await records.get(NAME, "1")).record.labels) == [f"n{number}" for number in range(8)]
    assert sorted(told.actor for told in await audit(bus))[1:] == [f"w{number}" for number in range(8)]


async def test_a_refusal_is_kept_with_its_module(bus: Bus) -> None:
    records = Records(bus)
    await records.create(record(), ANA)
    refusal = AdapterRefusal(reason="lora_A is [4, 9]", module="model.layers.0.q_proj", worker="w1", at=2.0)
    await records.move(NAME, "1", AdapterState.REFUSED, ANA, verb="refuse", refusal=refusal)
    assert (await records.get(NAME, "1")).record.refusal == refusal
    with pytest.raises(TransitionError, match=r"refused \(lora_A is \[4, 9\]\) and cannot become active"):
        await records.move(NAME, "1", AdapterState.ACTIVE, ANA, verb="activate")


async def test_what_was_removed_is_unknown_and_may_be_registered_anew__d6(bus: Bus) -> None:
    records = Records(bus)
    kept = await records.create(record(), ANA)
    await records.remove(kept, ANA)
    with pytest.raises(VersionUnknownError, match="acme/tiny/echo@1 is not registered"):
        await records.get(NAME, "1")
    await records.create(record(digest="cd"), ANA)
    assert [told.verb for told in await audit(bus)] == ["push", "remove", "push"]


async def test_what_was_changed_meanwhile_is_not_removed(bus: Bus) -> None:
    records = Records(bus)
    stale = await records.create(record(), ANA)
    await records.move(NAME, "1", AdapterState.VALIDATED, ANA, verb="validate")
    with pytest.raises(ContendedError):
        await records.remove(stale, ANA)
    assert (await records.get(NAME, "1")).record.state is AdapterState.VALIDATED


async def test_a_record_that_is_none_is_named_by_its_key__g3(bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    await bucket.put(record_key(NAME, "1"), b"no record")
    with pytest.raises(RecordUnreadableError, match=r"acme/tiny/echo\.1"):
        await Records(bus).get(NAME, "1")


async def test_a_record_of_an_older_worker_is_read_as_active(bus: Bus) -> None:
    old = encode(
        record(AdapterState.ACTIVE).model_copy(update={"files": (), "base_digest": "sha256:" + "0" * 64})
    )
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    await bucket.put(record_key(NAME, "1"), old)
    found = (await Records(bus).get(NAME, "1")).record
    assert (found.state, found.in_store, found.allows("anybody")) == (AdapterState.ACTIVE, False, True)
