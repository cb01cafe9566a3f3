"""Merged forms against PEFT's `add_weighted_adapter`, logit by logit (C7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from tests.model.conftest import FEW, ONE, SMALL, TWO
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.request import Composition, CompositionPolicy, MajoritySign, WeightedAdapter
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.recipes import Recipes
from lorayard_workers.tiny_model import TINY_SHAPES

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),  # PEFT's
    pytest.mark.filterwarnings("ignore:The density 1.0.*no pruning:UserWarning"),  # PEFT's, when it is asked
]

PROMPT = "The quick brown fox jumps over the lazy dog."
SINGLES = tuple(
    GroupLayout(members=(name,), in_features=shape[1], out_features=(shape[0],))
    for name, shape in TINY_SHAPES.items()
)


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    return load_base_model(tiny_model, precision=Precision.FP32)


@pytest.fixture(scope="module")
def peft_model(tiny_model: Path, part_folders: dict[str, Path]) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for number, (name, folder) in enumerate(part_folders.items()):
        if number == 0:
            model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
        else:
            model.load_adapter(str(folder), adapter_name=name)
    return model.eval()


def peft_logits(model: Any, ids: list[int], weights: dict[str, float], seed: int, **settings: Any) -> Tensor:
    """[vocabulary] of the last token with PEFT's own merged adapter active.

    Its masks are drawn after the weights of the new adapter were initialised at random: ours have none, so
    the seed is set between the two.
    """
    tuner, inject = model.base_model, model.base_model.inject_adapter

    def inject_and_seed(*given: Any, **named: Any) -> None:
        inject(*given, **named)
        torch.manual_seed(seed)

    tuner.inject_adapter = inject_and_seed
    try:
        model.add_weighted_adapter(list(weights), list(weights.values()), "merged", **settings)
        model.set_adapter("merged")
        with torch.no_grad():
            found = model(torch.tensor([ids])).logits[0, -1]
    finally:
        del tuner.inject_adapter
        model.set_adapter(ONE)
        model.delete_adapter("merged")
    assert isinstance(found, Tensor)
    return found


def own_logits(
    tiny_model: Path,
    part_folders: dict[str, Path],
    part_digests: dict[str, str],
    wanted: Composition,
    ids: list[int],
) -> Tensor:
    """[vocabulary] of the last token with our derived adapter added to the model's weights."""
    recipes = Recipes()
    recipes.hold("derived", wanted, "row")
    by_digest = {part_digests[name]: folder for name, folder in part_folders.items()}
    derived = AdapterReader(
        folders=by_digest, layouts=SINGLES, dtype=torch.float32, max_rank=64, recipes=recipes
    ).read("derived")
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        for layout, group in zip(SINGLES, derived.groups, strict=True):
            if group is not None:
                update = group.b[0].t().double() @ group.a[:, 0].double()
                weight = model.get_submodule(layout.members[0]).weight
                weight.copy_(weight.double() + update)
        found = model.eval()(torch.tensor([ids])).logits[0, -1]
    assert isinstance(found, Tensor)
    return found


RECIPES: list[tuple[str, dict[str, float], dict[str, Any]]] = [
    ("ties", {ONE: 0.7, TWO: 1.0}, {"density": 0.4}),
    ("ties", {ONE: 1.0, TWO: 0.5, FEW: 0.8}, {"density": 0.6, "majority_sign": MajoritySign.FREQUENCY}),
    ("ties", {ONE: 1.0, TWO: -0.5}, {"density": 1.0}),
    ("dare_linear", {ONE: 0.7, TWO: 1.0}, {"density": 0.7, "seed": 11}),
    ("dare_ties", {TWO: 0.7, FEW: 1.0, ONE: 0.4}, {"density": 0.8, "seed": 3}),
    ("dare_ties", {ONE: 0.7, TWO: 1.0}, {"density": 0.8, "majority_sign": MajoritySign.FREQUENCY}),
    ("magnitude_prune", {ONE: 0.7, TWO: -1.0, FEW: 1.0}, {"density": 0.5}),
    ("svd", {ONE: 0.7, TWO: 1.0}, {}),
    ("svd", {ONE: 0.7, SMALL: -1.0, FEW: 0.5}, {"svd_rank": 3}),
    ("svd", {ONE: 0.7, SMALL: 1.0}, {"svd_rank": 7}),
    ("cat", {ONE: 0.7, SMALL: -1.0, FEW: 2.0}, {}),
]


@pytest.mark.parametrize(("policy", "weights", "settings"), RECIPES, ids=lambda given: str(given)[:60])
def test_a_merged_form_has_the_logits_of_pefts_own__c7(
    base: BaseModel,
    tiny_model: Path,
    part_folders: dict[str, Path],
    part_digests: dict[str, str],
    peft_model: Any,
    policy: str,
    weights: dict[str, float],
    settings: dict[str, Any],
) -> None:
    ids = base.prompt_ids(PROMPT)
    parts = tuple(WeightedAdapter(digest=part_digests[name], weight=w) for name, w in weights.items())
    wanted_form = Composition(parts=parts, policy=CompositionPolicy(policy), **settings)
    mine = own_logits(tiny_model, part_folders, part_digests, wanted_form, ids)
    peft_settings = {k: v for k, v in settings.items() if k not in ("seed", "majority_sign")}
    peft_settings["majority_sign_method"] = str(settings.get("majority_sign", "total"))
    wanted = peft_logits(
        peft_model, ids, weights, settings.get("seed", 0), combination_type=policy, **peft_settings
    )
    torch.testing.assert_close(mine, wanted, atol=1e-4, rtol=0)
    with torch.no_grad(), peft_model.disable_adapter():
        plain = peft_model(torch.tensor([ids])).logits[0, -1]
    assert (mine - plain).abs().max() > 0.1
