"""What stands behind the `?` of a listing, and one page of what it lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import QueryParams

from lorayard.openai_shapes import BodyError
from lorayard_schemas.reasons import plain_reason


class Query(BaseModel):
    """Read from texts; what is unknown is ignored, as clients send what others take."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Identified(Protocol):
    """Has an id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


Q = TypeVar("Q", bound=BaseModel)
T = TypeVar("T", bound=Identified)
K = TypeVar("K", str, tuple[float, str])
"""A place in an order."""


def read_fields(kind: type[Q], given: object) -> Q:
    """A body or a query as its model.

    Raises:
        BodyError: naming the first field at fault.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise BodyError(field=field, reason=plain_reason(first)) from error


def read_query(kind: type[Q], given: QueryParams) -> Q:
    """The same of a query."""
    return read_fields(kind, dict(given))


def page_of(
    found: Sequence[T], place: Callable[[T], K], *, after: K | None, limit: int, newest_first: bool
) -> tuple[list[T], bool]:
    """The records behind the place `after`, at most so many, and whether there are more."""
    ordered = sorted(found, key=place, reverse=newest_first)
    if after is not None:
        ordered = [one for one in ordered if (place(one) < after if newest_first else after < place(one))]
    return ordered[:limit], len(ordered) > limit


class Ends(TypedDict):
    """Where a page begins and ends; None: it is empty."""

    first_id: str | None
    last_id: str | None


def ends_of(page: Sequence[Identified]) -> Ends:
    """As a listing tells it."""
    return Ends(first_id=page[0].id if page else None, last_id=page[-1].id if page else None)
