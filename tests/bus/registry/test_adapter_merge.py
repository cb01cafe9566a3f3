"""`adapters merge` (D6): several versions become one that answers as their composition does."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import Yard

from lorayard import AdapterRecord, AdapterState, Client, Composition
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.adapter import AdapterKind, AdapterRefusal
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.model]

ONE, TWO, FEW, MADE = (f"acme/tiny/{name}" for name in ("one", "two", "few", "made"))
PROMPT = "The quick brown fox"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def parts(client: Client, tmp_path: Path) -> dict[str, AdapterRecord]:
    """Versions 1 of three adapters, pushed; the third has few targets and another rank."""
    folders = {
        ONE: make_tiny_adapter(tmp_path / "one", seed=1),
        TWO: make_tiny_adapter(tmp_path / "two", seed=2, use_rslora=True),
        FEW: make_tiny_adapter(tmp_path / "few", seed=3, rank=4, targets=("q_proj", "down_proj")),
    }
    return {
        name: (await client.adapters.push(folder, name=name, version="1")).record
        for name, folder in folders.items()
    }


async def merge(settings: YardSettings, *arguments: str, version: str = "1") -> int:
    where = ["--url", settings.url, "--prefix", settings.prefix]
    named = ["--name", MADE, "--version", version]
    return await asyncio.to_thread(run_command, ["adapters", "merge", *arguments, *named, *where])


POLICIES: dict[str, tuple[str, dict[str, float], dict[str, Any]]] = {
    "1": ("sum", {ONE: 2.0, TWO: -0.5, FEW: 1.0}, {}),
    "2": ("cat", {ONE: 2.0, FEW: 1.5}, {}),
    "3": ("svd", {ONE: 1.0, TWO: 0.5}, {"svd_rank": 12}),
    "4": ("priority", {FEW: 2.0, ONE: 0.5}, {}),
    "5": ("ties", {ONE: 2.0, TWO: 0.5}, {"density": 0.5, "majority_sign": "frequency"}),
    "6": ("dare_linear", {ONE: 2.0, TWO: 0.5}, {"density": 0.7, "seed": 3}),
    "7": ("dare_ties", {ONE: 2.0, TWO: 0.5}, {"density": 0.7, "seed": 3}),
    "8": ("magnitude_prune", {ONE: -1.0, TWO: 1.5}, {"density": 0.6}),
}


async def test_a_merged_version_answers_as_the_request_that_composes_its_parts__d6_c7(
    yard: Yard, client: Client, parts: dict[str, AdapterRecord], tiny_model: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(
        engine="packed",
        model=str(tiny_model),
        dtype="fp32",
        device="cpu",
        threads=1,
        slots=4,
        max_rank=32,
        rows=4,
        context_tokens=256,
        json_schemas=False,
    )
    for name in parts:
        await client.adapters.activate(f"{name}@1")
    for version, (policy, weights, settings) in POLICIES.items():
        given = [f"{name}@1:{weight}" for name, weight in weights.items()]
        options = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        done = await merge(yard.settings, *given, "--policy", policy, *options, "--activate", version=version)
        assert done == ExitCode.OK
    texts: dict[str, tuple[str, str]] = {}
    for version, (policy, weights, settings) in POLICIES.items():
        named = {f"{name}@1": weight for name, weight in weights.items()}
        asked = Composition(named, policy=policy, **settings)  # type: ignore[arg-type]  # by name
        composed = await client.generate(PROMPT, composition=asked, max_new_tokens=12)
        merged = await client.generate(PROMPT, adapter=f"{MADE}@{version}", max_new_tokens=12)
        assert merged.text == composed.text, policy
        texts[policy] = (merged.text, composed.text)
        record = await client.adapters.find(f"{MADE}@{version}")
        assert record.recipe is not None
        assert composed.composition is not None
        assert record.recipe.digest == composed.composition.digest
    assert len(set(texts.values())) == len(POLICIES)


async def test_the_record_tells_the_recipe_and_the_same_recipe_gives_the_same_bytes__d6(
    client: Client,
    settings: YardSettings,
    parts: dict[str, AdapterRecord],
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = (f"{ONE}@1:0.7", TWO, "--policy", "dare_ties", "--density", "0.5", "--seed", "7")
    assert await merge(settings, *recipe, "--label", "task=mix", "--why", "less to serve") == ExitCode.OK
    assert await merge(settings, *recipe, version="2") == ExitCode.OK
    assert await merge(settings, *recipe) == ExitCode.OK
    assert "it was pushed before" in capsys.readouterr().out
    first, second = [await client.adapters.find(f"{MADE}@{version}") for version in "12"]
    assert (first.digest, first.files) == (second.digest, second.files)
    assert (first.labels, first.change) == ({"task": "mix"}, "less to serve")
    assert first.state is AdapterState.PUSHED
    told = first.recipe
    assert told is not None
    assert [(part.name, part.version, part.digest, part.weight) for part in told.parts] == [
        (ONE, "1", parts[ONE].digest, 0.7),
        (TWO, "1", parts[TWO].digest, 1.0),
    ]
    assert (told.policy, told.density, told.seed) == ("dare_ties", 0.5, 7)
    where = ["--url", settings.url, "--prefix", settings.prefix]
    assert await asyncio.to_thread(run_command, ["adapters", "show", f"{MADE}@1", *where]) == ExitCode.OK
    shown = capsys.readouterr().out
    for part in ("dare_ties, density 0.5, seed 7", f"0.7 x {ONE}@1", f"1 x {TWO}@1"):
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 80
    other = (f"{ONE}@1:0.7", TWO, "--policy", "dare_ties", "--density", "0.5", "--seed", "8")
    assert await merge(settings, *other) == ExitCode.BAD_INPUT  # other bytes under the same version
    assert "is there already, and is something else" in capsys.readouterr().err


async def test_what_cannot_be_merged_is_refused_with_its_reason__g3(
    client: Client,
    settings: YardSettings,
    parts: dict[str, AdapterRecord],
    tmp_path: Path,
    bus: Bus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = Records(bus)

    async def known_as(name: str, **changes: object) -> str:
        record = parts[TWO].model_copy(update={"name": f"acme/tiny/{name}", **changes})
        await records.create(record, Author(actor="test"))
        return f"acme/tiny/{name}@1"

    base = await known_as("foreign", base_digest="sha256:" + "1" * 64, digest="sha256:" + "2" * 64)
    await records.change(
        ONE,
        "1",
        lambda record: record.model_copy(update={"base_digest": "sha256:" + "3" * 64}),
        Author(actor="test"),
        verb="test",
    )
    dora = await known_as("dora", kind=AdapterKind.DORA, digest="sha256:" + "4" * 64)
    twin = await known_as("twin")
    sick = await known_as(
        "sick",
        digest="sha256:" + "5" * 64,
        state=AdapterState.REFUSED,
        refusal=AdapterRefusal(reason="it rambles"),
    )
    wide = await known_as("wide", digest="sha256:" + "6" * 64, rank=4090)
    spoken = tmp_path / "spoken"
    shutil.copytree(tmp_path / "one", spoken)
    (spoken / "prompt_template.txt").write_text("Say: {prompt}")
    await client.adapters.push(spoken, name="acme/tiny/spoken", version="1")
    for asked, why in (
        ([f"{ONE}@1", base], "another base model"),
        ([f"{ONE}@1", dora], "DoRA magnitudes"),
        ([f"{TWO}@1", twin], "are the same adapter"),
        ([ONE, f"{ONE}@1"], "are the same adapter"),
        ([ONE, ONE], "named twice"),
        ([f"{ONE}@1", sick], "it rambles"),
        ([f"{ONE}@1", wide], "rank 4098"),
        ([f"{ONE}:x", TWO], "no weight"),
        ([f"{ONE}:0", TWO], "must not be 0"),
        ([ONE], "that adapter"),
        ([], "name the adapters"),
        ([ONE, FEW, "--policy", "ties", "--density", "0.5"], "equal rank"),
        ([ONE, TWO, "--policy", "ties"], "density"),
        ([ONE, TWO, "--density", "0.5"], "density"),
        ([TWO, "acme/tiny/spoken"], "different prompt templates"),
        ([TWO, "acme/tiny/spoken", "--template", ONE], "none of the parts"),
    ):
        assert await merge(settings, *asked) == ExitCode.BAD_INPUT, asked
        assert why in capsys.readouterr().err
    assert await merge(settings, ONE, TWO, "--policy", "blend") == ExitCode.USAGE
    assert await merge(settings, ONE, "acme/tiny/nobody") == ExitCode.UNKNOWN_ADAPTER
    assert not [record for record in await client.adapters() if record.name == MADE]


async def test_the_template_is_whose_was_named_and_only_who_may_use_all_parts_may_use_it__d7(
    client: Client, settings: YardSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (template, tenants) in enumerate(
        (("A: {prompt}", ["t1", "t2"]), (None, ["t2", "t3"]), (None, ["t3"]), (None, []))
    ):
        folder = make_tiny_adapter(tmp_path / str(number), seed=number)
        if template is not None:
            (folder / "prompt_template.txt").write_text(template)
        await client.adapters.push(folder, name=f"acme/tiny/n{number}", version="1", tenants=tenants)
    first, second, third, free = (f"acme/tiny/n{number}@1" for number in range(4))
    assert await merge(settings, first, second, free, "--template", first) == ExitCode.OK
    made = await client.adapters.find(f"{MADE}@1")
    assert (made.prompt_template, made.tenants) == ("A: {prompt}", ("t2",))
    assert made.recipe is not None
    assert made.recipe.template == first
    assert await merge(settings, first, second, "--template", "none", version="2") == ExitCode.OK
    assert (await client.adapters.find(f"{MADE}@2")).prompt_template is None
    assert await merge(settings, first, third, "--template", "none", version="3") == ExitCode.BAD_INPUT
    assert "no tenant may use all" in capsys.readouterr().err
    said = ("--template", "none", "--tenant", "t9")
    assert await merge(settings, first, third, *said, version="3") == ExitCode.OK
    assert (await client.adapters.find(f"{MADE}@3")).tenants == ("t9",)


async def test_a_part_that_only_workers_have_is_said__d6(
    settings: YardSettings, parts: dict[str, AdapterRecord], bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    held = parts[TWO].model_copy(update={"name": "acme/tiny/held", "files": ()})
    await Records(bus).create(held, Author(actor="w1"))
    assert await merge(settings, ONE, "acme/tiny/held@1", "--json") == ExitCode.UNKNOWN_ADAPTER
    told = capsys.readouterr()
    assert "workers have it on their own disks" in json.loads(told.out)["error"]["message"]
