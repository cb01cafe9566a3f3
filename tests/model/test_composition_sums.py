"""Several adapters on one row, each at its weight: exactly the linear sum, without a merge (C7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from lorayard_shared.adapters.files import RawTensor, read_adapter
from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.lora_costs import Corners, LoraCosts
from lorayard_workers.engine.outcome import Failed, FailureKind, Outcome, Succeeded, Tier
from lorayard_workers.engine.recipe import recipe_digest
from lorayard_workers.engine.request import Composition, GenerationRequest, Sampling, WeightedAdapter

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's

PROMPT = "The quick brown fox jumps over the lazy dog."
TOKENS = 10


def compose(*parts: tuple[str, float]) -> Composition:
    return Composition(parts=tuple(WeightedAdapter(digest=d, weight=w) for d, w in parts))


def ask(
    request_id: str, made_of: str | Composition | None, *, prompt: str = PROMPT, tokens: int = TOKENS
) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id,
        prompt=prompt,
        adapter=made_of if isinstance(made_of, str) else None,
        composition=made_of if isinstance(made_of, Composition) else None,
        sampling=Sampling(max_new_tokens=tokens),
    )


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.text


def same_cost(milliseconds: float) -> Corners:
    """Whatever the size."""
    costs = dict.fromkeys(("few_few", "few_many", "many_few", "many_many"), milliseconds)
    return Corners(tokens=(1, 2), columns=(1, 2), **costs)


class Reference:
    """transformers' own model with the sum added to its weights."""

    def __init__(self, folder: Path, adapters: dict[str, Path]) -> None:
        self._folder, self._adapters = folder, adapters
        self.base: BaseModel = load_base_model(folder, precision=Precision.FP32)

    def model(self, composition: Composition) -> Any:
        """A fresh copy; computed in double precision and rounded once."""
        model: Any = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
        model.eval()
        modules: dict[str, Any] = dict(model.named_modules())
        added: dict[str, Tensor] = {}
        for part in composition.parts:
            for module, pair in read_adapter(self._adapters[part.digest]).pairs.items():
                update = part.weight * pair.scale * (_tensor(pair.b) @ _tensor(pair.a))
                added[module] = added[module] + update if module in added else update
        with torch.no_grad():
            for module, update in added.items():
                weight = modules[module].weight
                weight.copy_(weight.double() + update)
        return model

    def text(self, model: Any, prompt: str) -> tuple[str, Tensor]:
        """Greedy text and the logits of its last step."""
        ids = start = self.base.prompt_ids(prompt)
        logits = torch.empty(0)
        for _ in range(TOKENS):
            logits = model(torch.tensor([ids])).logits[0, -1]
            token = int(logits.argmax())
            ids = [*ids, token]
            if token in self.base.eos_ids:
                break
        text: Any = self.base.tokenizer.decode(ids[len(start) :], skip_special_tokens=True)
        return str(text), logits


def _tensor(raw: RawTensor) -> Tensor:
    assert raw.dtype == "F32"
    values = np.frombuffer(raw.data, dtype=np.float32).reshape(raw.shape)
    return torch.from_numpy(values.copy()).double()  # pyright: ignore[reportUnknownMemberType]  # untyped


