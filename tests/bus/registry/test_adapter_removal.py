"""`adapters rm` (D2): refused while something leads to a version; what others have in the store stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorayard import (
    Client,
    InvalidRequestError,
    ReferencedError,
    SyncClient,
    VersionNamedError,
    VersionUnknownError,
)
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas import headers
from lorayard_schemas.adapter import AdapterRecord, AdapterState, StoredFile
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.composition import Composition, CompositionPart
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.message import Message
from lorayard_schemas.placement import Placement, placement_key
from lorayard_schemas.routes import RouteRule, RouteTable
from lorayard_schemas.rule_parts import RulePart
from lorayard_schemas.semantic import SemanticRecord
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus import scanning
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.sweeping import Sweeper
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

NAME, LABEL = "acme/tiny/echo", "acme/tiny/echo@1"
ANA = Author(actor="ana")
WHOLE = Arm(version="1", weight=100.0)


async def objects(bus: Bus) -> int:
    """How many are in the store."""
    store = await bus.js.object_store(bus.subjects.bucket("blobs"))
    return len([info for info in await store.list(ignore_deletes=True) if not info.deleted])


async def last_write(bus: Bus) -> int:
    """To the store: nothing is taken out and put back."""
    info = await bus.api(f"STREAM.INFO.OBJ_{bus.subjects.bucket('blobs')}")
    return int(info["state"]["last_seq"])


async def keep(bus: Bus, kind: str, key: str, message: Message) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket(kind))
    await bucket.put(key, encode(message))


async def is_sound(client: Client) -> bool:
    return all(check.sound for check in await client.adapters.verify())


async def test_a_removed_version_leaves_nothing_and_says_who_and_why__d1(
    client: Client, folder: Path, bus: Bus
) -> None:
    pushed = await client.adapters.push(folder, name=NAME, version="1")
    before = await objects(bus)
    assert before > 0
    report = await client.adapters.remove(LABEL, reason="a mistake")
    assert report.record == pushed.record
    assert report.freed_bytes > pushed.size_bytes  # with the lists of parts
    assert await client.adapters() == []
    # A store without objects has no list of them.
    info = await bus.api(f"STREAM.INFO.OBJ_{bus.subjects.bucket('blobs')}", {"subjects_filter": "$O.*.C.>"})
    assert info["state"].get("subjects") is None
    message = await bus.js.get_msg(
        bus.subjects.stream("audit"), subject=bus.subjects.registry_audit("adapters", NAME, "1"), direct=True
    )
    told = decode(RegistryChange, message.data or b"")
    assert (told.verb, told.reason, told.before, told.after) == ("remove", "a mistake", "pushed", "")


async def test_what_another_version_has_too_stays__d2(
    client: Client, folder: Path, tmp_path: Path, bus: Bus
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    (folder / "prompt_template.txt").write_text("{prompt}!")
    await client.adapters.push(folder, name=NAME, version="2")
    before = await last_write(bus)
    assert (await client.adapters.remove(LABEL)).freed_bytes == 0
    assert await last_write(bus) == before
    assert await is_sound(client)
    await client.adapters.pull(NAME, tmp_path / "copy")


async def test_it_can_be_pushed_again__d2(client: Client, folder: Path) -> None:
    first = await client.adapters.push(folder, name=NAME, version="1")
    await client.adapters.remove(LABEL)
    again = await client.adapters.push(folder, name=NAME, version="1")
    assert (again.sent_bytes, again.existing) == (first.size_bytes, False)
    assert await is_sound(client)


async def _serve(bus: Bus) -> None:
    for state in (AdapterState.VALIDATED, AdapterState.ACTIVE):
        await Records(bus).move(NAME, "1", state, ANA, verb="test")


async def _alias(bus: Bus) -> None:
    arms = (Arm(version="2", weight=100.0), Arm(version="1", weight=0.0))
    record = AliasRecord(adapter=NAME, alias="stable", revision=1, arms=arms)
    await keep(bus, "aliases", alias_key(NAME, "stable"), record)


async def _rule(bus: Bus) -> None:
    await RouteStore(bus).put(RouteTable(rules=(RouteRule(name="all", adapter=LABEL),)), ANA)


async def _several(bus: Bus) -> None:
    several = RouteRule(name="all", add=(RulePart(adapter="a/b/c"), RulePart(adapter=LABEL, weight=0.5)))
    await RouteStore(bus).put(RouteTable(rules=(several,)), ANA)


async def _classifier(bus: Bus, label: str = LABEL) -> None:
    digest = "sha256:" + "0" * 64
    file = StoredFile(name="head", sha256="0" * 64, size_bytes=1)
    await SemanticStore(bus).put(SemanticRecord(artifact=digest, files=(file,), labels=(label,)), ANA)


async def _placement(bus: Bus) -> None:
    await keep(bus, "placements", placement_key(LABEL), Placement(adapter=LABEL, pin=True))


async def _job(bus: Bus) -> None:
    subject = bus.subjects.job(JobAddress(lane=Lane.NORMAL, tenant="t", adapter=LABEL))
    await bus.js.publish(subject, b"waits")


async def _session(bus: Bus) -> None:
    kept = AdapterRef(name=NAME, version="1", digest="sha256:" + "0" * 8)
    for number in range(3):
        other = kept.model_copy(update={"version": "11"})
        session = SessionRecord(
            tenant="t", session=f"s{number}", adapter=kept if number else other, chosen_at=0.0, at=0.0
        )
        await keep(bus, "sessions", session_key("t", f"s{number}"), session)


async def _session_of_several(bus: Bus) -> None:
    bound = {f"{NAME}@stable": "1", "acme/tiny/x@stable": "11"}
    session = SessionRecord(tenant="t", session="s1", bound=bound, at=0.0)
    await keep(bus, "sessions", session_key("t", "s1"), session)


async def _delay(bus: Bus, adapter: str, **more: str) -> None:
    target = bus.subjects.due_job(JobAddress(lane=Lane.NORMAL, tenant="t", adapter=adapter))
    given = {headers.SCHEDULE: "@at 2099-01-01T00:00:00Z", headers.SCHEDULE_TARGET: target, **more}
    await bus.js.publish(bus.subjects.delayed_job("t", "j1"), b"waits", headers=given)


async def _delayed(bus: Bus) -> None:
    await _delay(bus, LABEL)


async def _bound(bus: Bus) -> None:
    await _delay(bus, f"{NAME}@stable", **{headers.BOUND: f"acme/tiny/x@stable=11 {NAME}@stable=1"})


async def _bound_and_due(bus: Bus) -> None:
    subject = bus.subjects.due_job(JobAddress(lane=Lane.NORMAL, tenant="t", adapter=f"{NAME}@stable"))
    await bus.js.publish(subject, b"waits", headers={headers.BOUND: f"{NAME}@stable=1"})


def composed(*adapters: str) -> bytes:
    parts = tuple(CompositionPart(adapter=adapter) for adapter in adapters)
    return encode(Job(id="j2", prompt="x", composition=Composition(parts=parts)))


async def _composed(bus: Bus) -> None:
    address = JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)
    for body in (composed(LABEL, "a/b/c"), composed(f"{NAME}@11"), b"composition, and nothing to read"):
        await bus.js.publish(bus.subjects.job(address), body)


async def _composed_and_due(bus: Bus) -> None:
    address = JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)
    await bus.js.publish(bus.subjects.due_job(address), composed("a/b/c", LABEL))


@pytest.mark.parametrize(
    ("name_it", "reason"),
    [
        (_composed, "1 jobs that are not done are composed of it, as one under t"),
        (_composed_and_due, "1 delayed jobs name it or are bound to it, as one under t"),
        (_serve, "it serves: archive it first"),
        (_alias, "the alias acme/tiny/echo@stable is 2=100 1=0"),
        (_rule, "the rule all leads to it"),
        (_several, "the rule all leads to it"),
        (_classifier, "the classifier in force .revision 1. chooses it"),
        (_placement, "a placement is declared for it"),
        (_job, "1 job that names it is not done"),
        (_session, "2 sessions go on with it, as 's1' of tenant 't'; one ends 3600 s after"),
        (_session_of_several, "1 sessions go on with it, as 's1' of tenant 't'"),
        (_delayed, "1 delayed jobs name it or are bound to it, as j1 of tenant 't'"),
        (_bound, "1 delayed jobs name it or are bound to it, as j1 of tenant 't'"),
        (_bound_and_due, "1 delayed jobs name it or are bound to it, as one under t"),
    ],
)
async def test_a_version_that_something_leads_to_stays__d2(
    client: Client,
    settings: YardSettings,
    folder: Path,
    bus: Bus,
    capsys: pytest.CaptureFixture[str],
    name_it: Callable[[Bus], Awaitable[None]],
    reason: str,
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    await name_it(bus)
    with pytest.raises(ReferencedError, match=reason):
        await client.adapters.remove(LABEL)
    where = ["--url", settings.url, "--prefix", settings.prefix, "--json"]
    assert await asyncio.to_thread(run_command, ["adapters", "rm", LABEL, *where]) == ExitCode.BAD_INPUT
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "referenced"
    assert [record.label for record in await client.adapters()] == [LABEL]
    assert await is_sound(client)


async def test_what_the_classifier_chooses_is_not_archived_until_it_has_another_version(
    client: Client, folder: Path, bus: Bus
) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    await _serve(bus)
    await _classifier(bus, NAME)
    with pytest.raises(VersionNamedError, match=r"serves the classifier in force \(revision 1\): lead that"):
        await client.adapters.archive(LABEL)
    await client.adapters.push(folder, name=NAME, version="2")
    for state in (AdapterState.VALIDATED, AdapterState.ACTIVE):
        await Records(bus).move(NAME, "2", state, ANA, verb="test")
    await client.adapters.archive(LABEL)
    await client.adapters.remove(LABEL)


async def test_what_leads_elsewhere_holds_nothing(client: Client, folder: Path, bus: Bus) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    alias = AliasRecord(adapter="acme/tiny/x", alias="stable", revision=1, arms=(WHOLE,))
    await keep(bus, "aliases", alias_key("acme/tiny/x", "stable"), alias)
    await keep(bus, "placements", placement_key(LABEL), Placement(adapter=LABEL, declared_at=5.0))
    await keep(bus, "sessions", "t.s", alias)  # no session: nobody goes on with that
    await _delay(bus, f"{NAME}@11", **{headers.BOUND: "acme/tiny/x@stable=1"})
    await client.adapters.remove(LABEL)


async def test_a_push_that_counts_on_the_same_parts_at_that_moment_gets_them_back__d2(
    client: Client, folder: Path, bus: Bus
) -> None:
    """Its record comes after the removal has looked which parts are needed."""
    pushed = (await client.adapters.push(folder, name=NAME, version="1")).record
    await Records(bus).remove(await Records(bus).get(NAME, "1"), ANA)
    asked = 0

    async def listed() -> list[AdapterRecord]:
        nonlocal asked
        asked += 1
        found = await client.adapters()
        if asked == 1:
            other = pushed.model_copy(update={"version": "2"})
            await Records(bus).create(other, ANA)
        return found

    assert await Sweeper(bus, listed).sweep(pushed.files) == 0
    assert asked == 2
    assert [check.sound for check in await client.adapters.verify()] == [True]


async def test_a_push_looks_again_once_its_record_is_written__d2(
    client: Client, settings: YardSettings, folder: Path, bus: Bus
) -> None:
    """A removal that had not seen its record has taken what the push found in the store."""
    (folder / "prompt_template.txt").write_text("{prompt}!")
    first = (await client.adapters.push(folder, name=NAME, version="1")).record
    await Records(bus).remove(await Records(bus).get(NAME, "1"), ANA)
    left, freed = [sum(file.size_bytes for file in first.files)], list[int]()

    async def sweep() -> None:
        async with await connect(settings, name="other") as other, Client(settings=settings) as looking:
            freed.append(await Sweeper(other, looking.adapters).sweep(first.files))

    def on_bytes(size_bytes: int) -> None:
        left[0] -= size_bytes
        if left[0] == 0:  # all was found: now it goes, while the push stands still
            with ThreadPoolExecutor() as pool:
                pool.submit(asyncio.run, sweep()).result()

    await client.adapters.push(folder, name=NAME, version="2", on_bytes=on_bytes)
    assert freed[0] > first.size_bytes
    assert [check.sound for check in await client.adapters.verify()] == [True]


async def test_only_a_version_is_removed_and_one_that_is_there(
    client: Client, settings: YardSettings
) -> None:
    with pytest.raises(InvalidRequestError, match="say which version"):
        await client.adapters.remove(NAME)
    with pytest.raises(VersionUnknownError):
        await client.adapters.remove(LABEL)

    def remove() -> None:
        with SyncClient(settings=settings) as blocking, pytest.raises(VersionUnknownError):
            blocking.adapters.remove(LABEL)

    await asyncio.to_thread(remove)


async def test_a_scan_shows_every_message_once_page_by_page(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "PAGE_MESSAGES", 7)
    subject, seen = bus.subjects.audit.replace(">", "x"), list[bytes]()
    for number in range(20):
        await bus.js.publish(
            subject, str(number).encode(), headers={"Status": "100"} if number == 7 else None
        )

    def look(_subject: str, _headers: dict[str, str], body: bytes) -> None:
        seen.append(body)

    assert await scanning.scan(bus, bus.subjects.stream("audit"), subject, look, seconds=5.0)
    assert seen == [str(number).encode() for number in range(20)]
    assert not await scanning.scan(bus, bus.subjects.stream("audit"), subject, look, seconds=0.0)
