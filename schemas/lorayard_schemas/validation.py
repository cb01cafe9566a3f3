"""Ask a worker to try an adapter version before it may serve, and hear what it found."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorayard_schemas.adapter import MAX_REASON_CHARACTERS
from lorayard_schemas.message import Message
from lorayard_schemas.names import AdapterName, Digest, Version

VALIDATE = "validate"
"""The last part of the subject that it is asked on."""


class ValidateAdapter(Message):
    """Fetch a version, load it, let it generate, and compare with what its publisher expects."""

    name: AdapterName
    version: Version
    digest: Digest
    """What is meant: a record of other bytes is not touched."""
    actor: str = ""
    """Who asks, for the record."""


class Verdict(StrEnum):
    """What came of it."""

    SOUND = "sound"
    """Its record says validated, unless it said more before."""
    REFUSED = "refused"
    """Its record says so, and why."""
    NOT_JUDGED = "not_judged"
    """This worker cannot try it, or not now; another may."""


class ValidateReply(Message):
    """The worker's finding; its record has been changed by then."""

    worker: str
    verdict: Verdict
    reason: str = Field(default="", max_length=MAX_REASON_CHARACTERS)
    module: str | None = None
    """At fault, where one is."""
