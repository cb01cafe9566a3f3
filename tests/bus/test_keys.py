"""Keys of HTTP clients: made, listed, revoked; the yard keeps only digests (E7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.bus.conftest import Yard

from lorayard import Client, InvalidRequestError, KeyUnknownError
from lorayard_cli.app import run_command
from lorayard_schemas.api_key import read_key_id
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode
from lorayard_shared.bus.scanning import read_page

pytestmark = pytest.mark.bus


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


async def test_a_key_is_shown_once_and_kept_as_a_digest__e7(client: Client, yard: Yard) -> None:
    made = await client.keys.add("acme", reason="the web shop")
    assert made.key not in repr(made)
    assert read_key_id(made.key) == made.record.id
    (listed,) = await client.keys.list()
    assert listed == made.record
    assert listed.fits(made.key, now=0.0)
    assert not listed.fits(made.key + "x", now=0.0)
    assert listed.expires_at is None
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("keys"))
    stored = (await bucket.get(made.record.id)).value or b""
    assert made.key.encode() not in stored
    assert b"acme" in stored


async def test_a_key_with_an_end_fits_until_then__e7(client: Client) -> None:
    made = await client.keys.add("acme", expires_in_seconds=60)
    assert made.record.expires_at is not None
    assert made.record.fits(made.key, made.record.expires_at - 1)
    assert not made.record.fits(made.key, made.record.expires_at)


async def test_a_revoked_key_is_gone_and_both_changes_are_on_record__e7(client: Client, yard: Yard) -> None:
    made = await client.keys.add("acme")
    assert (await client.keys.revoke(made.record.id, reason="lost")).tenant == "acme"
    assert await client.keys.list() == []
    with pytest.raises(KeyUnknownError):
        await client.keys.revoke(made.record.id)
    subject = yard.bus.subjects.registry_audit("keys")
    page = await read_page(yard.bus, yard.bus.subjects.stream("audit"), subject, 1)
    told = [decode(RegistryChange, message.data) for message in page]
    assert [(one.verb, one.reason) for one in told] == [("add", ""), ("revoke", "lost")]
    assert all(made.record.sha256.encode() not in message.data for message in page)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a", "reason": "x" * 2000}, "reason"),
        ({"tenant": "a", "expires_in_seconds": 0.0}, "expires_in_seconds"),
        ({"tenant": "a", "expires_in_seconds": float("nan")}, "expires_in_seconds"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_by_its_field(
    client: Client, given: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await client.keys.add(**given)  # type: ignore[arg-type]  # callers may be untyped
    assert refused.value.field == field
    assert await client.keys.list() == []


@pytest.mark.parametrize("key_id", ["", "nosuch", "a.b", "*", "0" * 12])
async def test_an_id_that_is_none_cannot_be_revoked(client: Client, key_id: str) -> None:
    with pytest.raises(KeyUnknownError):
        await client.keys.revoke(key_id)


async def test_keys_are_made_listed_and_revoked_by_command__e7(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--url", yard.settings.url, "--prefix", yard.settings.prefix, "--json")

    async def run(*arguments: str, code: int = 0) -> dict[str, str]:
        assert await asyncio.to_thread(run_command, ["keys", *arguments, *where]) == code
        told: dict[str, str] = json.loads(capsys.readouterr().out)
        return told

    made = await run("add", "acme", "--for", "90d", "--why", "the web shop")
    assert made["key"].startswith(f"ly-{made['id']}-")
    listed = await run("ls")
    assert made["key"] not in json.dumps(listed)
    assert made["id"] in json.dumps(listed)
    assert await run("revoke", made["id"]) == {"revoked": made["id"], "tenant": "acme"}
    assert (await run("revoke", made["id"], code=5))["error"]
