"""Texts kept by reference: what comes back is what was promised, or an error that says why not (G3, G5)."""

from __future__ import annotations

import hashlib

import nats.errors
import pytest

import lorayard_shared.bus.payloads
from lorayard_schemas.job import PayloadRef
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.object_writes import CHUNK_BYTES
from lorayard_shared.bus.payloads import MAX_BYTES, PayloadStore
from lorayard_shared.errors import PayloadMissingError

pytestmark = pytest.mark.bus


@pytest.mark.parametrize(
    "text", ["", "ünï\0", "x" * (2 * CHUNK_BYTES + 1)], ids=["empty", "short", "three chunks"]
)
async def test_a_text_comes_back_as_it_went(text: str, bus: Bus) -> None:
    store = PayloadStore(bus)
    ref = await store.put("k", text)
    assert ref.size_bytes == len(text.encode())
    assert await store.get(ref) == text


async def test_the_same_text_may_be_put_again(bus: Bus) -> None:
    store = PayloadStore(bus)
    assert await store.put("k", "text") == await store.put("k", "text")
    assert await store.get(await store.put("k", "text")) == "text"


async def test_a_text_that_was_never_put_is_missing(bus: Bus) -> None:
    with pytest.raises(PayloadMissingError, match="not in the store") as caught:
        await PayloadStore(bus).get(PayloadRef(key="k", sha256="0" * 64, size_bytes=1))
    assert caught.value.key == "k"


async def test_a_text_that_was_deleted_is_missing(bus: Bus) -> None:
    store = PayloadStore(bus)
    ref = await store.put("k", "text")
    await (await bus.js.object_store(bus.subjects.bucket("payloads"))).delete("k")
    with pytest.raises(PayloadMissingError, match="not in the store"):
        await store.get(ref)


async def test_another_text_under_the_key_is_not_taken_for_it(bus: Bus) -> None:
    store = PayloadStore(bus)
    ref = await store.put("k", "what was promised")
    await store.put("k", "another")
    with pytest.raises(PayloadMissingError, match="not those that were promised"):
        await store.get(ref)


async def test_bytes_that_are_no_text_are_refused(bus: Bus) -> None:
    bucket = await bus.js.object_store(bus.subjects.bucket("payloads"))
    await bucket.put("k", b"\xff\xfe")
    ref = PayloadRef(key="k", sha256=hashlib.sha256(b"\xff\xfe").hexdigest(), size_bytes=2)
    with pytest.raises(PayloadMissingError, match="not UTF-8"):
        await PayloadStore(bus).get(ref)


async def test_a_reference_to_too_much_is_refused_before_anything_is_read(bus: Bus) -> None:
    with pytest.raises(PayloadMissingError, match=f"at most {MAX_BYTES}"):
        await PayloadStore(bus).get(PayloadRef(key="k", sha256="0" * 64, size_bytes=MAX_BYTES + 1))


async def test_a_reference_that_lies_about_its_size_is_cut_off(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PayloadStore(bus)
    ref = await store.put("k", "x" * 1000)
    monkeypatch.setattr(lorayard_shared.bus.payloads, "MAX_BYTES", 999)
    with pytest.raises(PayloadMissingError, match="more than 999 bytes"):
        await store.get(ref.model_copy(update={"size_bytes": 1}))


async def test_a_text_whose_chunks_are_gone_does_not_wait_for_ever(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-py would: a worker would hold the job, renewing its lease, until it is restarted."""
    monkeypatch.setattr(lorayard_shared.bus.payloads, "GET_SECONDS", 0.3)
    store = PayloadStore(bus)
    ref = await store.put("k", "text")
    bucket = bus.subjects.bucket("payloads")
    await bus.api(f"STREAM.PURGE.OBJ_{bucket}", {"filter": f"$O.{bucket}.C.>"})
    with pytest.raises(nats.errors.TimeoutError):
        await store.get(ref)
