"""What the gateway decides without a bus: keys, models, places in streams, headers (E7)."""

from __future__ import annotations

import json

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from lorayard.errors import StreamRestartedError
from lorayard.openai_shapes import BodyError
from lorayard_gateway.bodies import MOST_VALUES, Bodies, has_many_values
from lorayard_gateway.catalogue import Catalogue
from lorayard_gateway.errors import ApiError
from lorayard_gateway.key_ring import KeyRing
from lorayard_gateway.place import Given, Place, read_place
from lorayard_gateway.replies import error_reply
from lorayard_gateway.settings import GatewaySettings
from lorayard_gateway.wishes import read_wishes, request_id
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.api_key import ApiKeyRecord, key_digest, read_key_id, write_key
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Lane

KEY = write_key("0123456789ab", "secret-with-dashes")
RECORD = ApiKeyRecord(id="0123456789ab", tenant="acme", sha256=key_digest(KEY), expires_at=100.0)
NAME = "acme/tiny/echo"


def adapter(version: str, **given: object) -> AdapterRecord:
    values = {
        "digest": f"sha256:{version * 8:0>8}",
        "rank": 8,
        "alpha": 8.0,
        "targets": ("q",),
        "size_bytes": 1,
    }
    return AdapterRecord.model_validate(
        {"name": NAME, "version": version, "size_bytes": 1, **values, **given}
    )


def ring() -> KeyRing:
    ring = KeyRing()
    ring.on_change(RECORD.id, encode(RECORD))
    return ring


def test_a_key_opens_for_its_tenant_until_it_ends() -> None:
    assert read_key_id(KEY) == RECORD.id
    assert ring().tenant_of(KEY, 99.0) == "acme"
    assert ring().tenant_of(KEY, 100.0) is None


@pytest.mark.parametrize(
    "key", ["", "ly", "ly-", KEY[:-1], KEY + "x", KEY.upper(), "sk-0123456789ab-x", "\ud800"]
)
def test_any_other_key_opens_nothing(key: str) -> None:
    assert ring().tenant_of(key, 0.0) is None


def test_a_revoked_or_broken_record_lets_nobody_in() -> None:
    for value in (None, b"", b"\xc1", encode(RECORD.model_copy(update={"id": "f" * 12}))):
        opened = ring()
        opened.on_change(RECORD.id, value)
        assert opened.tenant_of(KEY, 0.0) is None
        assert len(opened) == 0


def catalogue(*records: AdapterRecord) -> Catalogue:
    made = Catalogue()
    for record in records:
        made.on_adapter(record.key, encode(record))
    return made


def test_the_newest_version_comes_first_and_only_what_serves_is_told() -> None:
    made = catalogue(adapter("2"), adapter("10"), adapter("11", state=AdapterState.PUSHED))
    card = made.find(NAME, "acme")
    assert card is not None
    assert [one.version for one in card.lorayard.versions] == ["10", "2"]
    assert made.find(f"{NAME}@11", "acme") is None
    for record in (adapter("2"), adapter("10")):
        made.on_adapter(record.key, None)
    assert made.find(NAME, "acme") is None
    assert [one.id for one in made.all("acme")] == ["base", "auto"]


def test_an_alias_shows_only_versions_that_its_reader_may_use() -> None:
    made = catalogue(adapter("1"), adapter("2", tenants=("other",)))
    arms = (Arm(version="1", weight=90.0), Arm(version="2", weight=10.0))
    alias = AliasRecord(adapter=NAME, alias="stable", revision=1, arms=arms)
    key = alias_key(NAME, "stable")
    made.on_alias(key, encode(alias))
    told = {tenant: made.find(f"{NAME}@stable", tenant) for tenant in ("acme", "other")}
    assert told["acme"] is not None
    assert told["acme"].lorayard.aliases[0].shares == {"1": 90.0}
    assert told["other"] is not None
    assert told["other"].lorayard.aliases[0].shares == {"1": 90.0, "2": 10.0}
    made.on_alias(key, encode(alias.model_copy(update={"arms": (), "revision": 2})))
    assert made.find(f"{NAME}@stable", "acme") is None


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(job="a-b_c", sequence=17, characters=4, digest="0" * 16)
    assert read_place(str(place)) == place
    for text in ("", "17", "a.b.c.d", "a.1.1", f"{place} ", "a/b.1.1." + "0" * 16, "a.1.1." + "g" * 16):
        assert read_place(text) is None


