"""`client.dead`: the dead letters of a yard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

import nats.js.errors

from lorayard.answering import Answering
from lorayard.dead.letter import DeadQuery, Letter, check_query, read_letter
from lorayard.dead.letter_page import LetterPage, letters_subject, read_letters
from lorayard.dead.redriving import Redriven, check_adapter, failed, redrive, take_away
from lorayard.errors import LetterUnknownError, LorayardError
from lorayard.job_ids import check_job_id
from lorayard.link import NOT_CONFIRMED
from lorayard.registry.known import read_registry
from lorayard_shared.bus.scanning import walk
from lorayard_shared.jobs.adapter_registry import AdapterRegistry

if TYPE_CHECKING:
    from lorayard.link import Link

TOGETHER = 32
"""Letters redriven at once: a round trip for all, and far below every buffer."""

LISTED = 1000
"""Letters that `list` gives where no limit is named: each may be as large as a message."""


class DeadLetters:
    """The dead letters of one yard, of all tenants whose letters this connection may read.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self, **query: Unpack[DeadQuery]) -> list[Letter]:
        """The letters that a query means, the oldest first; no more than its `limit`, or 1,000.

        Raises:
            InvalidRequestError: a field of the query is wrong, or none that there is.
        """
        query.setdefault("limit", LISTED)
        return [letter async for letter in self.all(**query)]

    async def all(self, **query: Unpack[DeadQuery]) -> AsyncGenerator[Letter]:
        """The same, one after the other and however many, a page of them in memory at a time.

        What is given up meanwhile is not among them: so a redrive of all ends, though jobs fail again.
        """
        link = self._open_link()
        left = check_query(query).get("limit", -1)
        async with Answering(link), aclosing(_walk(link, query)) as found:
            async for letter in found:
                yield letter
                left -= 1
                if left == 0:
                    return

    async def newest(
        self, *, before: int | None = None, known: LetterPage | None = None, **query: Unpack[DeadQuery]
    ) -> LetterPage:
        """The newest letters that a query means, no more than its `limit`, or 100; and how many there are.

        With `before` those whose numbers are below: a page's `older` leads to the next one. `known`: what
        the same call returned before; it is returned again, and no letter is read, where none has come or
        gone since.

        Raises:
            InvalidRequestError: a field of the query is wrong, or none that there is.
        """
        link = self._open_link()
        async with Answering(link):
            return await read_letters(link, query, before=before, known=known)

    async def show(self, letter: int | str) -> Letter:
        """One letter: by its number, or by the id of its job.

        Raises:
            LetterUnknownError: there is none, or several tenants have one of that job id.
        """
        link = self._open_link()
        async with Answering(link):
            return await _find(link, letter)

    async def redrive(self, letter: int | str, *, to_adapter: str | None = None) -> Redriven:
        """Try its job again under a new id, which the report names; with another adapter if one is given.

        Called twice, it queues the job once.

        Raises:
            LetterUnknownError: there is none: redriven or purged before, or it never was.
            InvalidRequestError: jobs cannot be sent to that adapter.
        """
        link, adapter = self._open_link(), check_adapter(to_adapter)
        async with Answering(link):
            found, registered = await _find(link, letter), await _registered(link)
            about = NOT_CONFIRMED
            try:
                report = await redrive(link, found, adapter, registered)
                about = report.outcome.value + (f" as {report.new_job}" if report.new_job else "")
            finally:
                await link.tell_act("redrive", tenant=found.tenant, job=found.job or "", about=about)
            return report

    async def redrive_all(
        self, *, to_adapter: str | None = None, **query: Unpack[DeadQuery]
    ) -> AsyncGenerator[Redriven]:
        """Redrive every letter that a query means; a report for each, as it is done.

        Raises:
            InvalidRequestError: jobs cannot be sent to that adapter.
        """
        link, adapter = self._open_link(), check_adapter(to_adapter)
        waiting: list[Letter] = []
        async with Answering(link):
            registered = await _registered(link)
        await _tell_all(link, "redrive", query)
        async with aclosing(self.all(**query)) as found:
            async for letter in found:
                waiting.append(letter)
                if len(waiting) == TOGETHER:
                    for report in await _redrive_together(link, waiting, adapter, registered):
                        yield report
                    waiting = []
        for report in await _redrive_together(link, waiting, adapter, registered):
            yield report

    async def purge(self, letter: int | str) -> Letter:
        """Throw a letter away, for good; what it was.

        Raises:
            LetterUnknownError: there is none.
        """
        link = self._open_link()
        async with Answering(link):
            found = await _find(link, letter)
            about = f"letter {found.number}"
            async with link.acting("purge", tenant=found.tenant, job=found.job or "", about=about):
                await take_away(link, found)
        return found

    async def purge_all(self, **query: Unpack[DeadQuery]) -> AsyncGenerator[Letter]:
        """Throw away every letter that a query means; each as it goes."""
        link = self._open_link()
        await _tell_all(link, "purge", query)
        async with aclosing(self.all(**query)) as found:
            async for letter in found:
                async with Answering(link):
                    gone = await take_away(link, letter)
                if gone:
                    yield letter


