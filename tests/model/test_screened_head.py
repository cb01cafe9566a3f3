"""Greedy tokens through bounds: always the argmax of the exact logits, or no answer at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.int8_kernel import int8_is_exact
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.request import Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.engine.sampling import Chosen, NotChosen, TokenSampler, choose_tokens
from lorayard_workers.engine.screened_head import MAX_CANDIDATES, ScreenedHead, Spread, screened_head
from lorayard_workers.engine.token_choice import screened_tokens
from lorayard_workers.memory.packing import HostAdapter, WideWeights

pytestmark = pytest.mark.skipif(not int8_is_exact(), reason="this CPU has no exact 8-bit dot products")


USUAL = ["unknown", "true", "false", "nothing"]
KINDS = ["plain", "aligned", "equal", "close", "outliers", "lengths", "cancelling", "negative"]


def exact(rows: Tensor, weight: Tensor) -> list[int]:
    """By brute force; the lowest of equals."""
    logits = rows.double() @ weight.double().t()
    return [int((row == row.max()).nonzero()[0]) for row in logits]


def adversarial(kind: str, seed: int, vocabulary: int, width: int) -> tuple[Tensor, Tensor]:
    """Weights [vocabulary, width] and rows [5, width] in bf16 that make rounding and bounds hard."""
    torch.manual_seed(seed)
    weight, rows = torch.randn(vocabulary, width) * 0.03, torch.randn(5, width) * 3
    if kind == "aligned":  # a clear winner, where little must be computed
        rows = weight[torch.randint(vocabulary, (5,))] * 100
    elif kind == "equal":  # every token several times
        weight = weight[torch.randint(max(1, vocabulary // 9), (vocabulary,))]
    elif kind == "close":  # neighbours that differ in one last bit of bf16
        weight = weight[torch.randint(max(1, vocabulary // 9), (vocabulary,))].bfloat16().float()
        weight[torch.arange(vocabulary), torch.randint(width, (vocabulary,))] *= 1 + 2.0**-7
    elif kind == "outliers":  # one value takes the whole range of bytes
        weight[torch.arange(vocabulary), torch.randint(width, (vocabulary,))] *= 300
        rows[:, torch.randint(width, (3,))] *= 200
    elif kind == "lengths":  # rows and tokens of very different size
        weight *= 10.0 ** torch.randint(-6, 3, (vocabulary, 1))
        rows *= 10.0 ** torch.randint(-36, 30, (5, 1))
    elif kind == "cancelling":  # sums in fp32 lose what decides
        weight[:, 0] = weight[:, 5] = 1.0
        rows[:, 0], rows[:, 5] = 2.0**20, -(2.0**20)
    elif kind == "negative":  # every logit below 0
        weight, rows = weight.abs(), -rows.abs()
    return weight.bfloat16(), rows.bfloat16()


def usual_rows(which: str, rows: Tensor) -> Tensor | None:
    """What a head is told of its inputs: nothing, the truth, or what has nothing to do with them."""
    return {"unknown": None, "true": rows, "false": rows.flip(1) * 2.0**9, "nothing": rows[:0]}[which]


def test_bounds_are_tighter_where_it_is_known_which_inputs_are_usually_large() -> None:
    weight, rows = adversarial("plain", 1, 3000, 64)
    rows[:, ::16] *= 50

    def looseness(usual: Tensor | None) -> float:
        head: Any = ScreenedHead(weight, usual)
        step = head._step(rows)
        bounds = head._upper_bounds(step).view(len(rows), -1)[:, :3000] * step.scales[:, None]
        return float((bounds - step.wide @ weight.float().t()).mean())

    assert looseness(rows) < 0.7 * looseness(None)


@given(seed=st.integers(0, 10_000), width=st.sampled_from([1, 8, 64, 100]))
def test_bytes_of_an_input_sum_up_to_it(seed: int, width: int) -> None:
    torch.manual_seed(seed)
    spread = Spread.of(width, torch.randn(3, width) * 10.0 ** torch.randint(-2, 3, (width,)))
    numbers = (torch.rand(4, width) * 2 - 1).mul_(127 * spread.counts).round_()
    numbers[0], numbers[1] = 127 * spread.counts, -127 * spread.counts
    found = spread.apply(numbers)
    assert len(spread.inputs) % 64 == 0
    assert bool((found.abs() <= 127).all())
    assert bool((torch.zeros(4, width).index_add_(1, spread.inputs, found) == numbers).all())


@settings(max_examples=120)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    vocabulary=st.sampled_from([1, 511, 512, 700, 3000]),
    width=st.sampled_from([8, 64, 100]),
    usual=st.sampled_from(USUAL),
)
def test_the_answer_is_the_argmax_of_the_exact_logits(
    kind: str, seed: int, vocabulary: int, width: int, usual: str
) -> None:
    weight, rows = adversarial(kind, seed, vocabulary, width)
    head = ScreenedHead(weight, usual_rows(usual, rows))
    found, wanted = head.likeliest(rows), exact(rows, weight)
    for row, token in enumerate(found):
        assert token in (wanted[row], None)
    assert None not in found or vocabulary > MAX_CANDIDATES  # few enough tokens are always decided


@settings(max_examples=120)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    vocabulary=st.sampled_from([1, 511, 512, 700, 3072]),
    width=st.sampled_from([8, 64, 100]),
    usual=st.sampled_from(USUAL),
)
def test_the_same_token_is_found_in_rounded_logits(
    kind: str, seed: int, vocabulary: int, width: int, usual: str
) -> None:
    weight, rows = adversarial(kind, seed, vocabulary, width)
    logits = nn.functional.linear(rows, weight)
    head = ScreenedHead(weight, usual_rows(usual, rows))
    assert head.likeliest_of(rows, logits) == exact(rows, weight)


def test_rounded_logits_without_a_likeliest_give_none_and_equal_ones_the_first() -> None:
    weight, rows = adversarial("plain", 1, 9728, 64)
    rows[1], rows[2, 3] = 0, float("nan")
    found = ScreenedHead(weight).likeliest_of(rows, nn.functional.linear(rows, weight))
    wanted = exact(rows[[0, 3, 4]], weight)
    assert found == [wanted[0], 0, None, *wanted[1:]]


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["plain", "aligned", "close", "outliers", "lengths", "cancelling"]),
    seed=st.integers(0, 10_000),
    usual=st.sampled_from(USUAL),
)
def test_no_logit_is_above_its_bound(kind: str, seed: int, usual: str) -> None:
    weight, rows = adversarial(kind, seed, 700, 64)
    head: Any = ScreenedHead(weight, usual_rows(usual, rows))
    step = head._step(rows)
    bounds = head._upper_bounds(step).view(len(rows), -1)[:, :700].double()
    logits = (step.wide.double() @ weight.double().t()) / step.scales.double()[:, None]
    assert bool((bounds >= logits).all())


def test_rows_that_are_not_finite_or_undecided_get_no_answer_and_disturb_nobody() -> None:
    weight, rows = adversarial("plain", 1, 3000, 64)
    head = ScreenedHead(weight)
    wanted = head.likeliest(rows)
    rows = torch.cat([rows, torch.zeros(3, 64, dtype=torch.bfloat16)])  # of zeros: 3,000 equal logits
    rows[5, 3], rows[6, 3] = float("nan"), float("inf")
    assert head.likeliest(rows) == [*wanted, None, None, None]
    assert None not in wanted


def test_it_is_given_up_where_most_rows_are_undecided() -> None:
    head = ScreenedHead(adversarial("plain", 1, 3000, 64)[0])
    assert head.pays
    for _ in range(40):
        head.likeliest(torch.zeros(8, 64, dtype=torch.bfloat16))
    assert not head.pays


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for the tiny model, and however long it takes."""
    monkeypatch.setattr("lorayard_workers.engine.screened_head.MIN_WEIGHTS", 1)
    monkeypatch.setattr("lorayard_workers.engine.screened_head._GAIN", 0.0)


