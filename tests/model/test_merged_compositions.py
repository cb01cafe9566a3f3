"""Several adapters merged into one, for the policies that are no plain sum (C7)."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike
from structlog.testing import capture_logs
from tests.model.conftest import FEW, ONE, SMALL, TWO
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded, Tier
from lorayard_workers.engine.recipe import recipe_digest
from lorayard_workers.engine.request import (
    Composition,
    CompositionPolicy,
    GenerationRequest,
    Sampling,
    WeightedAdapter,
)
from lorayard_workers.memory.combining import Combiner
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),  # PEFT's
    pytest.mark.filterwarnings("ignore:The density 1.0.*no pruning:UserWarning"),  # PEFT's, when it is asked
]

StartYard = Callable[..., Any]
PROMPT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def yard(start_yard: StartYard, part_folders: dict[str, Path], part_digests: dict[str, str]) -> Any:
    return start_with(start_yard, part_folders, part_digests)


def start_with(
    start_yard: StartYard, part_folders: dict[str, Path], part_digests: dict[str, str], **settings: Any
) -> Any:
    found = start_yard(**({"max_rank": 32} | settings))
    found.adapters.update({part_digests[name]: folder for name, folder in part_folders.items()})
    return found


def ask(request_id: str, composition: Composition | None = None, **changes: Any) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        prompt=PROMPT,
        composition=composition,
        sampling=Sampling(max_new_tokens=12),
        **changes,
    )


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.text


Compose = Callable[..., Composition]


@pytest.fixture
def compose(part_digests: dict[str, str]) -> Compose:
    """A composition of parts by name, `one=0.5` and so on; settings come in `settings`."""

    def build(policy: str, weights: dict[str, float], **settings: Any) -> Composition:
        parts = tuple(WeightedAdapter(digest=part_digests[name], weight=w) for name, w in weights.items())
        return Composition(parts=parts, policy=CompositionPolicy(policy), **settings)

    return build


def without(folder: Path, target: Path, leaves: tuple[str, ...]) -> Path:
    """A copy of an adapter with some of its linears left out."""
    shutil.copytree(folder, target)
    weights = target / "adapter_model.safetensors"
    kept = {k: v for k, v in load_file(weights).items() if k.split(".")[-3] not in leaves}
    save_file(kept, weights)
    config = json.loads((target / "adapter_config.json").read_text(encoding="utf-8"))
    config["target_modules"] = [name for name in config["target_modules"] if name not in leaves]
    (target / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return target


def test_a_merged_form_answers_like_the_sum_it_equals__c7(yard: Any, compose: Compose) -> None:
    weights = {ONE: 0.7, SMALL: -1.0, FEW: 0.5}
    found = yard.run(
        ask("sum", compose("sum", weights)),
        ask("cat", compose("cat", weights)),
        ask("svd", compose("svd", weights, svd_rank=20)),
        ask("coarse", compose("svd", weights, svd_rank=1)),
    )
    texts = {name: text_of(outcome) for name, outcome in found.items()}
    assert texts["sum"] == texts["cat"] == texts["svd"] != texts["coarse"]


def test_priority_gives_each_linear_to_the_first_part_that_targets_it__c7(
    yard: Any, compose: Compose, part_folders: dict[str, Path], tmp_path: Path
) -> None:
    """Seen by an adapter that is what the first leaves of the second."""
    rest = yard.add(without(part_folders[ONE], tmp_path / "rest", ("q_proj", "down_proj")))
    few, one = compose("priority", {FEW: 2.0, ONE: 0.5}).parts
    parts = (few, WeightedAdapter(digest=rest, weight=0.5))
    found = yard.run(
        ask("wanted", Composition(parts=parts)),
        ask("priority", Composition(parts=(few, one), policy=CompositionPolicy.PRIORITY)),
        ask("reversed", Composition(parts=(one, few), policy=CompositionPolicy.PRIORITY)),
        ask("first", Composition(parts=(one,))),
        ask("alone", Composition(parts=(few,), policy=CompositionPolicy.PRIORITY)),
    )
    texts = {name: text_of(outcome) for name, outcome in found.items()}
    assert texts["priority"] == texts["wanted"]
    assert texts["reversed"] == texts["first"]  # `one` targets all linears
    assert len(set(texts.values())) == 3


def test_a_recipe_wanted_by_many_rows_is_followed_once_while_others_decode__c7(
    yard: Any, compose: Compose
) -> None:
    """And a row that comes later finds it by its digest."""
    wanted = compose("dare_ties", {ONE: 0.7, TWO: 1.0}, density=0.5, seed=5)
    with capture_logs() as logs:
        found = yard.run(*(ask(str(i), wanted) for i in range(100)), *(ask(f"base {i}") for i in range(8)))
        later = yard.run(ask("later", wanted))["later"]
    assert [log["digest"] for log in logs if log["event"] == "adapter_derived"] == [recipe_digest(wanted)]
    assert len({text_of(found[str(i)]) for i in range(100)} | {text_of(later)}) == 1
    assert isinstance(later, Succeeded)
    assert later.tier is Tier.SLOT
    assert recipe_digest(wanted) in {slot.digest for slot in yard.engine.residency().slots}


def test_the_seed_alone_decides_the_random_masks__c7(
    start_yard: StartYard, part_folders: dict[str, Path], part_digests: dict[str, str], compose: Compose
) -> None:
    def texts(*seeds: int) -> list[str]:
        yard = start_with(start_yard, part_folders, part_digests, slots=1)
        recipes = [compose("dare_linear", {ONE: 1.0, TWO: 1.0}, density=0.3, seed=seed) for seed in seeds]
        found = yard.run(*(ask(str(i), recipe) for i, recipe in enumerate(recipes)))
        return [text_of(found[str(i)]) for i in range(len(seeds))]

    first, second = texts(1, 2), texts(2, 1)
    assert first == second[::-1]
    assert first[0] != first[1]


async def test_a_derived_adapter_comes_back_from_its_packed_file__c7_c9(
    start_yard: StartYard,
    part_folders: dict[str, Path],
    part_digests: dict[str, str],
    compose: Compose,
    tmp_path: Path,
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    own = {name: Path(shutil.copytree(f, tmp_path / "source" / name)) for name, f in part_folders.items()}
    wanted = compose("ties", {ONE: 0.7, TWO: 1.0}, density=0.5)
    first = start_with(start_yard, own, part_digests, packed_dir=tmp_path / "packed")
    text = text_of(first.run(ask("a", wanted))["a"])
    await wait_until(lambda: list((tmp_path / "packed").glob("*.safetensors")))
    shutil.rmtree(tmp_path / "source")
    second = start_with(start_yard, own, part_digests, packed_dir=tmp_path / "packed")
    with capture_logs() as logs:
        assert text_of(second.run(ask("a", wanted))["a"]) == text
    assert "adapter_derived" not in {log["event"] for log in logs}


@pytest.fixture(scope="module")
def wide_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LoRA on the embedding and the head too."""
    models: Any = AutoModelForCausalLM
    wrap: Any = get_peft_model
    config = LoraConfig(r=8, lora_alpha=12, target_modules=["embed_tokens", "q_proj", "lm_head"])
    model = wrap(models.from_pretrained(tiny_model, dtype=torch.float32), config)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    folder = tmp_path_factory.mktemp("wide")
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


