"""Rules and strikes over the real bus: what decides, what waits, and what goes on (B1, B2, D7)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.job import Job
from lorayard_schemas.names import key_token
from lorayard_schemas.result import Maker, ResultState

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

RULES = f"""
[[rule]]
name = "sums"
task = "sum"
adapter = "{ADAPTER}"

[[rule]]
name = "theirs"
tenant = "other"
adapter = "base"
"""


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    """One command line."""
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def maker(yard: Yard, job: str, *, tenant: str = "acme") -> Maker:
    result = await yard.result(job, tenant=tenant)
    assert result.maker is not None, result.error
    return result.maker


async def explained(yard: Yard, job: str) -> JobExplanation:
    """What the dispatcher says of a job."""
    ask = encode(ExplainJob(tenant="acme", job=job))
    reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher("explain"), ask, timeout=30)
    return decode(JobExplanation, reply.data)


async def is_struck(yard: Yard, jobs: int) -> bool:
    return (await yard.status()).struck == jobs


# ---- rules


async def test_a_rule_decides_where_a_job_names_nothing_and_the_result_says_which__b1__b2(
    yard: Yard, adapters: Path, tmp_path: Path
) -> None:
    await yard.worker(adapters_dir=adapters)
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    await run(yard, "routes", "set", str(file))
    await yard.dispatcher()  # to one that runs already rules come on another way than jobs
    await yard.publish(Job(id="a", prompt="x", task="sum"))
    await yard.publish(Job(id="b", prompt="x", task="sum"), tenant="other")
    await yard.publish(Job(id="c", prompt="x", task="sum"), tenant="other", adapter=ADAPTER)
    await yard.publish(Job(id="d", prompt="x"))
    made = [await maker(yard, "a"), await maker(yard, "b", tenant="other")]
    made += [await maker(yard, "c", tenant="other"), await maker(yard, "d")]
    assert [(one.rule, one.adapter) for one in made] == [
        ("task:sums", ADAPTER),
        ("tenant:theirs", None),
        ("explicit", ADAPTER),
        ("base", None),
    ]


async def test_who_waits_follows_other_rules__b1(
    yard: Yard, adapters: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await yard.worker(adapters_dir=adapters)
    await worker.stop()
    await yard.publish(Job(id="a", prompt="x", task="sum"))

    async def parked(adapter: str) -> bool:
        return [one.adapter for one in (await yard.status()).parked] == [adapter]

    await wait_until(lambda: parked("base"))
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    await run(yard, "routes", "set", str(file))
    await wait_until(lambda: parked(f"{ADAPTER}@1"))


async def test_routes_are_set_listed_tried_and_returned_to__b1__b2(
    yard: Yard, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    await run(yard, "routes", "set", str(file), "--why", "first", "--by", "ana")
    await run(yard, "routes", "set", str(file))
    file.write_text(RULES.replace('"sum"', '"tally"'))
    await run(yard, "routes", "set", str(file))
    capsys.readouterr()
    await run(yard, "routes", "test", "--task", "sum", "--tenant", "t", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["rule"], told["adapter"]) == ("base", None)
    await run(yard, "routes", "test", "--task", "sum", "--tenant", "t")
    said = capsys.readouterr().out
    assert "tenant:theirs: tenant is 't', not 'other'" in said
    assert "task:sums: task is 'sum', not 'tally'" in said
    assert "=> the base model" in said
    await run(yard, "routes", "rollback")
    await run(yard, "routes", "test", "--task", "sum", "--meta", "lang=de")
    assert f"=> {ADAPTER}@1" in capsys.readouterr().out
    await run(yard, "routes", "history", "--json")
    revisions = json.loads(capsys.readouterr().out)["revisions"]
    assert [(one["revision"], one.get("restores")) for one in revisions] == [(1, None), (2, None), (3, 1)]
    assert (revisions[0]["by"], revisions[0]["why"]) == ("ana", "first")
    await run(yard, "routes", "rollback", code=ExitCode.BAD_INPUT)
    await run(yard, "routes", "ls")
    assert capsys.readouterr().out.index("tenant:theirs") < len(RULES)


async def test_all_rules_are_taken_away_only_where_that_is_meant__b2(
    yard: Yard, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    await run(yard, "routes", "set", str(file))
    file.write_text("")
    await run(yard, "routes", "set", str(file), code=ExitCode.BAD_INPUT)
    await run(yard, "routes", "test", "--task", "sum")
    assert f"=> {ADAPTER}@1" in capsys.readouterr().out
    await run(yard, "routes", "set", str(file), "--allow-empty")
    await run(yard, "routes", "test", "--task", "sum")
    assert "=> the base model" in capsys.readouterr().out


async def test_rules_that_lead_nowhere_are_refused_with_their_name__b1(
    yard: Yard, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    file = tmp_path / "rules.toml"
    file.write_text(RULES.replace(f'"{ADAPTER}"', f'"{ADAPTER}@stable"'))
    await run(yard, "routes", "set", str(file), code=ExitCode.BAD_INPUT)
    assert "rule 'sums'" in capsys.readouterr().err
    await run(yard, "routes", "set", str(file), "--no-check")
    file.write_text("[[rule]]\nname = 'x'\ntenants = 'a'\n")
    await run(yard, "routes", "set", str(file), code=ExitCode.BAD_INPUT)
    assert "rules.toml:3: " in capsys.readouterr().err


# ---- strikes


@pytest.mark.parametrize(
    "what",
    [
        ("--adapter", ADAPTER),
        ("--adapter", f"{ADAPTER}@1"),
        ("--tenant", "acme"),
        ("--adapter", ADAPTER, "--tenant", "acme"),
    ],
    ids=["adapter", "version", "tenant", "pair"],
)
async def test_struck_jobs_wait_and_go_on_when_the_strike_is_lifted__d7(
    what: tuple[str, ...], yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.worker(adapters_dir=adapters)
    await run(yard, "strikes", "add", *what, "--why", "it rambles", "--by", "ana")
    await yard.dispatcher()  # to one that runs already strikes come on another way than jobs
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    await wait_until(lambda: is_struck(yard, 1))
    told = await explained(yard, "a")
    assert (told.where, told.reason) == (Whereabouts.PARKED, WaitReason.STRUCK)
    assert "by ana: it rambles" in told.detail
    if "--adapter" in what:
        await yard.publish(Job(id="b", prompt="x"))
        assert (await yard.result("b")).state is ResultState.SUCCEEDED
    if "--tenant" in what:
        await yard.publish(Job(id="c", prompt="x"), adapter=ADAPTER, tenant="other")
        assert (await yard.result("c", tenant="other")).state is ResultState.SUCCEEDED
    assert await yard.stored("a") is None
    await run(yard, "strikes", "lift", *what)
    assert (await yard.result("a")).state is ResultState.SUCCEEDED
    assert (await yard.status()).struck == 0


async def test_a_strike_stops_what_waits_already__d7(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await yard.worker(adapters_dir=adapters)
    await worker.stop()
    await yard.publish(Job(id="a", prompt="x"), adapter=ADAPTER)
    await yard.publish(Job(id="b", prompt="x", deadline=time.time() + 1.5), adapter=ADAPTER)
    await yard.publish(Job(id="c", prompt="x"), adapter=ADAPTER)

    async def parked() -> bool:
        return sum(one.jobs for one in (await yard.status()).parked) >= 2  # one may have expired

    async def struck() -> bool:
        return (await yard.status()).struck >= 2

    await wait_until(parked)
    await run(yard, "strikes", "add", "--adapter", ADAPTER, "--why", "w")
    await wait_until(struck)
    await yard.worker(adapters_dir=adapters)
    assert await yard.cancel("c") is CancelOutcome.CANCELLED
    assert (await yard.result("b")).state is ResultState.EXPIRED
    assert (await explained(yard, "a")).reason is WaitReason.STRUCK
    await run(yard, "strikes", "lift", "--adapter", ADAPTER)
    assert (await yard.result("a")).state is ResultState.SUCCEEDED


async def test_struck_jobs_pass_to_the_next_dispatcher_struck__d7(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.worker(adapters_dir=adapters)
    await run(yard, "strikes", "add", "--adapter", "base", "--why", "w")
    first = await yard.dispatcher("d1")
    await yard.publish(Job(id="a", prompt="x"))
    await wait_until(lambda: is_struck(yard, 1))
    await first.stop()
    await yard.dispatcher("d2")
    await wait_until(lambda: is_struck(yard, 1))
    await run(yard, "strikes", "lift", "--adapter", "base")
    assert (await yard.result("a")).state is ResultState.SUCCEEDED


async def test_a_strike_that_cannot_be_is_refused__d7(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("add", "--adapter", ADAPTER), "say why"),
        (("add", "--why", "w"), "name an adapter, a tenant or both"),
        (("add", "--adapter", f"{ADAPTER}@stable", "--why", "w"), "is an alias"),
        (("add", "--adapter", "nonsense", "--why", "w"), "is not an adapter"),
        (("lift", "--tenant", "nobody"), "no such strike"),
    ):
        await run(yard, "strikes", *arguments, code=ExitCode.BAD_INPUT)
        assert words in capsys.readouterr().err
    await run(yard, "strikes", "add", "--tenant", "t", "--why", "late payer", "--by", "ana")
    capsys.readouterr()
    await run(yard, "strikes", "ls", "--json")
    (told,) = json.loads(capsys.readouterr().out)["strikes"]
    assert (told["tenant"], told["why"], told["by"]) == ("t", "late payer", "ana")


# ---- who may use what


async def test_a_tenant_is_refused_an_adapter_of_others_as_one_that_does_not_exist__d7(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    record = (await yard.record(ADAPTER)).model_copy(update={"tenants": ("acme",)})
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("adapters"))
    await bucket.put(f"{key_token(ADAPTER)}.{key_token('1')}", encode(record))

    async def is_known() -> bool:
        name = f"probe-{time.monotonic_ns()}"
        await yard.publish(Job(id=name, prompt="x"), adapter=ADAPTER, tenant="x")
        return (await yard.result(name, tenant="x")).error is not None

    await wait_until(is_known)
    await yard.publish(Job(id="ours", prompt="x"), adapter=ADAPTER)
    await yard.publish(Job(id="theirs", prompt="x"), adapter=ADAPTER, tenant="x")
    await yard.publish(Job(id="nobodys", prompt="x"), adapter="acme/tiny/none", tenant="x")
    assert (await maker(yard, "ours")).adapter == ADAPTER
    hidden, unknown = await yard.result("theirs", tenant="x"), await yard.result("nobodys", tenant="x")
    assert hidden.error is not None
    assert unknown.error is not None
    said = hidden.error.model_copy(
        update={"message": hidden.error.message.replace(ADAPTER, "acme/tiny/none")}
    )
    assert said == unknown.error


async def test_a_strike_of_what_nobody_has_registered_is_warned_of__d7(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    unknown = ("acme/tiny/ehco", f"{ADAPTER}@9")
    for adapter in (*unknown, ADAPTER, "base"):
        await run(yard, "strikes", "add", "--adapter", adapter, "--why", "w")
        assert (f"warning: {adapter} is not registered" in capsys.readouterr().err) is (adapter in unknown)
