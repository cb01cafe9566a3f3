"""Dead letters are looked through from the newest on, page by page, and all are counted (E3, F3)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Unpack

import pytest
from tests.bus.conftest import Yard
from tests.bus.jobs_dead.conftest import bury

from lorayard import Client, DeadQuery, InvalidRequestError, LetterPage, SyncClient, YardNotReadyError
from lorayard.dead import letter_page
from lorayard_shared.bus import scanning
from lorayard_shared.bus.deleting import delete_message

pytestmark = pytest.mark.bus


async def leafed(client: Client, **query: Unpack[DeadQuery]) -> list[LetterPage]:
    """All pages."""
    pages = [await client.dead.newest(**query)]
    while (older := pages[-1].older) is not None:
        pages.append(await client.dead.newest(before=older, **query))
    return pages


def jobs(pages: list[LetterPage]) -> list[list[str | None]]:
    return [[letter.job for letter in page.letters] for page in pages]


async def test_the_newest_come_first_a_page_at_a_time_and_all_are_counted__e3(
    yard: Yard, client: Client
) -> None:
    assert (await leafed(client, limit=2))[0].total == 0
    for name in ("a", "b", "c", "d", "e"):
        await bury(yard, name, tenant="other" if name in "bd" else "acme")
    pages = await leafed(client, limit=2)
    assert jobs(pages) == [["e", "d"], ["c", "b"], ["a"]]
    assert {page.total for page in pages} == {5}
    assert jobs(await leafed(client, limit=3, tenant="acme")) == [["e", "c", "a"]]
    assert {page.total for page in await leafed(client, limit=1, tenant="other")} == {2}
    assert jobs(await leafed(client, limit=1, tenant="nobody")) == [[]]
    assert (await client.dead.newest()).letters[0] == await client.dead.show("e")


async def test_a_query_goes_on_where_its_page_ended_though_nothing_fitted__e3(
    yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        await bury(yard, f"j{number}", code="poison" if number in (1, 9) else "engine_error")
    pages = await leafed(client, limit=5, code="poison")
    assert (jobs(pages), pages[0].total) == ([["j9", "j1"]], 12)
    monkeypatch.setattr(letter_page, "LOOKED_AT", 4)
    pages = await leafed(client, limit=1, code="poison")
    assert [one for page in jobs(pages) for one in page] == ["j9", "j1"]
    assert len(pages) > 2, "each looks at some letters only"


async def test_a_page_is_read_anew_only_where_a_letter_has_come_or_gone__f3(
    yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bury(yard, "a")
    known = await client.dead.newest()
    with monkeypatch.context() as nothing:
        nothing.setattr(letter_page, "walk_back", None)
        assert await client.dead.newest(known=known) is known
    second = await bury(yard, "b")
    newer = await client.dead.newest(known=known)
    assert (jobs([newer]), newer.total) == ([["b", "a"]], 2)
    await client.dead.purge(second)
    left = await client.dead.newest(known=newer)
    assert (jobs([left]), left.total) == ([["a"]], 1)
    another = await client.dead.newest(known=left, before=first)
    assert jobs([another]) == [[]], "it was another question"


@pytest.mark.parametrize(
    ("given", "field"), [({"before": 0}, "before"), ({"limit": 0}, "limit"), ({"adaptor": "x"}, "adaptor")]
)
async def test_a_page_that_cannot_be_is_refused_by_its_field(
    client: Client, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.dead.newest(**given)
    assert caught.value.field == field


async def test_without_a_yard_that_is_said(yard: Yard) -> None:
    nowhere = yard.settings.model_copy(update={"prefix": "nowhere"})
    async with Client(settings=nowhere) as client:
        with pytest.raises(YardNotReadyError):
            await client.dead.newest()


async def test_the_blocking_twin_leafs_as_well(yard: Yard) -> None:
    for name in ("a", "b", "c"):
        await bury(yard, name)

    def work() -> None:
        with SyncClient(settings=yard.settings, tenant="acme") as client:
            page = client.dead.newest(limit=2)
            assert jobs([page, client.dead.newest(limit=2, before=page.older)]) == [["c", "b"], ["a"]]
            assert client.dead.newest(limit=2, known=page) is page

    await asyncio.to_thread(work)


@pytest.mark.parametrize("most", [1, 2, 7, 1000])
async def test_a_stream_is_walked_back_through_gaps_and_large_messages_once(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whatever one answer holds: all that lies there, in order."""
    stream, prefix = yard.bus.subjects.stream("dead"), yard.bus.subjects.prefix
    numbers = {"t": list[int](), "u": list[int]()}
    for number in range(60):
        tenant = "t" if number % 3 else "u"
        body = b"x" * (3000 if 20 <= number < 30 else 10)
        numbers[tenant].append((await yard.bus.js.publish(f"{prefix}.dead.{tenant}._.j{number}", body)).seq)
    for number in (*numbers["t"][5:15], numbers["t"][-1], numbers["u"][0]):
        await delete_message(yard.bus, stream, number)
    offset = numbers["u"][0] - 1
    left = {tenant: await lying(yard, tenant) for tenant in numbers}
    monkeypatch.setattr(scanning, "PAGE_MESSAGES", 8)
    monkeypatch.setattr(scanning, "PAGE_BYTES", 4000)
    every = sorted(itertools.chain(*left.values()))
    for subject, wanted in (("*", every), ("t", left["t"]), ("u", left["u"])):
        pattern = f"{prefix}.dead.{subject}.>"
        assert await scanning.count_lying(yard.bus, stream, pattern) == len(wanted)
        for begin, end in ((1, 60), (7, 33), (25, 25), (61, 60)):
            first, last = offset + begin, offset + end
            pages = scanning.walk_back(yard.bus, stream, pattern, first=first, last=last, most=most)
            found = [one.sequence async for page in pages for one in page]
            assert found == [one for one in reversed(wanted) if first <= one <= last], (subject, first, last)


async def lying(yard: Yard, tenant: str) -> list[int]:
    """What a walk forward meets."""
    subject = f"{yard.bus.subjects.prefix}.dead.{tenant}.>"
    pages = scanning.walk(yard.bus, yard.bus.subjects.stream("dead"), subject)
    return [one.sequence async for page in pages for one in page]
