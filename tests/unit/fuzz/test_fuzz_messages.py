"""Whatever arrives as a message of ours is read, or is malformed with its field named (E1, G3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.fuzz.conftest import Spoiler

from lorayard_schemas.codec import MAX_FIELD_CHARACTERS, decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.json_schemas import MESSAGES
from lorayard_schemas.message import Message
from lorayard_schemas.plain_job import read_job

Tally = Callable[[str, int], None]

OF_EACH_KIND = 1200
JOBS = 12_000


def check_read(kind: type[Message], body: bytes) -> bool:
    """Whether it was read; what was read can be written, and reads as the same again."""
    try:
        read = decode(kind, body)
    except MalformedMessageError as error:
        return not is_told(kind, error)
    written = encode(read)
    assert encode(decode(kind, written)) == written
    return True


def is_told(kind: type[Message], error: MalformedMessageError) -> bool:
    """Whether it can be answered with."""
    assert str(error).encode()
    assert len(error.field) <= MAX_FIELD_CHARACTERS
    return error.kind == kind.__name__ and bool(error.reason)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_a_spoiled_message_is_read_or_malformed__g3(kind: type[Message], tally: Tally) -> None:
    spoiler = Spoiler(MESSAGES.index(kind))
    read = sum(check_read(kind, spoiler.body(spoiler.plausible(kind))) for _ in range(OF_EACH_KIND))
    tally("fuzz: spoiled messages of every kind", OF_EACH_KIND)
    assert 0 < read < OF_EACH_KIND


def test_the_fast_reader_of_jobs_reads_what_the_model_does__g3(tally: Tally) -> None:
    spoiler = Spoiler(71)
    for _ in range(JOBS):
        body = spoiler.body(spoiler.plausible(Job))
        assert outcome(read_job, body) == outcome(lambda told: decode(Job, told), body)
    tally("fuzz: spoiled jobs through both readers", JOBS)


def outcome(read: Callable[[bytes], Job], body: bytes) -> bytes | str:
    try:
        return encode(read(body))
    except MalformedMessageError as error:
        return str(error)
