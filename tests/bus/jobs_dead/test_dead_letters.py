"""Dead letters are listed, shown, redriven once each, and thrown away (E3)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.jobs_dead.conftest import bury

from lorayard import Client, Letter, LetterUnknownError, RedriveOutcome, SyncClient
from lorayard.dead.redriving import next_job_id
from lorayard.errors import InvalidRequestError
from lorayard_cli.app import run_command
from lorayard_schemas.codec import encode
from lorayard_schemas.names import JobId
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.payloads import PayloadStore

pytestmark = pytest.mark.bus


async def test_letters_are_listed_by_what_is_asked_for(yard: Yard, client: Client) -> None:
    await bury(yard, "a", adapter="o/m/t@1")
    await bury(yard, "b", tenant="other", adapter="o/m/t@2")
    await bury(yard, "c", code="delivered_too_often")

    async def found(**query: Any) -> list[str | None]:
        return [letter.job for letter in await client.dead.list(**query)]

    assert await found() == ["a", "b", "c"]
    assert await found(tenant="other") == ["b"]
    assert await found(adapter="o/m/t") == ["a", "b"]
    assert await found(adapter="o/m/t@2") == ["b"]
    assert await found(code="delivered_too_often") == ["c"]
    assert await found(limit=2) == ["a", "b"]
    assert await found(since=9e9) == await found(until=5.0) == []
    with pytest.raises(InvalidRequestError, match="limit"):
        await found(limit=0)


async def test_a_letter_is_shown_by_its_number_or_its_job(yard: Yard, client: Client) -> None:
    number = await bury(yard)
    shown = await client.dead.show(number)
    assert shown == await client.dead.show("j")
    assert (shown.tenant, shown.code, len(shown.attempts)) == ("acme", "engine_error", 1)
    work = shown.work()
    assert work is not None
    assert work.prompt == "say j"
    for unknown in (number + 1, "k"):
        with pytest.raises(LetterUnknownError):
            await client.dead.show(unknown)


async def test_two_tenants_with_one_job_id_are_told_apart_by_number(yard: Yard, client: Client) -> None:
    numbers = (await bury(yard), await bury(yard, tenant="other"))
    with pytest.raises(LetterUnknownError) as caught:
        await client.dead.redrive("j")
    assert caught.value.numbers == numbers


async def test_a_redriven_job_runs_under_a_new_id_and_the_old_result_stays__e3(
    yard: Yard, client: Client
) -> None:
    await yard.dispatcher()
    await yard.worker()
    number = await bury(yard)
    report = await client.dead.redrive(number)
    assert (report.outcome, report.new_job) == (RedriveOutcome.REDRIVEN, "j-r1")
    result = await client.handle("j-r1").result(20)
    assert (result.text, result.attempt) == ("say j", 1)
    assert await yard.stored("j") is None, "what it had is not written again"
    with pytest.raises(LetterUnknownError):
        await client.dead.redrive(number)


async def test_a_letter_redriven_by_many_at_once_queues_its_job_once__e3(yard: Yard, client: Client) -> None:
    number = await bury(yard)
    reports = await asyncio.gather(*(client.dead.redrive(number) for _ in range(8)), return_exceptions=True)
    outcomes = [report if isinstance(report, BaseException) else report.outcome for report in reports]
    assert outcomes.count(RedriveOutcome.REDRIVEN) == 1
    fine = (RedriveOutcome.REDRIVEN, RedriveOutcome.BEFORE)
    assert [one for one in outcomes if one not in fine and not isinstance(one, LetterUnknownError)] == []
    assert (await yard.left(), await yard.left("dead")) == (1, 0)


async def test_a_redrive_that_crashed_before_the_letter_left_is_found_by_its_result__e3(
    yard: Yard, client: Client
) -> None:
    await bury(yard)
    later = JobResult(job="j-r1", tenant="acme", state=ResultState.SUCCEEDED, text="t", finished_at=9e9)
    await yard.bus.js.publish(yard.bus.subjects.result("acme", "j-r1"), encode(later))
    report = await client.dead.redrive("j")
    assert (report.outcome, report.new_job) == (RedriveOutcome.BEFORE, "j-r1")
    assert (await yard.left(), await yard.left("dead")) == (0, 0)


async def test_an_id_of_an_earlier_life_is_passed_over(yard: Yard, client: Client) -> None:
    earlier = JobResult(job="j-r1", tenant="acme", state=ResultState.FAILED, finished_at=5.0)
    await yard.bus.js.publish(yard.bus.subjects.result("acme", "j-r1"), encode(earlier))
    await bury(yard)
    assert (await client.dead.redrive("j")).new_job == "j-r2"


async def test_a_job_that_had_its_answer_all_the_same_is_not_run_again(yard: Yard, client: Client) -> None:
    await bury(yard)
    answer = JobResult(job="j", tenant="acme", state=ResultState.SUCCEEDED, text="t")
    await yard.bus.js.publish(yard.bus.subjects.result("acme", "j"), encode(answer))
    assert (await client.dead.redrive("j")).outcome is RedriveOutcome.ANSWERED
    assert (await yard.left(), await yard.left("dead")) == (0, 0)


async def test_a_letter_whose_adapter_is_gone_stays_and_can_go_to_another__e3(
    yard: Yard, client: Client, adapters: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await yard.record(ADAPTER)
    await bury(yard, "gone", adapter="o/m/gone")
    await bury(yard, "version", adapter=f"{ADAPTER}@77")
    for job in ("gone", "version"):
        report = await client.dead.redrive(job)
        assert report.outcome is RedriveOutcome.REFUSED
        assert "not registered" in report.reason
    assert await yard.left("dead") == 2
    for adapter in (ADAPTER, "base"):
        letter = await first_letter(client)
        report = await client.dead.redrive(letter.number, to_adapter=adapter)
        assert report.new_job is not None
        assert (await client.handle(report.new_job).outcome(timeout_seconds=20)).succeeded


async def test_a_letter_can_go_to_another_adapter(yard: Yard, client: Client) -> None:
    await bury(yard, adapter="o/m/broken")
    heard = await yard.bus.nc.subscribe(yard.bus.subjects.jobs)
    await client.dead.redrive("j", to_adapter="o/m/sound@2")
    message = await heard.next_msg(timeout=10)
    assert yard.bus.subjects.parse_job(message.subject).adapter == "o/m/sound@2"
    with pytest.raises(InvalidRequestError, match="to_adapter"):
        await client.dead.redrive("j", to_adapter="no adapter")


async def test_what_is_no_job_stays_with_the_reason(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    await yard.publish(b"\xff")
    letter = await first_letter(client)
    report = await client.dead.redrive(letter.number)
    assert report.outcome is RedriveOutcome.REFUSED
    assert "it is no job" in report.reason
    assert await yard.left("dead") == 1


async def first_letter(client: Client) -> Letter:
    while True:
        async for letter in client.dead.all():
            return letter
        await asyncio.sleep(0.01)


async def test_many_are_redriven_with_a_report_for_each(yard: Yard, client: Client) -> None:
    for number in range(70):
        await bury(yard, f"j{number}")
    reports = [report async for report in client.dead.redrive_all(tenant="acme", limit=69)]
    assert [report.job for report in reports] == [f"j{number}" for number in range(69)]
    assert {report.outcome for report in reports} == {RedriveOutcome.REDRIVEN}
    assert (await yard.left(), await yard.left("dead")) == (69, 1)


async def test_two_operators_redrive_all_at_once__e3(yard: Yard, client: Client) -> None:
    for number in range(200):
        await bury(yard, f"j{number}")

    async def redrive_all() -> list[str | None]:
        reports = [report async for report in client.dead.redrive_all()]
        assert {report.outcome for report in reports} <= {RedriveOutcome.REDRIVEN, RedriveOutcome.BEFORE}
        return [report.new_job for report in reports if report.outcome is RedriveOutcome.REDRIVEN]

    first, second = await asyncio.gather(redrive_all(), redrive_all())
    assert sorted(filter(None, first + second)) == sorted(f"j{number}-r1" for number in range(200))
    assert (await yard.left(), await yard.left("dead")) == (200, 0)


async def test_a_letter_that_is_deleted_by_many_at_once_is_deleted_by_one(yard: Yard) -> None:
    stream = yard.bus.subjects.stream("dead")
    for number in range(50):
        letter = await bury(yard, f"j{number}")
        gone = await asyncio.gather(*(delete_message(yard.bus, stream, letter) for _ in range(4)))
        assert sorted(gone) == [False, False, False, True]
    assert await delete_message(yard.bus, stream, 10**6) is False, "it never was"


async def test_redriving_all_ends_though_jobs_are_given_up_again_at_once__e3(
    yard: Yard, client: Client
) -> None:
    names = [f"j{number}" for number in range(40)]
    for name in names:
        await bury(yard, name)
    told: list[str | None] = []
    async for report in client.dead.redrive_all():
        told.append(report.job)
        assert report.new_job is not None
        await bury(yard, report.new_job)
        assert len(told) <= 40, "it would go on for ever"
    assert told == names


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"adaptor": "o/m/t"}, "adaptor"),
        ({"tenant": 5}, "tenant"),
        ({"since": "yesterday"}, "since"),
        ({"limit": True}, "limit"),
    ],
)
async def test_a_query_with_a_typo_throws_nothing_away(
    yard: Yard, client: Client, query: dict[str, Any], field: str
) -> None:
    await bury(yard)
    for call in (client.dead.purge_all, client.dead.redrive_all, client.dead.all):
        with pytest.raises(InvalidRequestError) as caught:
            await anext(call(**query))
        assert caught.value.field == field
    assert await yard.left("dead") == 1


@pytest.mark.parametrize("number", [0, -1, 2**70, True])
async def test_a_number_that_no_letter_has_is_unknown(client: Client, number: int) -> None:
    for call in (client.dead.show, client.dead.redrive, client.dead.purge):
        with pytest.raises(LetterUnknownError):
            await call(number)


async def test_a_letter_whose_large_prompt_is_gone_stays_with_the_reason(yard: Yard, client: Client) -> None:
    kept = await PayloadStore(yard.bus).put("kept", "long")
    await bury(yard, "a", prompt_ref=kept)
    await bury(yard, "b", prompt_ref=kept.model_copy(update={"key": "gone"}))
    reports = [report async for report in client.dead.redrive_all()]
    assert [report.outcome for report in reports] == [RedriveOutcome.REDRIVEN, RedriveOutcome.REFUSED]
    assert "prompt" in reports[1].reason
    assert [letter.job for letter in await client.dead.list()] == ["b"]


async def test_the_blocking_twin_does_the_same(yard: Yard) -> None:
    numbers = [await bury(yard, name) for name in ("a", "b", "c", "d")]

    def work() -> None:
        with SyncClient(settings=yard.settings, tenant="acme") as client:
            assert [letter.number for letter in client.dead.all()] == numbers
            assert client.dead.list(code="engine_error", limit=1)[0] == client.dead.show("a")
            assert client.dead.redrive("a").new_job == "a-r1"
            assert client.dead.purge(numbers[1]).job == "b"
            assert [one.new_job for one in client.dead.redrive_all(limit=1)] == ["c-r1"]
            assert [one.job for one in client.dead.purge_all()] == ["d"]

    await asyncio.to_thread(work)
    assert (await yard.left(), await yard.left("dead")) == (2, 0)


@pytest.mark.parametrize(
    ("job", "after"),
    [("j", "j-r1"), ("j-r1", "j-r2"), ("j-r9", "j-r10"), ("-r1", "-r2"), ("j-r0", "j-r0-r1")],
)
def test_ids_count_up(job: JobId, after: JobId) -> None:
    assert next_job_id(job) == after


def test_the_longest_id_has_a_next_one_of_its_own() -> None:
    after = {next_job_id(letter * 64) for letter in "ab"}
    assert len(after) == 2
    assert all(len(one) <= 64 and one.endswith("-r1") for one in after)


async def test_the_commands_do_all_of_that(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        await bury(yard, name, tenant="t")
    capsys.readouterr()

    async def run(*arguments: str) -> tuple[int, list[str]]:
        where = ("--url", yard.settings.url, "--prefix", yard.settings.prefix)
        code = await asyncio.to_thread(run_command, ["dead", *arguments, *where])
        return code, capsys.readouterr().out.splitlines()

    code, lines = await run("ls", "--json", "--since", "1h", "--limit", "2")
    assert (code, [json.loads(line)["job"] for line in lines]) == (0, ["a", "b"])
    assert (await run("ls"))[1][1].split()[:1] == ["1"]
    code, lines = await run("show", "b", "--json")
    assert json.loads(lines[0])["work"]["prompt"] == "say b"
    assert (await run("show", "nothing"))[0] == 5
    assert (await run("redrive"))[0] == 2, "it must not mean every one"
    assert (await run("redrive", "--all"))[0] == 2, "nobody can be asked"
    assert (await run("redrive", "a", "--tenant", "t"))[0] == 2
    assert (await run("ls", "--since", "yesterday"))[0] == 2
    assert await run("redrive", "a") == (0, ["letter 1, job a: redriven: a-r1"])
    code, lines = await run("redrive", "--all", "--yes", "--json", "--limit", "1")
    assert (code, json.loads(lines[0])["new_job"]) == (0, "b-r1")
    assert (await run("purge", "--tenant", "t", "--yes"))[0] == 0
    assert (await yard.left(), await yard.left("dead")) == (2, 0)