@pytest.fixture(scope="module")
def reference(tiny_model: Path, tiny_adapters: dict[str, Path]) -> Reference:
    return Reference(tiny_model, tiny_adapters)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def step_logits(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The logits of every step of the engine, as they come."""
    from lorayard_workers.engine.runner import ModelRunner

    forward = ModelRunner.forward
    seen: list[Tensor] = []

    def keep(self: ModelRunner, pieces: Any) -> Tensor:
        logits = forward(self, pieces)
        seen.append(logits.clone())
        return logits

    monkeypatch.setattr(ModelRunner, "forward", keep)
    return seen


def mixes(digests: list[str]) -> list[Composition]:
    """Parts of different ranks, targets and scales; weights of both signs, one alone, one of eight."""
    a, b, c, d, e, f, g, h = digests
    return [
        compose((a, 0.5), (b, 0.5)),
        compose((c, 1.0), (d, 1.0), (f, -0.75)),
        compose((g, 0.3)),
        compose((h, 1.7), (b, -0.2)),
        compose((a, 0.1), (b, 0.2), (c, 0.3), (d, 0.4), (e, 0.5), (f, 0.6), (g, 0.7), (h, 0.8)),
    ]


def test_composed_rows_among_others_give_the_text_of_the_summed_weights__c5_c7(
    start_yard: Callable[..., Any], reference: Reference, tiny_adapters: dict[str, Path]
) -> None:
    """Base rows, plain adapters and sums that share parts, all in the same steps."""
    wanted = mixes(list(tiny_adapters))
    plain: list[str | None] = [None, *tiny_adapters]
    asks = [ask(f"sum{i}", one) for i, one in enumerate(wanted)] + [ask(f"{d}", d) for d in plain]
    found = start_yard(rows=16).run(*asks)
    for i, composition in enumerate(wanted):
        text, _ = reference.text(reference.model(composition), PROMPT)
        outcome = found[f"sum{i}"]
        assert text_of(outcome) == text
        assert isinstance(outcome, Succeeded)
        assert outcome.adapters == composition.parts
    for digest in tiny_adapters:
        alone, _ = reference.text(reference.model(compose((digest, 1.0))), PROMPT)
        assert text_of(found[digest]) == alone
    plain_text, _ = reference.text(reference.model(Composition(parts=())), PROMPT)
    assert text_of(found["None"]) == plain_text


@pytest.mark.parametrize("dense_ms", [0.0, 2.0])
def test_logits_of_a_sum_are_pefts_cat_within_1e_4__c7_c8(
    start_yard: Callable[..., Any],
    reference: Reference,
    tiny_model: Path,
    tiny_adapters: dict[str, Path],
    step_logits: list[Tensor],
    monkeypatch: pytest.MonkeyPatch,
    dense_ms: float,
) -> None:
    """Ranks 8, 16 (rsLoRA) and 12, in the dense form and in the form of bundles and segments."""
    costs = LoraCosts(dense=same_cost(dense_ms), bundle=same_cost(0.5))
    monkeypatch.setattr("lorayard_workers.engine.runner.USUAL_COSTS", costs)
    digests = [list(tiny_adapters)[i] for i in (0, 2, 7)]
    composition = compose(*zip(digests, (0.6, 0.9, -0.4), strict=True))
    yard = start_yard()
    yard.run(*(ask(d, d, tokens=1) for d in digests))  # all in slots before
    step_logits.clear()
    found = yard.run(ask("sum", composition), ask("base", None), ask("beside", digests[1]))
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(tiny_adapters[digests[0]]), adapter_name="0")
    for name, digest in zip("12", digests[1:], strict=True):
        model.load_adapter(str(tiny_adapters[digest]), adapter_name=name)
    model.add_weighted_adapter(
        ["0", "1", "2"], [part.weight for part in composition.parts], "cat", combination_type="cat"
    )
    model.set_adapter("cat")
    model.eval()
    text, logits = reference.text(model, PROMPT)
    assert text_of(found["sum"]) == text
    distances = [float((row - logits).abs().max()) for step in step_logits for row in step]
    assert min(distances) < 1e-4


def test_a_part_at_weight_one_is_the_adapter_itself__c7(
    start_yard: Callable[..., Any], tiny_adapters: dict[str, Path]
) -> None:
    first, second, *_ = tiny_adapters
    yard = start_yard()
    found = yard.run(ask("plain", first), ask("sum", compose((first, 1.0))))
    assert text_of(found["plain"]) == text_of(found["sum"])
    assert recipe_digest(compose((first, 1.0))) == first
    both = compose((first, 0.5), (second, 2.0)), compose((second, 2.0), (first, 0.5))
    assert len({recipe_digest(one) for one in both}) == 1  # a sum has no order
    others = compose((first, 0.5), (second, 1.0)), compose((first, 2.0), (second, 0.5)), compose((first, 0.5))
    assert len({recipe_digest(one) for one in (*both, *others)}) == 4


def test_compositions_on_few_slots_take_turns_and_all_end__c3_c7(
    start_yard: Callable[..., Any], tiny_adapters: dict[str, Path]
) -> None:
    """Every pair wants two of three slots at once: all or nothing, so no two wait for each other."""
    digests = list(tiny_adapters)
    pairs = [compose((a, 0.5), (b, 0.5)) for a in digests[:5] for b in digests[:5] if a != b]
    line: list[Composition | str] = [*pairs, *digests, *pairs]
    asks = [ask(f"{i}", one, tokens=1 + i % 5) for i, one in enumerate(line)]
    crowded = start_yard(slots=3, rows=6, ageing_seconds=0.0)
    roomy = start_yard(slots=8)
    found, wanted = crowded.run(*asks), roomy.run(*asks)
    assert {key: text_of(one) for key, one in found.items()} == {k: text_of(v) for k, v in wanted.items()}
    assert crowded.engine.residency().evictions > 0


def test_the_tier_of_a_sum_is_that_of_its_slowest_part__c7(
    start_yard: Callable[..., Any], tiny_adapters: dict[str, Path]
) -> None:
    first, second, *_ = tiny_adapters
    yard = start_yard()
    yard.run(ask("a", first))
    both = compose((first, 1.0), (second, 1.0))
    tiers = [cast("Succeeded", yard.run(ask("b", both))["b"]).tier for _ in range(2)]
    assert tiers == [Tier.DISK, Tier.SLOT]


@pytest.mark.parametrize(
    ("sizes", "pinned", "message"),
    [
        ({"slots": 2}, 0, "composition of 3 adapters .* needs 3, but slots is 2"),
        ({"slots": 4, "max_rank": 16, "slot_bytes": 24 * 37_376}, 0, "needs 32, but slot_bytes is 24"),
        ({"slots": 4}, 2, "beside what is pinned.* needs 3, but slots is 2"),
    ],
)
def test_a_sum_that_can_never_fit_is_refused_with_the_numbers__c7_g3(
    start_yard: Callable[..., Any],
    tiny_adapters: dict[str, Path],
    sizes: dict[str, int],
    pinned: int,
    message: str,
) -> None:
    digests = list(tiny_adapters)
    parts, others = digests[:3], digests[3 : 3 + pinned]
    yard = start_yard(**sizes, pinned=frozenset(others))
    yard.run(*(ask(d, d, tokens=1) for d in others))  # pinned ones are in slots
    found = yard.run(ask("never", compose(*((d, 1.0) for d in parts))), ask("fine", digests[0]))
    refused = found["never"]
    assert isinstance(refused, Failed)
    assert (refused.kind, refused.code, refused.field) == (
        FailureKind.PERMANENT,
        "adapter_too_large",
        "composition",
    )
    assert re.search(message, refused.message), refused.message
    assert text_of(found["fine"])


def test_a_part_that_cannot_be_loaded_fails_the_request_alone__c7_g3(
    start_yard: Callable[..., Any], tiny_adapters: dict[str, Path], tmp_path: Path
) -> None:
    first, *_ = tiny_adapters
    yard = start_yard()
    gone = "sha256:" + "0" * 64
    yard.adapters[gone] = tmp_path
    found = yard.run(ask("bad", compose((first, 1.0), (gone, 1.0))), ask("good", first))
    refused = found["bad"]
    assert isinstance(refused, Failed)
    assert (refused.code, refused.field) == ("adapter_refused", "composition")
    assert text_of(found["good"])
