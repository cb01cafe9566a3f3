"""Every body that docs/bus.md shows is what the yard would read, or write (E1)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lorayard_schemas.asyncapi import asyncapi
from lorayard_schemas.bucket_channels import BUCKETS
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.json_schemas import MESSAGES
from lorayard_schemas.message import Message
from lorayard_schemas.public_channels import PUBLIC
from lorayard_schemas.result import JobResult

PAGE = (Path(__file__).parents[2] / "docs/bus.md").read_text(encoding="utf-8")
BODIES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
]
OF_THE_SERVER = frozenset({"stream", "seq", "duplicate", "batch", "count", "error"})


def reads(kind: type[Message], body: dict[str, Any]) -> bool:
    """Whether it is such a message, with no field that nobody knows, at any depth."""
    try:
        read = decode(kind, json.dumps(body).encode())
    except (MalformedMessageError, ValidationError):
        return False
    return _is_within(body, json.loads(read.model_dump_json()))


def _is_within(told: Any, known: Any) -> bool:
    match told, known:
        case dict(), dict():
            return all(key in known and _is_within(value, known[key]) for key, value in told.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list(), list():
            return len(told) == len(known) and all(map(_is_within, told, known))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return bool(told == known)


def test_the_page_has_examples() -> None:
    assert len(BODIES) >= 12


@pytest.mark.parametrize("body", BODIES, ids=lambda body: "-".join(body)[:60])
def test_a_body_on_the_page_is_a_message__e1(body: dict[str, Any]) -> None:
    assert body.keys() <= OF_THE_SERVER or any(reads(kind, body) for kind in MESSAGES)


@pytest.mark.parametrize("kind", [Job, JobResult], ids=lambda kind: kind.__name__)
def test_every_field_of_a_job_and_a_result_stands_on_the_page__e1(kind: type[Message]) -> None:
    told = {name for name in kind.model_fields if f"`{name}`" in PAGE or f'"{name}"' in PAGE}
    assert told == set(kind.model_fields)


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_every_subject_for_others_stands_on_the_page__e1(channel: Any) -> None:
    assert channel.address in PAGE


@pytest.mark.parametrize("channel", BUCKETS, ids=lambda channel: channel.name)
def test_every_bucket_for_others_stands_on_the_page__e1(channel: Any) -> None:
    assert f"`{channel.kept}`" in PAGE


def test_the_page_names_the_files_for_tools() -> None:
    assert "schemas/asyncapi.json" in PAGE
    assert asyncapi()["info"]["version"] in PAGE
