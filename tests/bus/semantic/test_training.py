"""Commands that test, judge and train a classifier, and what it learns from traffic (B1, B4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.semantic.conftest import (
    SEAS,
    SUMS,
    UNLIKE,
    WaitUntil,
    document,
    encoder,
    examples,
    has_revision,
    maker,
    put,
    run,
    semantic,
    serve,
)

from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.traffic import check_does_as_well, check_no_worse
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.samples import TrafficSamples, samples_object
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.semantic.artifact import Artifact, write_artifact
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.examples import Example
from lorayard_shared.semantic.training import Observed, train
from lorayard_workers.model_store import resolve_model

pytestmark = pytest.mark.bus


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
    await wait_until(lambda: has_revision(yard, 1))
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
