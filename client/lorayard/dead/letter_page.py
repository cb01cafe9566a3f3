"""Dead letters as people look through them: the newest first, a page at a time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from lorayard.dead.letter import DeadQuery, Letter, check_query, read_letter
from lorayard.errors import InvalidRequestError
from lorayard_schemas.names import subject_token
from lorayard_shared.bus.scanning import count_lying, walk_back
from lorayard_shared.value import value

if TYPE_CHECKING:
    from lorayard.link import Link

PAGE = 100
"""Letters of a page where no limit is named: each may be as large as a message."""

LOOKED_AT = 5_000
"""Letters for one page: a query that fits nothing ends there, and goes on with the next."""

BREATH = 32
"""Letters that are read in one piece, some 0.2 ms each; then others have the loop."""


@value
class LetterPage:
    """Some letters."""

    letters: tuple[Letter, ...]
    """The newest first."""
    total: int
    """All that there are of the tenant that was asked for, or of all tenants, whatever else was asked."""
    older: int | None
    """What the next page is `before`; None: there is none. With a query it may be empty."""
    mark: str
    """The same for the same question, as long as no letter comes or goes."""


def letters_subject(link: Link, tenant: str | None) -> str:
    """Under which a tenant's letters lie, or those of all."""
    subjects = link.bus.subjects
    return subjects.dead if tenant is None else f"{subjects.prefix}.dead.{subject_token(tenant)}.>"


async def read_letters(
    link: Link, query: DeadQuery, *, before: int | None, known: LetterPage | None
) -> LetterPage:
    """A page of them; `known` itself where it still is that page.

    Raises:
        InvalidRequestError: a field of the query is wrong, or none that there is.
        nats.errors.Error: the bus did not answer.
    """
    limit = check_query(query).get("limit", PAGE)
    if before is not None and before < 1:
        raise InvalidRequestError(field="before", reason=f"a letter's number is needed, got {before}")
    stream = link.bus.subjects.stream("dead")
    await link.delayed.now()  # says so where there is no yard
    state = (await link.bus.api(f"STREAM.INFO.{stream}"))["state"]
    first, last, lying = (int(state[name]) for name in ("first_seq", "last_seq", "messages"))
    mark = f"{sorted(query.items())} {before} {last} {lying}"
    if known is not None and known.mark == mark:
        return known
    tenant = query.get("tenant")
    total = lying if tenant is None else await count_lying(link.bus, stream, letters_subject(link, tenant))
    newest = last if before is None else min(last, before - 1)
    letters, older = await _found(link, query, limit, first=first, last=newest) if total else ([], None)
    return LetterPage(letters=tuple(letters), total=total, older=older, mark=mark)


async def _found(
    link: Link, query: DeadQuery, limit: int, *, first: int, last: int
) -> tuple[list[Letter], int | None]:
    """Letters, and where to go on."""
    stream, subject = link.bus.subjects.stream("dead"), letters_subject(link, query.get("tenant"))
    letters: list[Letter] = []
    seen = 0
    async with aclosing(
        walk_back(link.bus, stream, subject, first=first, last=last, most=limit + 1)
    ) as pages:
        async for page in pages:
            for place, lying in enumerate(page):
                if place % BREATH == 0:
                    await asyncio.sleep(0)
                letter = read_letter(lying.sequence, lying.body)
                if letter is None or not letter.fits(query):
                    continue
                if len(letters) == limit:
                    return letters, letters[-1].number
                letters.append(letter)
            seen += len(page)
            if seen >= LOOKED_AT:
                return letters, page[-1].sequence
    return letters, None