async def _tell_all(link: Link, verb: str, query: DeadQuery) -> None:
    """Before it begins, for the audit trail: whoever breaks it off has done it all the same.

    Raises:
        InvalidRequestError: the query cannot be.
    """
    meant = check_query(query).items()
    about = ", ".join(f"{name}={value}" for name, value in meant if value is not None) or "all"
    await link.tell_act(verb, tenant=query.get("tenant"), jobs=0, about=about)


async def _redrive_together(
    link: Link, letters: list[Letter], adapter: str | None, registered: AdapterRegistry
) -> list[Redriven]:
    return await asyncio.gather(*(_redrive_one(link, letter, adapter, registered) for letter in letters))


async def _redrive_one(
    link: Link, letter: Letter, adapter: str | None, registered: AdapterRegistry
) -> Redriven:
    try:
        async with Answering(link):
            return await redrive(link, letter, adapter, registered)
    except LorayardError as error:
        return failed(letter, error)


async def _walk(link: Link, query: DeadQuery) -> AsyncGenerator[Letter]:
    stream, subject = link.bus.subjects.stream("dead"), letters_subject(link, query.get("tenant"))
    newest = await _newest(link, subject)
    async with aclosing(walk(link.bus, stream, subject)) as pages:
        async for page in pages:
            for lying in page:
                if lying.sequence > newest:
                    return
                letter = read_letter(lying.sequence, lying.body)
                if letter is not None and letter.fits(query):
                    yield letter


async def _registered(link: Link) -> AdapterRegistry:
    """What is registered; nothing where there is no registry, as in a yard in memory."""
    try:
        return await read_registry(link.bus)
    except (nats.js.errors.BucketNotFoundError, nats.js.errors.NoStreamResponseError):
        return AdapterRegistry()


async def _newest(link: Link, subject: str) -> int:
    try:
        found = await link.bus.js.get_msg(link.bus.subjects.stream("dead"), subject=subject, direct=True)
    except nats.js.errors.NotFoundError:
        return 0
    return found.seq or 0


async def _find(link: Link, letter: int | str) -> Letter:
    found = await (_by_number(link, letter) if isinstance(letter, int) else _by_job(link, letter))
    if len(found) != 1:
        raise LetterUnknownError(letter=letter, numbers=[one.number for one in found])
    return found[0]


async def _by_number(link: Link, number: int) -> list[Letter]:
    if isinstance(number, bool) or not 0 < number < 2**63:
        return []  # the server would call the question malformed
    try:
        stored = await link.bus.js.get_msg(link.bus.subjects.stream("dead"), seq=number, direct=True)
    except nats.js.errors.NotFoundError:
        return []
    found = read_letter(number, stored.data or b"")
    return [] if found is None else [found]


async def _by_job(link: Link, job: str) -> list[Letter]:
    subjects = link.bus.subjects
    found: list[Letter] = []
    subject = f"{subjects.prefix}.dead.*.*.{check_job_id(job)}"
    async with aclosing(walk(link.bus, subjects.stream("dead"), subject)) as pages:
        async for page in pages:
            letters = [read_letter(lying.sequence, lying.body) for lying in page]
            found += [letter for letter in letters if letter is not None]
    return found
