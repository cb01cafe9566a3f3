"""Rules that name several adapters or add to what was chosen, over a real bus and a real engine (C7, B1)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import Yard

from lorayard import Client, Composition
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.alias import AliasRecord, AliasRef, Arm, alias_key
from lorayard_schemas.audit import AuditKind, DecisionRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.headers import BOUND
from lorayard_schemas.job import Job, Sampling
from lorayard_schemas.result import Maker
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [pytest.mark.bus, pytest.mark.model]

WaitUntil = Callable[..., Awaitable[None]]

SUMS, STYLE, MORE = (f"acme/tiny/{name}" for name in ("sums", "style", "more"))
STABLE = f"{STYLE}@stable"
PROMPT = "The quick brown fox"
TOKENS = 8

RULES = f"""
[[rule]]
name = "sums"
task = "sum"
adapter = "{SUMS}"

[[rule]]
name = "mixed"
task = "mix"
adapters = [{{ adapter = "{STYLE}@stable", weight = 1.5 }}, {{ adapter = "{SUMS}", weight = 2 }}]
policy = "ties"
density = 0.5

[[rule]]
name = "style"
tenant = "acme"
on = ["task", "session"]
add = [{{ adapter = "{STYLE}@stable", weight = -1.5 }}, {{ adapter = "acme/tiny/none" }}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate((f"{SUMS}/1", f"{STYLE}/1", f"{STYLE}/2", f"{MORE}/1")):
        make_tiny_adapter(root / name, seed=seed + 1)
    return root


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def alias(yard: Yard, revision: int = 1, *, of: str = STABLE, **shares: float) -> None:
    """Of the style, unless it is another's, as `v2=100`."""
    adapter, _, word = of.partition("@")
    arms = tuple(Arm(version=version[1:], weight=weight) for version, weight in shares.items())
    record = AliasRecord(adapter=adapter, alias=word, revision=revision, arms=arms)
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("aliases"))
    await bucket.put(alias_key(adapter, word), encode(record))


async def put(yard: Yard, *rules: Mapping[str, object], revision: int = 1) -> None:
    given = [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)]
    table = RouteTable.model_validate({"rules": given, "revision": revision})
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("rules"))
    await bucket.put(RULES_KEY, encode(table))


async def run(yard: Yard, *arguments: str) -> None:
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == ExitCode.OK


async def maker(yard: Yard, job: str) -> Maker:
    result = await yard.result(job)
    assert result.maker is not None, result.error
    return result.maker


async def decision(yard: Yard, job: str, wait_until: WaitUntil) -> DecisionRecord:
    """The audit record of a job."""
    stream = yard.bus.subjects.stream("audit")
    found: list[DecisionRecord] = []

    async def written() -> bool:
        for number in range(1, await yard.left("audit") + 1):
            message = await yard.bus.js.get_msg(stream, seq=number)
            if f".{AuditKind.DECISION}." in (message.subject or ""):
                record = decode(DecisionRecord, message.data or b"")
                found.extend([record] if record.job == job else [])
        return bool(found)

    await wait_until(written)
    return found[0]


