"""An attempt that failed, and the history of them that travels with a job (`Yard-History`)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, TypeAdapter, ValidationError

from lorayard_schemas.message import Part

MAX_ATTEMPTS = 20
"""Of one job: with a cap of an hour, most of a day."""

MESSAGE_CHARACTERS = 200
"""Headers travel with every delivery: the log has the rest."""

HISTORY_BYTES = 3072
"""Of the header, however many attempts: it has to fit beside the largest job a client may send."""


class AttemptRecord(Part):
    """One failed attempt, or one worker that died under a job."""

    attempt: int = Field(ge=1)
    worker: str
    code: str
    message: str
    at: float
    """Unix seconds."""
    waited_seconds: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """From then until the next attempt, as drawn; None: there was none, or it was given out again at once."""


_RECORDS = TypeAdapter(tuple[AttemptRecord, ...])


def read_history(header: str | None) -> tuple[AttemptRecord, ...]:
    """The failed attempts in a header; nothing where it is somebody else's and cannot be read."""
    if not header:
        return ()
    try:
        return _RECORDS.validate_json(header)
    except ValidationError:
        return ()


def history_text(records: Sequence[AttemptRecord]) -> str:
    """As a header: shorter messages, and then fewer of the records in the middle, until it fits."""
    for characters in (MESSAGE_CHARACTERS, MESSAGE_CHARACTERS // 4, 0):
        cut = [record.model_copy(update={"message": record.message[:characters]}) for record in records]
        text = _RECORDS.dump_json(tuple(cut), exclude_none=True)
        if len(text) <= HISTORY_BYTES:
            return text.decode()
    while len(text) > HISTORY_BYTES and len(cut) > 1:
        del cut[1 if len(cut) > 2 else 0]  # the first and the last ones tell most
        text = _RECORDS.dump_json(tuple(cut), exclude_none=True)
    return text.decode() if len(text) <= HISTORY_BYTES else "[]"