def runner_of(folder: Path, *, on: bool = True, deterministic: bool = False, **changes: Any) -> ModelRunner:
    base = load_base_model(folder, **(dict[str, Any](precision=Precision.BF16) | changes))
    size = RunnerSize(columns=8, rows=8, row_tokens=32, screened_head=on, deterministic=deterministic)
    return ModelRunner(base, size)


def next_tokens(
    runner: ModelRunner, pieces: list[Piece], samplers: list[TokenSampler]
) -> list[Chosen | NotChosen]:
    """As the engine does it."""
    found = screened_tokens(runner, pieces, samplers)
    return choose_tokens(runner.forward(pieces), samplers) if found is None else found


def pieces_of(runner: ModelRunner, count: int) -> list[Piece]:
    """Prompts of different tokens, and one that has more to come."""
    per_row = runner.cache.blocks // 8
    return [
        Piece(
            place=Place(blocks=range(1 + row * per_row, 1 + (row + 1) * per_row), start=0, tokens=4),
            token_ids=[row + 5, 7, 30 + row, 9],
            columns=None,
            wants_logits=row != 1,
        )
        for row in range(count)
    ]


COMPANY = {
    "greedy": Sampling(),
    "sampled": Sampling(temperature=1.0, seed=3),
    "logprobs": Sampling(logprobs=2),
    "head": Sampling(),
}
HEAD_COLUMNS = tuple(range(8))


