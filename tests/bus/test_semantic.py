"""The classifier over the real bus: what it decides, what is said of it, how it comes and goes (B1, B4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import save
from tests.bus.conftest import ADAPTER, Yard
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from lorayard import Client
from lorayard.settings import client_settings
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.explaining.gather import gather
from lorayard_cli.explaining.sentences import sentence
from lorayard_cli.failures import CommandError
from lorayard_cli.learning import put_in_force, record_of
from lorayard_cli.traffic import check_does_as_well, check_no_worse
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.result import Maker
from lorayard_schemas.samples import TrafficSamples, samples_object
from lorayard_schemas.semantic import SemanticRecord, SemanticStatus
from lorayard_shared.bus.connection import connect
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.sweeping import Sweeper
from lorayard_shared.semantic.artifact import Artifact, write_artifact
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.examples import Example
from lorayard_shared.semantic.record import EncoderKind
from lorayard_shared.semantic.training import Observed, train
from lorayard_shared.settings import YardSettings
from lorayard_workers.model_store import resolve_model

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

SUMS = ("add", "numbers", "total", "plus", "sum", "amounts", "figures", "ledger")
SEAS = ("ship", "sailor", "ocean", "anchor", "harbour", "captain", "storm", "deck")
OTHERS = ("the", "of", "a", "please", "with", "my")
ANNE = Author(actor="anne", reason="tried")

UNLIKE = "quite something else altogether"


def encoder() -> EncoderFiles:
    """Words of two subjects, each near its own; all others are one word to it."""
    words = ("[unk]", *OTHERS, *SUMS, *SEAS)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[unk]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    rows = np.random.default_rng(1).integers(-10, 11, (len(words), 16)).astype(np.int8)
    rows[[words.index(word) for word in SUMS], 0] = 100
    rows[[words.index(word) for word in SEAS], 1] = 100
    rows[: 1 + len(OTHERS), 2] = 100
    table = save({"rows": rows, "scales": np.ones(len(words), np.float32)})
    return EncoderFiles(kind=EncoderKind.BASE_TABLE, tokenizer=tokenizer.to_str().encode(), table=table)


def examples(sums: str = ADAPTER, seas: str = "base") -> list[Example]:
    """Four words of a subject in each."""
    return [
        Example(adapter=adapter, prompt=f"please {words[i]} {words[i - 1]} of {words[i - 2]}")
        for adapter, words in ((sums, SUMS), (seas, SEAS))
        for i in range(len(words))
    ]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return train(examples(), encoder())


@pytest.fixture(scope="module")
def turned() -> Artifact:
    """As the other, with its labels exchanged."""
    return train(examples("base", ADAPTER), encoder())


@pytest.fixture
async def yard(
    make_settings: Callable[..., Awaitable[YardSettings]],
    wait_until: WaitUntil,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Yard]:
    monkeypatch.setenv("LORAYARD_CLASSIFIERS_DIR", str(tmp_path / "classifiers"))
    settings = await make_settings(classifiers_dir=tmp_path / "classifiers")
    async with await connect(settings, name="test") as bus:
        made = Yard(settings, bus, wait_until)
        yield made
        await made.stop()


async def put(yard: Yard, artifact: Artifact) -> SemanticRecord:
    return await put_in_force(yard.bus, artifact, record_of(artifact), ANNE)


async def semantic(yard: Yard) -> SemanticStatus:
    return (await yard.status()).semantic or SemanticStatus()


async def serve(yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil) -> SemanticRecord:
    """A dispatcher and a worker, with the classifier in force."""
    record = await put(yard, artifact)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)

    async def in_force() -> bool:
        return (await semantic(yard)).revision == record.revision

    await wait_until(in_force)
    return record


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    """One command line."""
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def maker(yard: Yard, job: str) -> Maker:
    result = await yard.result(job)
    assert result.maker is not None, result.error
    return result.maker


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
        await wait_until(lambda known=revision: _revision(yard, known))
        told = await semantic(yard)
        assert (told.decided, told.cost_p99_us) == (20 * revision, 0.0)  # all before it was in force
    await yard.worker(adapters_dir=adapters)
    made = [await maker(yard, f"j{number}") for number in range(20)]
    assert {(one.rule, one.adapter) for one in made} == {("semantic", ADAPTER)}


async def _revision(yard: Yard, revision: int) -> bool:
    return (await semantic(yard)).revision == revision


async def test_it_is_turned_off_and_taken_back_with_who_and_why__b4__b1(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await run(yard, "routes", "classifier", "off", "--why", "it rambles", "--by", "anne")
    await wait_until(lambda: _revision(yard, 0))
    await yard.publish(Job(id="a", prompt="total numbers plus amounts"))
    assert (await maker(yard, "a")).rule == "base"
    await run(yard, "routes", "classifier", "rollback", "--why", "no, it was the model")
    await wait_until(lambda: _revision(yard, 3))
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
    await wait_until(lambda: _revision(yard, 1))
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
    await wait_until(lambda: _revision(yard, 1))


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


# ---- commands


async def test_a_test_of_a_prompt_shows_the_verdict_among_the_stages__b4__b1(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    capsys.readouterr()
    await run(yard, "routes", "test", "--prompt", "total numbers plus amounts")
    text = capsys.readouterr().out
    assert f"-> semantic: {ADAPTER} at " in text
    assert f"=> {ADAPTER}@1" in text
    await run(yard, "routes", "test", "--prompt", UNLIKE, "--json")
    told = document(capsys)
    assert (told["rule"], told["semantic"]["adapter"]) == ("base", None)
    await run(yard, "routes", "test")
    assert "semantic: it abstains: no prompt was given" in capsys.readouterr().out


async def test_held_out_prompts_are_judged_in_a_table_of_80_columns__b4(
    yard: Yard, artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = tmp_path / "held.jsonl"
    rows = [(ADAPTER, "add the ledger amounts"), ("base", "a storm with sailor"), ("none", UNLIKE)]
    rows += [("base", "sum of figures")]
    held_out.write_text("".join(json.dumps({"adapter": a, "prompt": p}) + "\n" for a, p in rows))
    await run(yard, "routes", "eval", str(held_out), code=ExitCode.BAD_INPUT)
    await put(yard, artifact)
    capsys.readouterr()
    await run(yard, "routes", "eval", str(held_out))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("base ") and line.endswith("echo 1") for line in lines)
    write_artifact(artifact, tmp_path / "artifact")
    await run(yard, "routes", "eval", str(held_out), "--artifact", str(tmp_path / "artifact"), "--json")
    told = document(capsys)
    assert (told["examples"], told["decided"], told["correct"], told["rightly_abstained"]) == (4, 3, 2, 1)
    assert told["confusion"]["base"] == {"base": 1, ADAPTER: 1}


# ---- what traffic teaches


async def test_embeddings_of_jobs_that_name_their_adapter_are_kept_and_no_text__b4(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil
) -> None:
    record = await put(yard, artifact)
    dispatcher = await yard.dispatcher(semantic_samples=3)
    await yard.worker(adapters_dir=adapters)
    sent = 0

    async def drawn() -> bool:
        nonlocal sent
        sent += 1
        prompt = f"add amounts {sent} zebra"
        await yard.publish(Job(id=f"j{sent}", prompt=prompt), adapter=ADAPTER)
        await yard.publish(Job(id=f"k{sent}", prompt=prompt))
        return (await semantic(yard)).samples == 3

    await wait_until(drawn)
    await dispatcher.stop()
    data = await Objects(yard.bus, "payloads").get(samples_object(0), limit_bytes=1 << 20)
    assert data is not None
    assert b"amounts" not in data
    told = decode(TrafficSamples, data)
    assert (told.encoder, told.dimensions, list(told.adapters)) == (record.encoder_digest, 16, [ADAPTER])
    assert len(told.adapters[ADAPTER].vectors) == 3 * 16 * 2
    assert told.adapters[ADAPTER].seen >= 3
    # The next one goes on from there.
    await yard.dispatcher("d2", semantic_samples=3)

    async def known() -> bool:
        return (await semantic(yard)).samples == 3

    await wait_until(known)


async def test_without_the_setting_nothing_is_kept_of_any_job__b4(
    yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil
) -> None:
    await serve(yard, adapters, artifact, wait_until)
    await yard.publish(Job(id="a", prompt="add amounts"), adapter=ADAPTER)
    await maker(yard, "a")
    assert (await semantic(yard)).samples == 0
    await yard.stop()
    assert await Objects(yard.bus, "payloads").size(samples_object(0)) is None


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command printed; the dispatcher, which runs in this process too, logs into the same."""
    printed = capsys.readouterr().out.splitlines()
    return cast("dict[str, Any]", json.loads(next(line for line in printed if line.startswith("{"))))


