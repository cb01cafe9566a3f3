"""The classifier over the real bus: what it decides, what is said of it, how it comes and goes (B1, B4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.semantic.conftest import (
    ANNE,
    UNLIKE,
    WaitUntil,
    document,
    has_revision,
    maker,
    put,
    run,
    semantic,
    serve,
)

from lorayard import Client
from lorayard.registry.classifying import record_of
from lorayard.settings import client_settings
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.job import Job
from lorayard_shared.explaining.gather import gather
from lorayard_shared.explaining.sentences import sentence
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.sweeping import Sweeper
from lorayard_shared.semantic.artifact import Artifact

pytestmark = pytest.mark.bus


# ---- what it decides, and what is said of it


async def test_a_job_that_names_nothing_goes_where_its_prompt_means__b4__b1(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    await yard.publish(Job(id="b", prompt="captain of a ship, ocean and storm"))
    await yard.publish(Job(id="c", prompt=UNLIKE))
    await yard.publish(Job(id="d", prompt="total numbers"), adapter=ADAPTER)
    sums, seas, unlike, named = [await maker(yard, job) for job in "abcd"]
    assert (sums.rule, sums.adapter) == ("semantic", ADAPTER)
    assert sums.confidence is not None
    assert sums.confidence > 0.5
    assert (seas.rule, seas.adapter) == ("semantic", None)
    assert (unlike.rule, unlike.confidence) == ("base", None)
    assert (named.rule, named.confidence) == ("explicit", None)
    told = await semantic(yard)
    assert (told.decided, told.abstained, told.labels) == (2, 1, 2)
    assert 0 < told.cost_p50_us <= told.cost_p99_us


async def test_explain_tells_what_was_meant_and_of_an_abstention_what_came_then__b4__b1(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    await yard.publish(Job(id="c", prompt=UNLIKE))
    await maker(yard, "a")
    await maker(yard, "c")
    said: list[str] = []

    async def written() -> bool:
        found = [await gather(yard.bus, "acme", job, frozenset({"w1"})) for job in ("a", "c")]
        said[:] = [sentence(one) for one in found]
        return all(one.decision is not None for one in found)

    await wait_until(written)
    assert f"by its meaning its prompt is for {ADAPTER} at " in said[0]
    assert "semantic abstained: " in said[1]
    assert said[1].endswith(", then base")


async def test_a_prompt_kept_elsewhere_is_judged_by_its_ends__b4(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    prompt = "please add numbers" + " " * 700_000 + "plus amounts"
    async with Client(settings=client_settings(yard.settings)) as client:
        answer = await client.generate(prompt)
    assert (answer.rule, answer.adapter) == ("semantic", ADAPTER)
    assert answer.confidence is not None


# ---- how it comes and goes


async def test_jobs_that_wait_follow_the_classifier_that_comes_and_are_judged_before__b4(
    yard: Yard, adapters: Path, artifact: Artifact, turned: Artifact, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await yard.worker(adapters_dir=adapters)
    await worker.stop()
    for number in range(20):
        await yard.publish(Job(id=f"j{number}", prompt="total numbers plus amounts"))

    async def parked() -> bool:
        return sum(group.jobs for group in (await yard.status()).parked) == 20

    await wait_until(parked)
    for revision, wanted in ((1, turned), (2, artifact)):
        await put(yard, wanted)
        await wait_until(lambda known=revision: has_revision(yard, known))
        told = await semantic(yard)
        assert (told.decided, told.cost_p99_us) == (20 * revision, 0.0)  # all before it was in force
    await yard.worker(adapters_dir=adapters)
    made = [await maker(yard, f"j{number}") for number in range(20)]
    assert {(one.rule, one.adapter) for one in made} == {("semantic", ADAPTER)}


async def test_it_is_turned_off_and_taken_back_with_who_and_why__b4__b1(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await run(yard, "routes", "classifier", "off", "--why", "it rambles", "--by", "anne")
    await wait_until(lambda: has_revision(yard, 0))
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    assert (await maker(yard, "a")).rule == "base"
    await run(yard, "routes", "classifier", "rollback", "--why", "no, it was the model")
    await wait_until(lambda: has_revision(yard, 3))
    await yard.publish(Job(id="b", prompt="total numbers plus amounts"))
    assert (await maker(yard, "b")).rule == "semantic"
    capsys.readouterr()
    await run(yard, "routes", "classifier", "ls", "--json")
    told = document(capsys)["revisions"]
    assert [(one["revision"], one.get("restores"), one["why"]) for one in told] == [
        (1, None, "tried"),
        (2, None, "it rambles"),
        (3, 1, "no, it was the model"),
    ]
    await run(yard, "routes", "classifier", "rollback", "--to", "9", code=ExitCode.BAD_INPUT)


async def test_one_that_cannot_be_had_leaves_the_one_before_in_force_and_says_so__b4(
    yard: Yard, adapters: Path, artifact: Artifact, turned: Artifact, wait_until: WaitUntil
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    lost = record_of(turned).model_copy(
        update={"files": (*(await SemanticStore(yard.bus).past())[-1].files,)}
    )
    await SemanticStore(yard.bus).put(lost, ANNE)

    async def told() -> bool:
        return "revision 2 cannot be had" in (await semantic(yard)).trouble

    await wait_until(told)
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    assert (await maker(yard, "a")).adapter == ADAPTER
    assert (await semantic(yard)).revision == 1


async def test_a_damaged_copy_on_disk_is_fetched_anew__b4(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil, tmp_path: Path
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await yard.stop()
    (head,) = (tmp_path / "classifiers").glob("*/head.safetensors")
    head.write_bytes(bytes(head.stat().st_size))
    await yard.dispatcher("d2")
    await wait_until(lambda: has_revision(yard, 1))
    assert head.read_bytes() == artifact.files["head.safetensors"]
    assert [folder.name for folder in head.parent.parent.iterdir()] == [head.parent.name]


async def test_what_is_damaged_in_the_store_is_found_and_mended_by_the_same_training__b4__d2(
    yard: Yard, artifact: Artifact, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    record = await put(yard, artifact)
    head = next(file for file in record.files if file.name == "head.safetensors")
    (part,) = (await BlobStore(yard.bus).manifest(head)).parts
    await Objects(yard.bus, "blobs").put(f"part/{part}", bytes(head.size_bytes))  # of its full size
    await yard.dispatcher()

    async def in_trouble() -> bool:
        return "`lorayard routes train` with the same examples mends it" in (await semantic(yard)).trouble

    await wait_until(in_trouble)
    await run(yard, "adapters", "verify", code=ExitCode.FAILED)
    told = capsys.readouterr()
    assert "classifier, revision 1: head.safetensors: part 1 of 1 has other bytes" in told.out
    assert "routes train" in told.err
    assert (await put(yard, artifact)).revision == 1
    await run(yard, "adapters", "verify")
    assert "classifier, revision 1: sound, 4 files" in capsys.readouterr().out
    await wait_until(lambda: has_revision(yard, 1))


async def test_a_sweep_takes_nothing_of_a_classifier_that_one_may_return_to__b4(
    yard: Yard, artifact: Artifact, turned: Artifact
) -> None:
    first = await put(yard, artifact)
    await put(yard, turned)

    async def no_records() -> list[object]:
        return []

    assert await Sweeper(yard.bus, no_records).sweep(first.files) == 0  # type: ignore[arg-type]
    await SemanticStore(yard.bus).roll_back(None, ANNE)


async def test_without_a_dispatcher_workers_choose_by_the_same_classifier__b4(
    yard: Yard, adapters: Path, artifact: Artifact
) -> None:
    await put(yard, artifact)
    await yard.worker(adapters_dir=adapters, emergency=True, emergency_after_seconds=0.1)
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    made = await maker(yard, "a")
    assert (made.rule, made.adapter) == ("semantic", ADAPTER)
    assert made.confidence is not None
