"""A field that there is not: a slip where somebody makes a record, a newer peer's word where one is read."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from pydantic import ValidationError

import lorayard
from lorayard import ChatTurn, InvalidRequestError, Limits, Retry
from lorayard.job_message import build_job
from lorayard.placing import place_adapter
from lorayard.registry.amending import read_amendment
from lorayard.registry.publication import check_said
from lorayard.request import GenerateRequest
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.message import Part

PUBLIC = [
    kind
    for name in lorayard.__all__
    if isinstance(kind := getattr(lorayard, name), type) and issubclass(kind, Part)
]


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_record_that_a_user_makes_refuses_a_field_that_there_is_not(kind: type[Part]) -> None:
    wrong: dict[str, Any] = {"no_such_field": 1}
    with pytest.raises(ValidationError) as caught:
        kind(**wrong)
    (error,) = caught.value.errors()
    assert (error["type"], error["loc"]) == ("extra_forbidden", ("no_such_field",))


def test_a_misspelt_retry_is_not_one_that_says_nothing() -> None:
    wrong: dict[str, Any] = {"max_attemps": 5}
    with pytest.raises(ValidationError, match="max_attemps"):
        Retry(**wrong)
    assert Retry(max_attempts=5).max_attempts == 5


def test_what_newer_peers_add_is_still_read() -> None:
    told = {
        "id": "j",
        "prompt": "p",
        "new": 1,
        "retry": {"max_attempts": 3, "new": 2},
        "sampling": {"new": 3},
    }
    job = decode(Job, msgpack.packb(told))
    assert job.retry == Retry(max_attempts=3)
    read = Limits.model_validate({"tenant": "acme", "per_day": {"requests": 1}, "new": 1})
    assert read.names == ("requests_per_day",)


def test_a_turn_with_a_field_that_there_is_not_is_refused() -> None:
    turn: Any = {"role": "user", "content": "hello", "contents": "more"}
    with pytest.raises(InvalidRequestError) as caught:
        build_job(GenerateRequest([{"role": "user", "content": "a"}, turn]), job_id="j", now=0.0)
    assert caught.value.field == "messages.1.contents"
    with pytest.raises(ValidationError):
        ChatTurn(**turn)


def test_a_version_with_misspelt_tenants_is_not_for_everybody() -> None:
    misspelt: Any = {"tenant": ["acme"]}
    text: Any = {"tenants": "acme"}
    for options, field in ((misspelt, "tenant"), (text, "tenants")):
        with pytest.raises(InvalidRequestError) as caught:
            check_said(name="acme/m/a", version="1", actor="me", options=options)
        assert caught.value.field == field
    with pytest.raises(InvalidRequestError, match="a list of names is needed"):
        read_amendment(labels=None, unlabel=(), tenants="acme", all_tenants=False)


async def test_a_declaration_with_a_field_that_there_is_not_reaches_nobody() -> None:
    options: Any = {"priorty": "high"}
    nobody: Any = None
    with pytest.raises(InvalidRequestError) as caught:
        await place_adapter(nobody, "acme/m/a", options)
    assert caught.value.field == "priorty"