def test_a_reader_that_comes_back_hears_what_lies_behind_its_place() -> None:
    first = Given()
    assert first.piece("j", "one ") == "one "
    again = Given(read_place(str(first.place("j", 5))))
    assert [again.piece("j", text) for text in ("on", "e ", "two")] == ["", "", "two"]
    again.check_end("j")
    third = Given(again.place("j", 9))
    assert third.piece("j", "one two three") == " three"


def test_the_same_text_anew_just_goes_on_and_another_is_an_error() -> None:
    given = Given()
    given.piece("j", "one two")
    given.begin_again()
    assert given.piece("j", "one ") == ""
    assert given.piece("j", "two three") == " three"
    given.begin_again()
    with pytest.raises(StreamRestartedError):
        given.piece("j", "something quite different")


def test_an_answer_that_ends_before_its_readers_place_is_an_error() -> None:
    given = Given()
    given.piece("j", "one two")
    given.begin_again()
    given.piece("j", "one")
    with pytest.raises(StreamRestartedError):
        given.check_end("j")


def test_headers_say_lane_deadline_and_what_becomes_of_the_work() -> None:
    told = read_wishes(Headers({"x-lorayard-priority": "bulk", "x-lorayard-deadline-seconds": "2.5"}))
    assert (told.lane, told.deadline_seconds, told.goes_on) == (Lane.BULK, 2.5, False)
    keyed = {"idempotency-key": "k"}
    assert read_wishes(Headers(keyed)).goes_on
    assert not read_wishes(Headers({**keyed, "x-lorayard-on-disconnect": "cancel"})).goes_on
    assert read_wishes(Headers({"x-lorayard-on-disconnect": "continue"})).goes_on
    assert read_wishes(Headers({"traceparent": "nonsense"})).traceparent is None


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "", "1,5"])
def test_a_deadline_that_is_none_is_refused(seconds: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_wishes(Headers({"x-lorayard-deadline-seconds": seconds}))
    assert refused.value.shape.param == "x-lorayard-deadline-seconds"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "é"])
def test_a_request_id_that_could_harm_a_log_is_replaced(given: str) -> None:
    assert request_id({"x-request-id": given}).startswith("req_")


def test_a_request_id_is_kept() -> None:
    assert request_id({"x-request-id": "order-17"}) == "order-17"


def test_half_a_character_in_a_bodys_own_words_is_told_as_json_has_it() -> None:
    reply = error_reply(BodyError(field="lorayard.composition.\ud800", reason="no name"))
    assert json.loads(bytes(reply.body))["error"]["param"] == "lorayard.composition.\ud800"


@pytest.mark.parametrize(
    "text", [",[{" * MOST_VALUES, '",[{"' * MOST_VALUES, "\\" * 9 + '",[{' * MOST_VALUES]
)
def test_what_stands_in_a_text_is_no_value(text: str) -> None:
    assert not has_many_values(json.dumps({"a": [text, text], "b": text}).encode())


@pytest.mark.parametrize("value", [[], {}, 1, "x", {"a": "b"}])
def test_values_are_counted_wherever_they_stand(value: object) -> None:
    few, many = json.dumps(["\\", [value] * 8192]), json.dumps(['"', [value] * (MOST_VALUES + 1)])
    assert not has_many_values(few.encode())
    assert has_many_values(many.encode())
    assert has_many_values(many[1:-1].encode()), "nor does it matter whether it is JSON"


async def test_halves_of_characters_are_no_quotes__g5() -> None:
    """U+2200 has the byte of a quote in UTF-16, behind which thousands of values could hide."""
    body = ('["\u2200"' + ",1" * (MOST_VALUES + 1) + "]").encode("utf-16-le")
    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    with pytest.raises(ApiError) as refused:
        await Bodies(GatewaySettings()).json(Request(scope, receive))
    assert "values" in refused.value.shape.message


def test_an_open_text_ends_the_counting() -> None:
    assert not has_many_values(b'["' + b"," * 2 * MOST_VALUES)
    assert not has_many_values(b'["' + b'\\",' * MOST_VALUES)
