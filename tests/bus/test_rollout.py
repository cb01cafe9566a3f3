"""Aliases over the real bus: splits reach results, and a rollback stops what waits (D4, D5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_cli import answers
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas import headers
from lorayard_schemas.assignment import AliasRef
from lorayard_schemas.audit import DecisionRecord, RegistryChange
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.message import Message
from lorayard_schemas.result import Maker
from lorayard_shared.jobs.split import pick
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

STABLE = f"{ADAPTER}@stable"


@pytest.fixture
def two_versions(adapters: Path) -> Path:
    """A folder with versions 1 and 2."""
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    return adapters


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    """One command line."""
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def switch(yard: Yard, *arguments: str) -> None:
    """The same, of `adapters`, without waiting for workers to load."""
    await run(yard, "adapters", *arguments)


async def maker(yard: Yard, job: str, *, tenant: str = "acme") -> Maker:
    """Who answered."""
    result = await yard.result(job, tenant=tenant)
    assert result.maker is not None, result.error
    return result.maker


async def followed(yard: Yard, wait_until: WaitUntil, revision: int) -> None:
    """Wait until a dispatcher goes by a revision of the alias, which comes on another way than jobs."""
    numbers = count()

    async def goes_by_it() -> bool:
        probe = f"probe-{revision}-{next(numbers)}"
        await yard.publish(Job(id=probe, prompt="x"), adapter=ADAPTER)
        made = await maker(yard, probe)
        return made.alias is not None and made.alias.revision == revision

    await wait_until(goes_by_it)


async def audited(yard: Yard, kind: str, message: type[Message]) -> list[Any]:
    """All records of a kind, in their order."""
    stream = yard.bus.subjects.stream("audit")
    found: list[Any] = []
    for number in range(1, await yard.left("audit") + 1):
        read = await yard.bus.js.get_msg(stream, seq=number)
        if f".audit.{kind}." in (read.subject or ""):
            found.append(decode(message, read.data or b""))
    return found


def key_of(job: str) -> str:
    """What a job of a session is drawn by."""
    return f"session\0acme\0s{job}"


async def test_a_split_reaches_results_and_each_user_stays__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=60", "2=40", "--why", "try 2", "--by", "ana")
    await followed(yard, wait_until, 1)
    for number in range(60):
        job = Job(id=f"j{number}", prompt="x", metadata={"user": f"u{number % 20}"})
        await yard.publish(job, adapter=STABLE if number % 2 else ADAPTER)
    found: dict[str, set[str | None]] = {}
    for number in range(60):
        made = await maker(yard, f"j{number}")
        assert made.alias is not None
        assert (made.rule, made.alias.name, made.alias.revision) == ("explicit", STABLE, 1)
        assert made.digest == (await yard.record(ADAPTER, str(made.version))).digest
        found.setdefault(f"u{number % 20}", set()).add(made.version)
    drawn = {user: pick([("1", 60.0), ("2", 40.0)], STABLE, f"user\0acme\0{user}") for user in found}
    assert found == {user: {version} for user, version in drawn.items()}
    assert set(drawn.values()) == {"1", "2"}
    (told,) = [one for one in await audited(yard, "registry", RegistryChange) if one.what == "aliases"]
    assert (told.verb, told.key, told.actor, told.reason) == ("split", STABLE, "ana", "try 2")
    assert (told.before, told.after) == ("", "1=60 2=40")


async def test_a_rollback_in_a_burst_starts_nothing_more_on_what_it_left__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions, rows=2, lookahead=0, echo_delay_seconds=0.01)
    await switch(yard, "split", STABLE, "1=100")
    await switch(yard, "split", STABLE, "1=50", "2=50")
    await followed(yard, wait_until, 2)
    jobs = [f"j{number}" for number in range(200)]
    for job in jobs:
        await yard.publish(Job(id=job, prompt="x", session=f"s{job}"), adapter=STABLE)
    versions = {version: await yard.record(ADAPTER, version) for version in ("1", "2")}
    two = next(job for job in jobs if pick([("1", 50.0), ("2", 50.0)], STABLE, key_of(job)) == "2")
    await maker(yard, two)
    author = Author(actor="ana", reason="2 rambles")
    await AliasStore(yard.bus).roll_back(ADAPTER, "stable", None, versions, author)
    made = [await maker(yard, job) for job in jobs]
    bound = [(one.alias.revision, one.version) for one in made if one.alias is not None]
    assert len(bound) == len(jobs)
    assert set(bound) == {(2, "1"), (2, "2"), (3, "1")}, "each as the revision says that it was bound to"

    async def decided() -> list[DecisionRecord]:
        return [one for one in await audited(yard, "decision", DecisionRecord) if one.job in jobs]

    async def recorded() -> bool:
        return len(await decided()) >= len(jobs)

    await wait_until(recorded)
    decisions: list[Any] = await decided()
    revisions = [one.alias.revision for one in decisions]
    seen = revisions.index(3)
    after = [one for one in decisions[seen:] if one.adapter.version == "2"]
    assert not after, "zero starts once the revision is seen"
    assert revisions == sorted(revisions)


async def test_who_waits_on_a_plain_name_follows_stable_as_it_comes__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    first = await yard.worker(adapters_dir=two_versions)
    await first.stop()
    await yard.dispatcher()  # it knows both versions
    await yard.publish(Job(id="j", prompt="x"), adapter=ADAPTER)

    async def parked(version: str) -> bool:
        return [one.adapter for one in (await yard.status()).parked] == [f"{ADAPTER}@{version}"]

    await wait_until(lambda: parked("2"))
    await switch(yard, "split", STABLE, "1=100", "--no-preload")
    await wait_until(lambda: parked("1"))
    await yard.worker(adapters_dir=two_versions)
    assert (await maker(yard, "j")).version == "1"


async def test_an_attempt_after_the_first_keeps_its_version_while_it_has_a_share__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    bound = {headers.BOUND: f"{STABLE}=1", headers.ATTEMPT: "2"}
    await switch(yard, "split", STABLE, "1=0.001", "2=99.999")
    await yard.publish(Job(id="j", prompt="x"), adapter=STABLE, headers=bound)
    assert (await maker(yard, "j")).version == "1"
    await switch(yard, "promote", STABLE, "2")
    await followed(yard, wait_until, 2)
    await yard.publish(Job(id="k", prompt="x"), adapter=STABLE, headers=bound)
    assert (await maker(yard, "k")).version == "2"


def fails_at_first() -> Callable[[GenerationRequest], Scripted]:
    """Its first request in a way that may pass."""
    failures = [Failed(request_id="", kind=FailureKind.RETRYABLE, code="hiccup", message="not now")]
    return lambda _: Scripted(outcome=failures.pop() if failures else None)


async def test_a_job_that_is_tried_again_keeps_its_version_while_it_has_a_share__d4(
    yard: Yard, two_versions: Path, tmp_path: Path
) -> None:
    await yard.dispatcher()
    first = await yard.worker(adapters_dir=two_versions)
    async with Client(settings=yard.settings) as client:
        for version in ("1", "2"):
            await client.adapters.push(two_versions / ADAPTER / version, name=ADAPTER, version=version)
    await first.stop()
    await switch(yard, "split", STABLE, "1=0.001", "2=99.999", "--no-preload")
    engine = EchoEngine(script=fails_at_first())
    await yard.worker("w2", engine=engine, pulled_dir=tmp_path / "pulled", retry_cap_seconds=1.0)
    delayed = await yard.bus.nc.subscribe(yard.bus.subjects.delayed)
    bound = {headers.BOUND: f"{STABLE}=1", headers.ATTEMPT: "2"}
    await yard.publish(Job(id="j", prompt="x"), adapter=STABLE, headers=bound)
    written = (await delayed.next_msg(timeout=60)).headers or {}
    assert (written[headers.BOUND], written[headers.ATTEMPT]) == (f"{STABLE}=1", "3")
    answered = await yard.result("j")
    assert answered.maker is not None, answered.error
    assert (answered.maker.version, answered.attempt) == ("1", 3)


async def test_a_session_leaves_a_version_that_was_rolled_back__b3__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=100")
    await switch(yard, "promote", STABLE, "2")
    await followed(yard, wait_until, 2)
    await yard.publish(Job(id="t1", prompt="x", session="s"), adapter=STABLE)
    await maker(yard, "t1")
    await yard.publish(Job(id="t2", prompt="x", session="s"))
    assert [(await maker(yard, "t2")).version, (await maker(yard, "t2")).rule] == ["2", "session"]
    await switch(yard, "rollback", STABLE)
    await followed(yard, wait_until, 3)
    await yard.publish(Job(id="t3", prompt="x", session="s"))
    assert [(await maker(yard, "t3")).version, (await maker(yard, "t3")).rule] == ["1", "session"]


async def test_versions_are_loaded_before_the_switch__d4(yard: Yard, two_versions: Path) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    await yard.worker("w2", adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=100")
    holders = [
        worker for worker in ("w1", "w2") if (await yard.record(ADAPTER)).digest in await held(yard, worker)
    ]
    await switch(yard, "promote", STABLE, "2")
    for worker in holders:
        assert (await yard.record(ADAPTER, "2")).digest in await held(yard, worker)
    assert holders


async def held(yard: Yard, worker: str) -> set[str]:
    advert = await yard.advert(worker)
    return {*advert.host, *(slot.digest for slot in advert.slots)}


async def test_nothing_is_switched_to_what_no_worker_can_load__d4(yard: Yard, two_versions: Path) -> None:
    await yard.dispatcher()
    worker = await yard.worker(adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=100")
    await switch(yard, "split", STABLE, "1=90", "2=10", "--no-preload")
    await worker.stop()
    await run(yard, "adapters", "promote", STABLE, "2", code=ExitCode.NOT_READY)
    await run(yard, "adapters", "promote", STABLE, code=ExitCode.NOT_READY)  # 2 is meant
    await run(yard, "adapters", "promote", STABLE, "2", "--no-preload")


REFUSED = (
    (("split", STABLE, "1=50", "2=49"), "sum to 99"),
    (("split", STABLE, "1=50", "1=50"), "named twice"),
    (("split", STABLE, "1=100", "2=-1"), "2=-1: Input should be greater than or equal to 0"),
    (("split", STABLE, "1=nan", "2=0"), "1=nan: "),
    (("split", STABLE, "1=100", "--guard", "--alpha", "7"), "--alpha 7.0: Input should be less than 1"),
    (("split", STABLE, "1=100", "--guard", "--guard-jobs", "0"), "--guard-jobs 0: "),
    (("split", STABLE, "3=100"), "no version '3'; registered: 1, 2"),
    (("split", STABLE, "other=100"), "no version 'other'"),
    (("split", STABLE, "1=all"), "write VERSION=PERCENT"),
    (("split", STABLE), "sum to 0"),
    (("split", f"{ADAPTER}@v1", "1=100"), "what has a digit is a version"),
    (("split", ADAPTER, "1=100"), "is no alias"),
    (("split", "acme/none/none@stable", "1=100"), "no version '1'; registered: none"),
    (("promote", STABLE), "there is no alias"),
    (("promote", STABLE, "2"), "there is no alias"),
    (("rollback", STABLE), "there is no alias"),
    (("unalias", STABLE), "there is no alias"),
)


async def test_an_alias_that_cannot_be_is_refused_and_says_why__d4(
    yard: Yard, two_versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=two_versions)
    for arguments, words in REFUSED:
        await run(yard, "adapters", *arguments, code=ExitCode.BAD_INPUT)
        assert words in capsys.readouterr().err
    await run(yard, "adapters", "history", STABLE, code=ExitCode.UNKNOWN_ADAPTER)


async def test_a_caller_is_told_which_alias_led_to_the_version__d4(yard: Yard, two_versions: Path) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=100")
    async with Client(settings=yard.settings) as client:
        result = await (await client.submit("x", adapter=STABLE)).result()
    assert (result.version, result.alias) == ("1", AliasRef(name=STABLE, revision=1))
    assert answers.result_document(result)["alias"] == {"name": STABLE, "revision": 1}


async def test_the_history_of_an_alias_says_who_changed_it_and_why__d4(
    yard: Yard, two_versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=two_versions)
    await switch(yard, "split", STABLE, "1=100", "--by", "ana", "--why", "first")
    await switch(yard, "split", STABLE, "1=95", "2=5", "--sticky", "tenant", "--guard")
    await switch(yard, "promote", STABLE)
    await switch(yard, "rollback", STABLE)
    await switch(yard, "rollback", STABLE)
    await switch(yard, "unalias", STABLE)
    capsys.readouterr()
    await switch(yard, "aliases", "--json")
    assert json.loads(capsys.readouterr().out) == {"aliases": []}
    await switch(yard, "history", STABLE, "--json")
    told = json.loads(capsys.readouterr().out)["revisions"]
    shares = [{arm["version"]: arm["weight"] for arm in one["arms"]} for one in told]
    assert shares == [{"1": 100}, {"1": 95, "2": 5}, {"2": 100}, {"1": 95, "2": 5}, {"1": 100}, {}]
    assert [one["restores"] for one in told] == [None, None, None, 2, 1, None]
    assert (told[0]["by"], told[0]["why"], told[1]["sticky"], told[1]["control"]) == (
        "ana",
        "first",
        "tenant",
        "1",
    )
    await switch(yard, "rollback", STABLE, "--to", "2")
    await switch(yard, "history", STABLE)
    assert "7 (as 2)" in capsys.readouterr().out


async def test_a_declaration_by_name_follows_what_the_name_stands_for__b7__d4(
    yard: Yard, two_versions: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=two_versions)
    async with Client(settings=yard.settings) as client:

        async def is_placed(*versions: str) -> bool:
            told = (await client.placements(ADAPTER)).adapters
            wanted = {f"{ADAPTER}@{version}" for version in versions}
            held = {slot.digest for slot in (await yard.advert()).slots if slot.pinned}
            pinned = {(await yard.record(ADAPTER, version)).digest for version in versions}
            return {one.adapter for one in told if one.kept} == wanted and held == pinned

        await client.place(ADAPTER, pin=True)
        await client.aliases.split(STABLE, {"1": 100})
        await wait_until(lambda: is_placed("1"))
        await client.aliases.split(STABLE, {"1": 50, "2": 50})
        await wait_until(lambda: is_placed("1", "2"))
