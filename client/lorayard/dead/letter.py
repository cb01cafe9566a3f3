"""A dead letter as it is kept, and which of them are meant."""

from __future__ import annotations

import math
from typing import TypedDict

from lorayard.errors import InvalidRequestError
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.names import split_version
from lorayard_shared.value import value


class DeadQuery(TypedDict, total=False):
    """Which letters are meant; those that fit all that is given, the oldest first."""

    tenant: str
    adapter: str
    """As jobs named it: `name` means every version, `name@version` just that one."""
    code: str
    since: float
    """Unix seconds: given up then or later."""
    until: float
    """Unix seconds: given up before."""
    limit: int


def check_query(query: DeadQuery) -> DeadQuery:
    """The query, if it can mean what it says: a name with a typo would mean every letter.

    Raises:
        InvalidRequestError: naming the first field at fault.
    """
    for field, asked in query.items():
        if field not in _KINDS:
            known = ", ".join(_KINDS)
            raise InvalidRequestError(field=field, reason=f"letters are not found by this, but by {known}")
        if not isinstance(asked, _KINDS[field]) or isinstance(asked, bool):
            needed = "a text" if _KINDS[field] is str else "a number"
            raise InvalidRequestError(field=field, reason=f"{needed} is needed, got {asked!r}")
    limit = query.get("limit", 1)
    if limit < 1:
        raise InvalidRequestError(field="limit", reason=f"a number from 1 up is needed, got {limit}")
    return query


_KINDS: dict[str, type | tuple[type, ...]] = {
    "tenant": str,
    "adapter": str,
    "code": str,
    "since": (int, float),
    "until": (int, float),
    "limit": int,
}


@value
class Letter:
    """One dead letter."""

    number: int
    """Its place in the stream of letters: what it is called by."""
    told: DeadLetter

    @property
    def job(self) -> str | None:
        """The job's id; None: it could not be read."""
        return self.told.job

    @property
    def tenant(self) -> str | None:
        """Whose it was; None: it could not be read."""
        return self.told.tenant

    @property
    def adapter(self) -> str | None:
        """As the job named it."""
        return self.told.adapter

    @property
    def code(self) -> str:
        """Why, for programs."""
        return self.told.code

    @property
    def reason(self) -> str:
        """Why, for people."""
        return self.told.reason

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """What was tried."""
        return self.told.attempts

    @property
    def at(self) -> float:
        """When it was given up, unix seconds."""
        return self.told.at

    def work(self) -> Job | None:
        """The job itself; None: what came was none, or only its start was kept."""
        try:
            return None if self.told.truncated else decode(Job, self.told.body)
        except MalformedMessageError:
            return None

    def fits(self, query: DeadQuery) -> bool:
        """Whether a query means it."""
        named = query.get("adapter")
        return (
            query.get("tenant") in (None, self.tenant)
            and query.get("code") in (None, self.code)
            and query.get("since", -math.inf) <= self.at < query.get("until", math.inf)
            and (named is None or (self.adapter is not None and _is_of(self.adapter, named)))
        )


def _is_of(adapter: str, named: str) -> bool:
    return adapter == named or split_version(adapter)[0] == named


def read_letter(number: int, body: bytes) -> Letter | None:
    """A letter from its bytes; None: what lies there is none."""
    try:
        return Letter(number=number, told=decode(DeadLetter, body))
    except MalformedMessageError:
        return None