def head_adapter(runner: ModelRunner, folder: Path) -> HostAdapter:
    """LoRA on the head alone, which makes token 77 or 78 the likeliest of its rows."""
    vocabulary = load_base_model(folder).model.config.vocab_size
    update = torch.zeros(8, vocabulary, dtype=torch.bfloat16)
    update[0, 77], update[0, 78] = 1e4, -1e4
    a = torch.ones(8, runner.layouts[0].in_features, dtype=torch.bfloat16)
    wide = WideWeights(role="head", a=a, b=update)
    groups = (None,) * len(runner.layouts)
    return HostAdapter(digest="d", rank=8, groups=groups, size_bytes=1, wide=(wide,))


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("company", list(COMPANY))
@pytest.mark.parametrize("greedy", [1, 3, 6])
@pytest.mark.parametrize("pays", [True, False])
def test_a_greedy_row_takes_the_exact_argmax_in_any_company__c6(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, company: str, greedy: int, pays: bool
) -> None:
    """Half the tokens differ from another by less than rounding leaves of a logit."""
    base = load_base_model(tiny_model, precision=Precision.BF16)
    weight = base.model.get_output_embeddings().weight.detach()
    weight[256:] = weight[:256]
    weight[256:, 0] *= 1 + 2.0**-7
    weight = weight.clone()
    runner = ModelRunner(base, RunnerSize(columns=8, rows=8, row_tokens=32, screened_head=True))
    monkeypatch.setattr(ScreenedHead, "pays", pays)
    runner.write_adapter(HEAD_COLUMNS, head_adapter(runner, tiny_model))
    pieces = pieces_of(runner, 8)
    given = [Sampling()] * greedy + [COMPANY[company]] * (7 - greedy)
    if company == "head":
        others = [i for i in range(8) if pieces[i].wants_logits][greedy:]
        pieces = [replace(p, columns=HEAD_COLUMNS) if i in others else p for i, p in enumerate(pieces)]
    with torch.inference_mode():
        hidden = runner.hidden(pieces)
        found = next_tokens(runner, pieces, [TokenSampler(one) for one in given])
    tokens = [one.token for one in found if isinstance(one, Chosen)]
    plain = 7 if company in ("greedy", "logprobs") else greedy
    assert tokens[:plain] == exact(hidden[:plain], weight)
    assert company != "head" or {77, 78} >= set(tokens[greedy:])
    told = [one.logprob is not None for one in found if isinstance(one, Chosen)]
    assert told == [one.logprobs is not None for one in given]


@pytest.mark.usefixtures("_always")
def test_undecided_rows_take_the_same_token_by_the_full_head(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_of(tiny_model)
    pieces = pieces_of(runner, 7)
    samplers = [TokenSampler(Sampling()) for _ in range(6)]
    with torch.inference_mode():
        wanted = next_tokens(runner, pieces, samplers)
        monkeypatch.setattr("lorayard_workers.engine.screened_head.MAX_CANDIDATES", 0)
        assert next_tokens(runner, pieces, samplers) == wanted
        assert runner.screened is not None
        assert runner.screened.likeliest(runner.hidden(pieces)) == [None] * 6


@pytest.mark.usefixtures("_always")
def test_it_is_off_where_it_is_not_wanted_or_not_sound(tiny_model: Path) -> None:
    assert runner_of(tiny_model).screened is not None
    assert runner_of(tiny_model, on=False).screened is None
    assert runner_of(tiny_model, precision=Precision.FP32).screened is None
    assert runner_of(tiny_model, quantization=BaseQuantization.INT8).screened is None
    linear = nn.Linear(8, 600, dtype=torch.bfloat16)
    usual = torch.ones(1, 8)
    assert screened_head(linear, linear, usual) is None  # a bias
    bare = nn.Linear(8, 600, bias=False, dtype=torch.bfloat16)
    assert screened_head(bare, bare, usual) is not None
    nn.init.constant_(bare.weight, float("inf"))
    assert screened_head(bare, bare, usual) is None


def test_a_small_head_or_one_that_is_no_faster_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = nn.Linear(64, 3000, bias=False, dtype=torch.bfloat16)
    usual = torch.ones(1, 64)
    assert screened_head(linear, linear, usual) is None
    monkeypatch.setattr("lorayard_workers.engine.screened_head.MIN_WEIGHTS", 1)
    assert screened_head(linear, lambda x: x, usual) is None