async def test_embedding_and_head_take_part_in_every_form_and_in_packed_files__c7_c9(
    start_yard: StartYard,
    part_folders: dict[str, Path],
    part_digests: dict[str, str],
    wide_folder: Path,
    tmp_path: Path,
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    def texts() -> dict[str, str]:
        yard = start_with(start_yard, part_folders, part_digests, packed_dir=tmp_path)
        wide = WeightedAdapter(digest=yard.add(wide_folder))
        few = WeightedAdapter(digest=part_digests[FEW], weight=0.5)
        requests = [
            ask("itself", adapter=wide.digest),
            ask("priority", Composition(parts=(wide,), policy=CompositionPolicy.PRIORITY)),
            ask("cat", Composition(parts=(wide,), policy=CompositionPolicy.CAT)),
            ask("svd both", Composition(parts=(wide, few), policy=CompositionPolicy.SVD, svd_rank=16)),
            ask("cat both", Composition(parts=(wide, few), policy=CompositionPolicy.CAT)),
        ]
        return {name: text_of(outcome) for name, outcome in yard.run(*requests).items()}

    first = texts()
    assert first["itself"] == first["priority"] == first["cat"]
    assert first["svd both"] == first["cat both"] != first["itself"]
    await wait_until(lambda: len(list(tmp_path.glob("*.safetensors"))) == 5)
    assert texts() == first


@pytest.mark.parametrize(
    ("policy", "weights", "settings", "words"),
    [
        ("ties", {ONE: 1.0, SMALL: 1.0}, {"density": 0.5}, "largest ranks are 8, 4"),
        ("dare_linear", {ONE: 1.0, SMALL: 1.0}, {"density": 0.5}, "sum, cat, svd and priority"),
        (
            "magnitude_prune",
            {ONE: 1.0, "mixed": 1.0},
            {"density": 0.5},
            "layers.0.self_attn.q_proj are 8, 2",
        ),
        ("ties", {ONE: 1.0}, {"density": 0.5}, "ties needs two or more"),
        ("svd", {ONE: 1.0}, {}, "svd needs two or more"),
    ],
)
def test_parts_that_cannot_be_merged_are_refused_with_the_reason__c7_g3(
    yard: Any,
    part_digests: dict[str, str],
    tmp_path: Path,
    policy: str,
    weights: dict[str, float],
    settings: dict[str, Any],
    words: str,
) -> None:
    mixed = yard.add(make_tiny_adapter(tmp_path / "mixed", seed=9, rank_pattern={"q_proj": 2}))
    parts = tuple(
        WeightedAdapter(digest=mixed if name == "mixed" else part_digests[name], weight=weight)
        for name, weight in weights.items()
    )
    recipe = Composition(parts=parts, policy=CompositionPolicy(policy), **settings)
    found = yard.run(ask("bad", recipe), ask("good"))
    bad = found["bad"]
    assert isinstance(bad, Failed)
    assert (bad.code, bad.field) == ("bad_composition", "composition.parts")
    assert words in bad.message
    assert text_of(found["good"])


def test_a_derived_rank_over_the_limit_is_refused_with_the_numbers__c7_b11(
    start_yard: StartYard, part_folders: dict[str, Path], part_digests: dict[str, str], compose: Compose
) -> None:
    yard = start_with(start_yard, part_folders, part_digests, max_rank=16)
    bad = yard.run(ask("a", compose("cat", {ONE: 1.0, TWO: 1.0, SMALL: 1.0})))["a"]
    assert isinstance(bad, Failed)
    assert (bad.code, bad.field) == ("adapter_too_large", "composition")
    assert "20" in bad.message
    assert "16" in bad.message


def test_a_part_that_changed_on_disk_fails_the_recipe_and_no_other__c7_g5(
    yard: Any, compose: Compose, tmp_path: Path
) -> None:
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=50))
    make_tiny_adapter(tmp_path / "a", seed=51)
    one = compose("sum", {ONE: 1.0}).parts[0]
    changed = Composition(parts=(one, WeightedAdapter(digest=digest)), policy=CompositionPolicy.CAT)
    found = yard.run(ask("bad", changed), ask("good", compose("cat", {ONE: 1.0, TWO: 1.0})))
    bad = found["bad"]
    assert isinstance(bad, Failed)
    assert (bad.code, bad.field) == ("adapter_refused", "composition")
    assert text_of(found["good"])


# --- who waits


def test_prompts_are_prepared_between_two_linears_of_a_merge__c7(
    yard: Any, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge can take a second: a request that needs no adapter must not wait for it."""
    answered = threading.Event()
    outcomes: list[Outcome] = []

    def heard(outcome: Outcome) -> None:
        outcomes.append(outcome)
        answered.set()

    class SlowCombiner:
        """Goes on only when another request has been answered."""

        def __init__(self, composition: Composition) -> None:
            self._real = Combiner(composition)
            self._asked = False

        def combine(self, updates: Any) -> tuple[Tensor, Tensor]:
            if not self._asked:
                yard.engine.submit(ask("quick"), heard)
                self._asked = True
            elif not answered.is_set():
                assert answered.wait(30)
            return self._real.combine(updates)

    monkeypatch.setattr("lorayard_workers.memory.derive.Combiner", SlowCombiner)
    assert text_of(yard.run(ask("merged", compose("cat", {ONE: 1.0, TWO: 1.0})))["merged"])
    assert text_of(outcomes[0])
