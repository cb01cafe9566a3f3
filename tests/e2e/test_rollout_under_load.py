"""A version rolled out and back while 500 jobs flow (D4, D5): server, dispatcher, two workers.

Every answer is held against the revision of the alias that it was bound to, and nothing is ever restarted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from lorayard import Client, Result
from lorayard.request import LaneName
from lorayard_cli.app import run_command
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.codec import decode
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.jobs.split import pick
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WaitUntil = Callable[..., Awaitable[None]]

NAME = "acme/tiny/summary"
STABLE = f"{NAME}@stable"
TENANT = "acme"
JOBS = 500
USERS = 120
PROMPTS = 6
IN_FLIGHT = 40
"""More than two workers of four rows hold with what lies there, so that some wait at the dispatcher too."""


@dataclass(slots=True)
class Traffic:
    """Users who each ask again, until the operator is through and all jobs have been asked for."""

    client: Client
    ending: bool = False
    answered: list[tuple[str, str, Result]] = field(default_factory=list[tuple[str, str, Result]])
    """User, prompt, and what came of it."""
    numbers: count[int] = field(default_factory=lambda: count(0))

    async def flow(self) -> None:
        """Always as many jobs under way."""
        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(self._ask(), name=f"asks-{number}")

    async def _ask(self) -> None:
        while (number := next(self.numbers)) < JOBS or not self.ending:
            user, prompt = f"u{number % USERS}", f"document {number % PROMPTS}: the quick brown fox"
            lane: LaneName = "high" if number % 2 else "normal"  # whoever waits is overtaken at every switch
            asked = self.client.submit(
                prompt, adapter=STABLE, lane=lane, max_new_tokens=12, metadata={"user": user}
            )
            self.answered.append((user, prompt, await (await asked).outcome()))

    def bound(self, revision: int) -> int:
        """How many answers came of a revision."""
        aliases = [result.alias for _, _, result in self.answered]
        return sum(alias is not None and alias.revision == revision for alias in aliases)

    def workers(self, revision: int) -> set[str]:
        """Who gave them."""
        results = [result for _, _, result in self.answered]
        return {one.worker for one in results if one.alias is not None and one.alias.revision == revision}


@pytest.fixture
def plan(tiny_plan: YardPlan, tmp_path: Path) -> YardPlan:
    some_ahead = {"LORAYARD_LOOKAHEAD": "4", "LORAYARD_PULLED_DIR": str(tmp_path / "pulled")}
    return replace(tiny_plan, environment={**tiny_plan.environment, **some_ahead})


async def test_the_registry_rolls_a_version_out_and_back_under_load__d4__d5(
    plan: YardPlan, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folders = {
        version: make_tiny_adapter(tmp_path / f"v{version}", seed=int(version)) for version in ("1", "2")
    }
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings, tenant=TENANT) as client:
        where = ("--url", yard.settings.url, "--prefix", yard.settings.prefix)

        async def operator(*arguments: str) -> None:
            ran = await asyncio.to_thread(run_command, ["adapters", *arguments, *where])
            assert ran == ExitCode.OK, arguments

        async def push(version: str) -> None:
            named = ("--name", NAME, "--version", version)
            await operator("push", str(folders[version]), *named, "--activate")

        await push("1")
        await operator("split", STABLE, "1=100")
        before = await _lives(yard, client)
        traffic = Traffic(client)
        flowing = asyncio.create_task(traffic.flow())
        await wait_until(lambda: traffic.bound(1) >= IN_FLIGHT)
        await push("2")
        await operator("split", STABLE, "1=90", "2=10")
        await wait_until(lambda: traffic.bound(2) >= 2 * USERS)
        await operator("promote", STABLE)
        await wait_until(lambda: traffic.bound(3) >= IN_FLIGHT)
        await operator("rollback", STABLE, "--to", "1", "--why", "it rambles")
        await wait_until(lambda: traffic.workers(4) == {"w1", "w2"})
        traffic.ending = True
        await flowing
        assert await _lives(yard, client) == before, "nobody was started again"
        digests = {record.version: record.digest for record in await client.adapters() if record.name == NAME}
        async with await connect(yard.settings, name="auditor") as bus:
            past = {record.revision: record for record in await AliasStore(bus).past(NAME, "stable")}
            await wait_until(lambda: _all_recorded(bus, len(traffic.answered)))
            decisions = await _decisions(bus)

    results = [result for _, _, result in traffic.answered]
    assert len(results) >= JOBS
    assert Counter(result.state for result in results) == {"succeeded": len(results)}
    assert [record.shares for record in past.values()] == ["1=100", "1=90 2=10", "2=100", "1=100"]
    assert {result.alias.revision for result in results if result.alias is not None} == {1, 2, 3, 4}
    for user, _, result in traffic.answered:
        assert result.alias is not None
        assert result.version == _drawn(past[result.alias.revision], user), "as the revision says"
        assert result.digest == digests[result.version or ""]
    _each_text_is_of_one_version(traffic)
    _the_canary_had_its_share(traffic)
    _nothing_was_given_to_the_version_that_was_left(decisions)
    _what_had_not_begun_came_back(decisions)
    _nothing_began_on_the_version_that_was_left(results)


async def _lives(yard: EmbeddedYard, client: Client) -> tuple[dict[str, int | None], dict[str, int]]:
    """Processes, and what workers say of their boots."""
    return yard.pids, {advert.worker: advert.epoch for advert in await client.workers()}


def _drawn(record: AliasRecord, user: str) -> str | None:
    """Whom a user belongs to, from the revision alone."""
    arms = [(arm.version, arm.weight) for arm in record.arms]
    return pick(arms, record.experiment or record.spec, f"user\0{TENANT}\0{user}")


def _each_text_is_of_one_version(traffic: Traffic) -> None:
    """Greedy in fp32, so that a row that had mixed versions would read like neither."""
    texts: dict[tuple[str, str | None], set[str]] = {}
    for _, prompt, result in traffic.answered:
        texts.setdefault((prompt, result.version), set()).add(result.text)
    assert {len(found) for found in texts.values()} == {1}
    assert all(
        texts[prompt, "1"] != texts[prompt, "2"] for prompt in {prompt for _, prompt, _ in traffic.answered}
    )


def _the_canary_had_its_share(traffic: Traffic) -> None:
    """10 % of 120 users, give or take three standard deviations: 12 and 10."""
    users: dict[str, set[str | None]] = {}
    for user, _, result in traffic.answered:
        if result.alias is not None and result.alias.revision == 2:
            users.setdefault(user, set()).add(result.version)
    assert {len(versions) for versions in users.values()} == {1}
    assert 2 <= sum(versions == {"2"} for versions in users.values()) <= 22


def _nothing_was_given_to_the_version_that_was_left(decisions: list[DecisionRecord]) -> None:
    revisions = [decision.alias.revision for decision in decisions if decision.alias is not None]
    assert revisions == sorted(revisions)
    after = decisions[revisions.index(4) :]
    assert after
    assert {decision.adapter.version for decision in after if decision.adapter is not None} == {"1"}


def _what_had_not_begun_came_back(decisions: list[DecisionRecord]) -> None:
    """Jobs that lay at a worker when the alias was rolled back were given out again, by the new revision."""
    given: dict[int, set[str]] = {}
    for decision in decisions:
        if decision.alias is not None:
            given.setdefault(decision.alias.revision, set()).add(decision.job)
    assert given[3] & given[4]


def _nothing_began_on_the_version_that_was_left(results: list[Result]) -> None:
    """Of each worker: once it has answered by the new revision, it knows."""
    for worker in {result.worker for result in results}:
        here = [result for result in results if result.worker == worker and result.alias is not None]
        by_new = [one.finished_at for one in here if one.alias is not None and one.alias.revision == 4]
        left = [_began_at(one) for one in here if one.version == "2"]
        assert max(left) < min(by_new)


def _began_at(result: Result) -> float:
    return result.finished_at - (result.timings.total_ms - result.timings.queued_ms) / 1000


async def _all_recorded(bus: Bus, jobs: int) -> bool:
    stream = bus.subjects.stream("audit")
    info = await bus.js.stream_info(stream, subjects_filter=f"{bus.subjects.prefix}.audit.decision.>")
    return sum((info.state.subjects or {}).values()) >= jobs


async def _decisions(bus: Bus) -> list[DecisionRecord]:
    """In their order, of the one dispatcher that there is."""
    stream = bus.subjects.stream("audit")
    found: list[DecisionRecord] = []
    last = (await bus.js.stream_info(stream)).state.last_seq
    for sequence in range(1, last + 1):
        message = await bus.js.get_msg(stream, sequence, direct=True)
        if ".audit.decision." in (message.subject or ""):
            found.append(decode(DecisionRecord, message.data or b""))
    return found
