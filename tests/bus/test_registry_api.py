"""Aliases, rules and strikes from Python, with errors of the client and nothing of the bus (D4, D7, E2)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard

from lorayard import (
    AliasRefusedError,
    BusUnavailableError,
    Client,
    GuardRule,
    InvalidRequestError,
    Match,
    NotPreloadedError,
    RouteRule,
    RouteTable,
    RuleFileError,
    RuleRevisionError,
    Sticky,
    StrikeUnknownError,
    SyncClient,
    YardNotReadyError,
)
from lorayard.registry.adapters import Adapters
from lorayard.registry.aliases import Aliases
from lorayard.registry.classifiers import Classifiers
from lorayard.registry.rules import Rules
from lorayard.registry.strikes import Strikes
from lorayard.registry.sync_adapters import SyncAdapters
from lorayard.registry.sync_aliases import SyncAliases
from lorayard.registry.sync_classifiers import SyncClassifiers
from lorayard.registry.sync_rules import SyncRules
from lorayard.registry.sync_strikes import SyncStrikes
from lorayard.settings import client_settings
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

STABLE = f"{ADAPTER}@stable"

SUMS = RouteTable(rules=(RouteRule(name="sums", task=Match(exact="sum"), adapter=ADAPTER),))


@pytest.fixture
def two_versions(adapters: Path) -> Path:
    """A folder with versions 1 and 2."""
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    return adapters


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=client_settings(settings, actor="ana")) as client:
        yield client


async def test_an_alias_is_split_promoted_returned_and_taken_away__d4(
    yard: Yard, client: Client, two_versions: Path
) -> None:
    await yard.worker(adapters_dir=two_versions)
    first = await client.aliases.split(STABLE, {"1": 100}, sticky=Sticky.TENANT, reason="first")
    assert (first.record.shares, first.record.by, first.record.why) == ("1=100", "ana", "first")
    assert first.warnings == ()
    tried = await client.aliases.split(STABLE, {"1": 95, "2": 5}, guard=GuardRule(alpha=0.02))
    assert (tried.record.control, tried.record.sticky) == ("1", Sticky.TENANT)
    promoted = (await client.aliases.promote(STABLE)).record
    assert promoted.shares == "2=100"
    assert [one.spec for one in await client.aliases.list()] == [STABLE]
    back = await client.aliases.rollback(STABLE, to=1, reason="it rambles")
    assert (back.shares, back.restores) == ("1=100", 1)
    await client.aliases.unalias(STABLE)
    assert await client.aliases.list() == []
    assert [one.revision for one in await client.aliases.history(STABLE)] == [1, 2, 3, 4, 5]
    assert await client.aliases.history(f"{ADAPTER}@nightly") == ()


async def test_an_alias_that_cannot_be_is_refused_with_the_field__d4(
    yard: Yard, client: Client, two_versions: Path
) -> None:
    worker = await yard.worker(adapters_dir=two_versions)
    with pytest.raises(InvalidRequestError, match="what has a digit is a version") as wrong:
        await client.aliases.split(f"{ADAPTER}@1", {"1": 100})
    assert wrong.value.field == "alias"
    with pytest.raises(AliasRefusedError, match="sum to 99") as sum_to_less:
        await client.aliases.split(STABLE, {"1": 99})
    assert sum_to_less.value.field == "weights"
    with pytest.raises(AliasRefusedError, match="there is no alias"):
        await client.aliases.promote(STABLE)
    await worker.stop()
    with pytest.raises(NotPreloadedError, match="no worker has acme/tiny/echo@1, acme/tiny/echo@2") as none:
        await client.aliases.split(STABLE, {"1": 50, "2": 50})
    assert none.value.labels == (f"{ADAPTER}@1", f"{ADAPTER}@2")
    assert await client.aliases.list() == []
    await client.aliases.split(STABLE, {"1": 50, "2": 50}, preload_seconds=None)


async def test_rules_are_set_as_a_table_a_file_or_its_text__b1__b2(
    yard: Yard, client: Client, adapters: Path, tmp_path: Path
) -> None:
    await yard.worker(adapters_dir=adapters)
    assert (await client.rules.get()).rules == ()
    made = await client.rules.set(SUMS, reason="first")
    assert (made.revision, made.by, made.why) == (1, "ana", "first")
    text = f'[[rule]]\nname = "sums"\ntask = "sum"\nadapter = "{ADAPTER}"\n'
    assert await client.rules.set(text) == made  # the very same
    file = tmp_path / "rules.toml"
    file.write_text(text.replace('"sum"', '"tally"'))
    assert (await client.rules.set(file)).revision == 2
    found = await client.rules.test(task="tally", tenant="t", metadata={"lang": "de"})
    assert found.found is not None
    assert (found.found.rule, [step.what for step in found.steps if step.decides]) == (
        "task:sums",
        ["task:sums"],
    )
    assert (await client.rules.test(adapter="acme/tiny/none")).refused
    assert (await client.rules.rollback()).restores == 1
    assert await client.rules.get() == (await client.rules.history())[-1]


async def test_rules_that_cannot_be_are_refused_with_their_place__b2(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    for rules, words in (
        (file, "cannot be read"),
        ("nonsense\n", "rules:1: no TOML"),
        ("", "none would be in force"),
        (RouteTable(), "none would be in force"),
        (SUMS, "rule 'sums': adapter 'acme/tiny/echo' is not registered"),
    ):
        with pytest.raises(RuleFileError, match=words):
            await client.rules.set(rules)
    with pytest.raises(RuleRevisionError, match="no revision 7"):
        await client.rules.rollback(to=7)
    assert await client.rules.history() == ()
    assert (await client.rules.set(SUMS, check=False)).rules == SUMS.rules
    assert (await client.rules.set("", allow_empty=True)).rules == ()


async def test_strikes_are_added_listed_and_lifted__d7(client: Client) -> None:
    report = await client.strikes.add(adapter=ADAPTER, tenant="t", reason="late")
    assert (report.strike.by, report.strike.why, report.registered) == ("ana", "late", False)
    assert (await client.strikes.add(tenant="t", reason="late")).registered
    assert [one.label for one in await client.strikes.list()] == [
        f"adapter {ADAPTER} for tenant t",
        "tenant t",
    ]
    with pytest.raises(StrikeUnknownError) as unknown:
        await client.strikes.lift(adapter=ADAPTER)
    assert (unknown.value.adapter, unknown.value.tenant) == (ADAPTER, None)
    await client.strikes.lift(adapter=ADAPTER, tenant="t")
    await client.strikes.lift(tenant="t")
    assert await client.strikes.list() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"adapter": ADAPTER, "reason": ""}, "reason"),
        ({"reason": "w"}, "adapter"),
        ({"adapter": "nonsense", "reason": "w"}, "adapter"),
        ({"adapter": STABLE, "reason": "w"}, "adapter"),
        ({"tenant": "", "reason": "w"}, "tenant"),
        ({"tenant": "t", "reason": "w" * 1001}, "reason"),
    ],
)
async def test_a_strike_that_cannot_be_is_refused_with_the_field__d7(
    client: Client, given: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        await client.strikes.add(**given)
    assert wrong.value.field == field
    assert await client.strikes.list() == []


CALLS: tuple[Callable[[Client], Awaitable[object]], ...] = (
    lambda client: client.aliases.list(),
    lambda client: client.aliases.history(STABLE),
    lambda client: client.aliases.split(STABLE, {"1": 100}),
    lambda client: client.aliases.promote(STABLE, "1"),
    lambda client: client.aliases.rollback(STABLE),
    lambda client: client.aliases.unalias(STABLE),
    lambda client: client.rules.set(SUMS),
    lambda client: client.rules.get(),
    lambda client: client.rules.history(),
    lambda client: client.rules.rollback(),
    lambda client: client.rules.test(session="s"),
    lambda client: client.strikes.list(),
    lambda client: client.strikes.add(tenant="t", reason="w"),
    lambda client: client.strikes.lift(tenant="t"),
)


async def test_without_a_yard_every_verb_says_so__e5(bus_url: str) -> None:
    async with Client(bus_url, prefix="nowhere") as client:
        for call in CALLS:
            with pytest.raises(YardNotReadyError):
                await call(client)


async def test_without_a_bus_every_verb_says_so__e5(
    own_server: RunningServer, own_settings: YardSettings
) -> None:
    async with Client(settings=own_settings) as client:
        own_server.kill()
        said = await asyncio.gather(*(call(client) for call in CALLS), return_exceptions=True)
        assert [one for one in said if not isinstance(one, BusUnavailableError)] == []
        own_server.start()


async def test_blocking_callers_have_them_too__e2(yard: Yard, two_versions: Path) -> None:
    await yard.worker(adapters_dir=two_versions)

    def blocking() -> None:
        with SyncClient(settings=yard.settings) as client:
            client.aliases.split(STABLE, {"1": 60, "2": 40})
            client.aliases.promote(STABLE, "2")
            assert client.aliases.rollback(STABLE).shares == client.aliases.list()[0].shares == "1=60 2=40"
            client.aliases.unalias(STABLE)
            assert len(client.aliases.history(STABLE)) == 4
            client.rules.set(SUMS)
            client.rules.set("", allow_empty=True)
            assert client.rules.rollback().rules == client.rules.get().rules == SUMS.rules
            assert len(client.rules.history()) == 3
            assert client.rules.test(task="sum").refused == ""
            struck = client.strikes.add(tenant="t", reason="w")
            assert client.strikes.list() == [struck.strike]
            client.strikes.lift(tenant="t")

    await asyncio.to_thread(blocking)


@pytest.mark.parametrize(
    ("sync", "plain"),
    [
        (SyncAdapters, Adapters),
        (SyncAliases, Aliases),
        (SyncRules, Rules),
        (SyncClassifiers, Classifiers),
        (SyncStrikes, Strikes),
    ],
)
def test_every_verb_has_its_blocking_twin_with_the_same_arguments__e2(sync: type, plain: type) -> None:
    def verbs(of: type) -> dict[str, list[str]]:
        found = inspect.getmembers(of, inspect.isfunction)
        public = {name: call for name, call in found if not name.startswith("_")}
        return {name: list(inspect.signature(call).parameters) for name, call in public.items()}

    assert verbs(sync) == verbs(plain)