async def test_task_by_rule_and_style_by_tenant_answer_as_one_composition__c7__b1(
    yard: Yard,
    client: Client,
    real: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    await yard.worker(**real)
    await alias(yard, v2=100)
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    await run(yard, "routes", "set", str(file), "--no-check")
    await yard.dispatcher()  # to one that runs already rules come on another way than jobs
    by_hand = Composition({SUMS: 1.0, f"{STYLE}@2": -1.5})
    wanted = await client.generate(PROMPT, composition=by_hand, max_new_tokens=TOKENS)
    found = await client.generate(PROMPT, task="sum", max_new_tokens=TOKENS)
    assert (found.text, found.rule, found.added_by) == (wanted.text, "task:sums", ("style",))
    assert found.composition is not None
    assert wanted.composition is not None
    assert found.composition.digest == wanted.composition.digest
    assert [(part.name, part.version, part.weight, part.alias) for part in found.composition.parts] == [
        (SUMS, "1", 1.0, None),
        (STYLE, "2", -1.5, AliasRef(name=STABLE, revision=1)),
    ]
    assert [(one.adapter, one.rule) for one in found.left_out] == [("an adapter", "style")]
    record = await decision(yard, found.job_id, wait_until)
    assert (record.rule, record.composition) == (found.rule, found.composition)
    assert record.additions is not None
    assert record.additions.by == found.added_by
    (lacked,) = record.additions.left_out
    assert (lacked.adapter, lacked.rule) == ("acme/tiny/none", "style"), "an operator is told its name"
    assert "is not registered" in lacked.why
    capsys.readouterr()
    monkeypatch.setenv("LORAYARD_TENANT", "acme")
    await run(yard, "result", found.job_id)
    told = capsys.readouterr()
    assert f"sum of 1 {SUMS}@1 + -1.5 {STYLE}@2" in told.err
    assert "added by style; without an adapter of style: it is not there for this tenant" in told.err
    await run(yard, "explain", found.job_id)
    assert "; added by style; without acme/tiny/none" in capsys.readouterr().out
    alone = await client.generate(PROMPT, adapter=SUMS, max_new_tokens=TOKENS)
    assert (alone.adapter, alone.added_by) == (SUMS, ()), "whoever names an adapter gets that one"


async def test_a_rule_of_several_answers_as_the_composition_that_it_describes__c7(
    yard: Yard, client: Client, real: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(**real)
    await alias(yard, v1=100)
    file = tmp_path / "rules.toml"
    file.write_text(RULES.partition('[[rule]]\nname = "style"')[0])
    await run(yard, "routes", "set", str(file))
    await yard.dispatcher()
    by_hand = Composition({f"{STYLE}@1": 1.5, SUMS: 2.0}, policy="ties", density=0.5)
    wanted = await client.generate(PROMPT, composition=by_hand, max_new_tokens=TOKENS)
    found = await client.generate(PROMPT, task="mix", max_new_tokens=TOKENS)
    assert (found.text, found.rule, found.added_by) == (wanted.text, "task:mixed", ())
    assert found.composition is not None
    assert found.composition.policy == "ties"
    capsys.readouterr()
    await run(yard, "routes", "test", "--task", "mix")
    told = " ".join(capsys.readouterr().out.split())
    assert f"-> task:mixed: everything fits: ties density=0.5 of 1.5 {STABLE} + 2 {SUMS}" in told
    assert f"=> ties of 1.5 {STYLE}@1 + 2 {SUMS}@1 through {STABLE} (revision 1)" in told


async def test_a_session_is_added_to_on_every_turn_and_keeps_what_was_chosen__c7__b3(
    yard: Yard, client: Client, real: dict[str, Any]
) -> None:
    style = {"add": [{"adapter": STYLE, "weight": 0.5}]}
    await put(yard, {"task": "sum", "adapter": SUMS}, style)
    await yard.dispatcher()
    await yard.worker(**real)
    first = await client.generate(PROMPT, task="sum", session="s", max_new_tokens=2)
    then = await client.generate(PROMPT, session="s", max_new_tokens=2)
    assert [(one.rule, one.added_by) for one in (first, then)] == [("task:r0", ("r1",)), ("session", ("r1",))]
    assert first.composition == then.composition
    named = await client.generate(PROMPT, adapter=MORE, session="t", max_new_tokens=2)
    after = await client.generate(PROMPT, session="t", max_new_tokens=2)
    assert [(one.adapter, one.added_by) for one in (named, after)] == [(MORE, ()), (MORE, ())]


async def test_without_a_dispatcher_workers_go_by_these_rules_too__c7__a3(
    yard: Yard, client: Client, real: dict[str, Any]
) -> None:
    soon: dict[str, Any] = {"emergency": True, "emergency_after_seconds": 0.3}
    await put(
        yard,
        {"task": "sum", "adapter": SUMS},
        {"task": "mix", "adapters": [{"adapter": STABLE}, {"adapter": SUMS, "weight": 0.5}]},
        {"add": [{"adapter": MORE, "weight": 0.5}, {"adapter": "acme/tiny/none"}]},
    )
    await alias(yard, v1=100)
    await yard.worker(**{**real, **soon})
    found = await client.generate(PROMPT, task="sum", max_new_tokens=2)
    mixed = await client.generate(PROMPT, task="mix", max_new_tokens=2)
    assert [(one.rule, one.added_by) for one in (found, mixed)] == [
        ("task:r0", ("r2",)),
        ("task:r1", ("r2",)),
    ]
    assert mixed.composition is not None
    assert [(part.name, part.alias) for part in mixed.composition.parts] == [
        (STYLE, AliasRef(name=STABLE, revision=1)),
        (SUMS, None),
        (MORE, None),
    ]
    assert [one.rule for one in mixed.left_out] == ["r2"]


async def test_who_waits_follows_the_aliases_of_its_parts_and_what_a_rule_lacked__c7__d4(
    yard: Yard, real: dict[str, Any], wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await alias(yard, v2=100)
    await alias(yard, of=f"{SUMS}@sign", v1=100)
    style = {"add": [{"adapter": STABLE}, {"adapter": f"{MORE}@new"}]}
    await put(yard, {"task": "sum", "adapter": SUMS}, style)
    worker = await yard.worker(**real)
    await worker.stop()
    await yard.publish(Job(id="a", prompt="x", task="sum", sampling=Sampling(max_new_tokens=2)))

    async def parked(*labels: str) -> bool:
        return [one.adapter for one in (await yard.status()).parked] == list(labels)

    await wait_until(lambda: parked(f"sum of 1 {SUMS}@1 + 1 {STYLE}@2"))
    await alias(yard, 2, v1=100)
    await wait_until(lambda: parked(f"sum of 1 {SUMS}@1 + 1 {STYLE}@1"))
    await alias(yard, of=f"{MORE}@new", v1=100)
    whole = f"sum of 1 {SUMS}@1 + 1 {STYLE}@1 + 1 {MORE}@1"
    await wait_until(lambda: parked(whole))
    await yard.publish(Job(id="b", prompt="x"), adapter=f"{SUMS}@sign")
    await wait_until(lambda: parked(f"{SUMS}@1", whole))
    await alias(yard, 3, v1=100, v2=0)
    await alias(yard, 2, of=f"{SUMS}@sign")  # heard after the other
    await wait_until(lambda: parked(whole))
    await yard.worker("w2", **real)
    made = (await maker(yard, "a")).composition
    assert made is not None
    led = [(part.alias.name, part.alias.revision) for part in made.parts if part.alias is not None]
    assert led == [(STABLE, 3), (f"{MORE}@new", 1)], "a guard counts answers of the revision that stands"


async def test_another_attempt_keeps_the_versions_of_all_its_parts__c7__d4(
    yard: Yard, real: dict[str, Any], wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await yard.worker(**real)
    await alias(yard, v1=1, v2=99)
    await put(yard, {"task": "sum", "adapter": SUMS}, {"add": [{"adapter": STABLE, "weight": 0.5}]})
    await worker.stop()
    sampling = {"max_new_tokens": 2}
    begun = {BOUND: f"acme/tiny/gone@stable=7 {STABLE}=1"}
    job = Job.model_validate({"id": "again", "prompt": "x", "task": "sum", "sampling": sampling})
    await yard.publish(job, headers=begun)

    async def heard() -> bool:  # of the rules, which come on another way than jobs
        return [one.adapter for one in (await yard.status()).parked] == [f"sum of 1 {SUMS}@1 + 0.5 {STYLE}@1"]

    await wait_until(heard)
    await yard.worker("w2", **real)
    made = (await maker(yard, "again")).composition
    assert made is not None
    assert [(part.name, part.version) for part in made.parts] == [(SUMS, "1"), (STYLE, "1")]


async def test_routes_test_says_what_would_be_added_and_what_gave_way__c7__b2(
    yard: Yard, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=folder)
    file = tmp_path / "rules.toml"
    twice = f'[[rule]]\nname = "again"\nadd = [{{ adapter = "{SUMS}", weight = 3 }}]\n'
    file.write_text('conflict = "last"\n' + RULES.replace(STABLE, STYLE) + twice)
    await run(yard, "routes", "set", str(file), "--no-check")
    capsys.readouterr()
    await run(yard, "routes", "test", "--task", "sum", "--tenant", "acme")
    assert capsys.readouterr().out.splitlines()[-7:] == [
        f"-> task:sums: everything fits: {SUMS}",
        f"+  add:style: everything fits: -1.5 {STYLE} + 1 acme/tiny/none",
        f"+  add:again: everything fits: 3 {SUMS}",
        f"=> sum of 3 {SUMS}@1 + -1.5 {STYLE}@2",
        "   without acme/tiny/none of style: adapter 'acme/tiny/none' is not registered;",
        "     `lorayard adapters ls` shows which are",
        f"   without {SUMS}@1: 3 {SUMS}@1 stands (conflict = last)",
    ]
    await run(yard, "routes", "test", "--task", "sum", "--tenant", "other", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["added_by"], [step["adds"] for step in told["additions"]]) == (["again"], [False, True])
    assert told["additions"][0]["why"] == "tenant is 'other', not 'acme'"
    assert (told["adapter"], told["composition"]["parts"][0]["weight"]) == (None, 3.0)
    await run(yard, "routes", "test", "--adapter", SUMS, "--tenant", "acme")
    told = capsys.readouterr().out
    assert "   add:again: it adds nothing to what came from explicit" in told
    assert told.endswith(f"=> {SUMS}@1\n")
    await run(yard, "routes", "ls")
    listed = capsys.readouterr()
    assert f"+ -1.5 {STYLE} + 1 acme/tiny/none" in listed.out
    assert "of an adapter that comes twice: last" in listed.err