async def test_a_yard_is_trained_from_a_file_then_learns_from_its_traffic__b4(
    yard: Yard, adapters: Path, tmp_path: Path, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    model = resolve_model("tiny", tmp_path / "models")
    rows = [(ADAPTER, f"zzz yyy {word}") for word in SUMS] + [("base", f"eee ooo {word}") for word in SEAS]
    file = tmp_path / "examples.jsonl"
    file.write_text("".join(json.dumps({"adapter": a, "prompt": p}) + "\n" for a, p in rows))
    train_it = ("routes", "train", str(file), "--base", str(model), "--precision", "0.8")
    dispatcher = await yard.dispatcher(semantic_samples=4)
    await run(yard, *train_it, code=ExitCode.UNKNOWN_ADAPTER)  # nobody has the adapter yet
    await yard.worker(adapters_dir=adapters)
    await run(yard, *train_it, "--dry-run")
    assert await SemanticStore(yard.bus).past() == ()
    await run(yard, *train_it, "--traffic", code=ExitCode.BAD_INPUT)
    capsys.readouterr()
    await run(yard, *train_it, "--why", "a first try", "--json")
    told = document(capsys)
    assert (told["revision"], told["examples"], told["figures"]["examples"]) == (1, 16, 16)
    await wait_until(lambda: _revision(yard, 1))
    await yard.publish(Job(id="a", prompt="zzz yyy amounts"))
    assert (await maker(yard, "a")).rule == "semantic"
    sent = 0

    async def drawn() -> bool:
        nonlocal sent
        sent += 1
        await yard.publish(Job(id=f"j{sent}", prompt=f"zzz yyy xxx {sent}"), adapter=ADAPTER)
        return (await semantic(yard)).samples == 4

    await wait_until(drawn)
    await dispatcher.stop()
    await run(yard, *train_it, "--traffic", "--json")
    told = document(capsys)
    assert (told["revision"], told["observed"], told["examples"]) == (2, 4, 16)


def test_without_a_yard_a_classifier_is_made_into_a_folder__b4(tmp_path: Path) -> None:
    model = resolve_model("tiny", tmp_path / "models")
    file = tmp_path / "examples.jsonl"
    rows = [{"adapter": one.adapter, "prompt": one.prompt} for one in examples()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "made"
    alone = ("--no-check", "--dry-run", "--url", "nats://127.0.0.1:1")
    arguments = ("routes", "train", str(file), "--base", str(model), "--out", str(folder), *alone)
    assert run_command(arguments) == ExitCode.OK
    assert Classifier.load(folder).adapters == (ADAPTER, "base")
    file.write_text('{"adapter": "Nobody", "prompt": "x"}')
    assert run_command(arguments) == ExitCode.BAD_INPUT


def test_what_traffic_taught_moves_the_classifier_and_is_judged_by_nobody__b4(artifact: Artifact) -> None:
    vectors = [Classifier(artifact).embed(f"{UNLIKE} {word}") for word in SUMS]
    observed = [Observed(adapter=ADAPTER, vector=vector) for vector in vectors]
    taught = train(examples(), encoder(), observed=observed)
    assert Classifier(artifact).choose(UNLIKE).adapter is None
    assert Classifier(taught).lean(UNLIKE).confidence > Classifier(artifact).lean(UNLIKE).confidence
    assert taught.record.cross_validation.examples == artifact.record.cross_validation.examples
    assert taught.record.examples_digest == artifact.record.examples_digest


def test_traffic_that_makes_a_classifier_worse_changes_nothing__b4(artifact: Artifact) -> None:
    plain = artifact.record.cross_validation
    check_no_worse(plain, plain)
    worse = plain.model_copy(update={"correct": plain.correct - 1})
    with pytest.raises(CommandError, match="nothing was changed"):
        check_no_worse(worse, plain)


def test_one_that_does_worse_on_held_out_prompts_changes_nothing__b4(
    artifact: Artifact, turned: Artifact
) -> None:
    held_out = [Example(adapter=ADAPTER, prompt="add the ledger amounts")]
    check_does_as_well(artifact, Classifier(turned), held_out)
    with pytest.raises(CommandError, match="the one in force gets 1 of 1"):
        check_does_as_well(turned, Classifier(artifact), held_out)
