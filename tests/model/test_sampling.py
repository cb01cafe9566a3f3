"""How tokens are drawn (C12): what is kept is what transformers' own processors keep."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, cast

import pytest
import torch
from torch import LongTensor, Tensor
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lorayard_workers.engine.filters import Filters, kept_tokens
from lorayard_workers.engine.penalties import Penalties
from lorayard_workers.engine.request import Sampling
from lorayard_workers.engine.sampling import Chosen, NotChosen, TokenSampler, choose_tokens

WIDTHS = (512, 8 * 8192)
"""As the tiny model's, and one whose largest tokens are found through groups."""


NEVER = 1e-35
"""Of a probability: such tokens are left out, where transformers leaves them in."""


def spread_logits(width: int, spread: float) -> Tensor:
    """A spread of 8 is a sure model, 0.5 one that knows nothing."""
    return torch.randn(width, generator=torch.Generator().manual_seed(width)) * spread


def kept_by_us(logits: Tensor, filters: Filters, temperature: float) -> Tensor:
    """Probabilities, 0 for what is cut."""
    weights, tokens = kept_tokens((logits - logits.amax()) / temperature, filters)
    if tokens is not None:
        weights = torch.zeros_like(logits).index_put_((tokens,), weights)
    return weights / weights.sum()


def kept_by_transformers(logits: Tensor, filters: Filters, temperature: float) -> Tensor:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if filters.top_k:
        warpers.append(TopKLogitsWarper(filters.top_k))
    if filters.top_p < 1:
        warpers.append(TopPLogitsWarper(filters.top_p))
    if filters.min_p:
        warpers.append(MinPLogitsWarper(filters.min_p))
    ids = torch.zeros(1, 1, dtype=torch.int64)
    chances: Tensor = warpers(ids, logits[None].clone())[0].softmax(-1)  # pyright: ignore[reportArgumentType]  # a LongTensor
    return chances


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("spread", [8.0, 2.0, 0.5])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(top_k=1),
        Filters(top_k=40),
        Filters(top_k=1000),
        Filters(top_p=0.9),
        Filters(top_p=0.05),
        Filters(top_p=0.999),
        Filters(min_p=0.1),
        Filters(min_p=1e-4),
        Filters(top_k=300, top_p=0.8),
        Filters(top_k=50, top_p=0.95, min_p=0.02),
        Filters(top_p=0.7, min_p=0.3),
    ],
    ids=str,
)
def test_the_same_tokens_are_kept_with_the_same_probabilities__c12(
    width: int, spread: float, filters: Filters
) -> None:
    temperature = 0.7
    logits = spread_logits(width, spread)
    ours = kept_by_us(logits, filters, temperature)
    theirs = kept_by_transformers(logits, filters, temperature)
    noise = (theirs > 0) & (theirs < NEVER)
    if not filters.off:  # a token on the very cut falls to either side of it
        noise |= (logits - logits[ours > 0].amin()).abs() < 1e-3
        assert int(noise.sum()) <= 0.01 * width
    torch.testing.assert_close(ours[~noise], theirs[~noise], atol=0.0, rtol=1e-3)


def test_tokens_that_tie_with_the_last_one_kept_are_kept_in_every_width() -> None:
    """As transformers' top-k does; in bf16 ties are common."""
    for width in WIDTHS:
        logits = torch.zeros(width)
        logits[:4] = 2.0
        logits[7:400] = 1.0
        for filters in (Filters(top_k=5), Filters(top_k=400), Filters(min_p=math.exp(-1.0) * 0.99)):
            kept = kept_by_us(logits, filters, 1.0) > 0
            assert torch.equal(kept, kept_by_transformers(logits, filters, 1.0) > 0)


def penalised(sampling: Sampling, prompt: list[int], output: list[int], logits: Tensor) -> Tensor:
    penalties = Penalties(sampling, prompt_ids=prompt, end_ids=[2, 5])
    for token in output:
        penalties.took(token)
    changed = logits.clone()
    penalties.apply(changed)
    return changed


def test_the_repetition_penalty_is_that_of_transformers__c12() -> None:
    logits = spread_logits(512, 3.0)
    prompt, output = [1, 7, 7, 9], [9, 3, 3, *range(100, 300)]
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(
        cast("LongTensor", torch.tensor([prompt + output])), logits[None].clone()
    )
    assert torch.equal(penalised(Sampling(repetition_penalty=1.3), prompt, output, logits), theirs[0])


def test_no_token_that_ends_is_drawn_too_early__c12() -> None:
    logits = spread_logits(512, 3.0)
    for output in ([], [3], [3, 4], [3, 4, 8]):
        processor = MinNewTokensLengthLogitsProcessor(1, 2, [2, 5])
        theirs = processor(cast("LongTensor", torch.tensor([[1, *output]])), logits[None].clone())
        assert torch.equal(penalised(Sampling(min_new_tokens=2), [1], output, logits), theirs[0])


def test_presence_and_frequency_are_counted_over_the_output_only__c12() -> None:
    """OpenAI's formula: logit - count x frequency - (count > 0) x presence."""
    logits = spread_logits(512, 3.0)
    prompt, output = [1, 2, 3], [3, 3, 3, 8, 9]
    wanted = logits.clone()
    for token, count in Counter(output).items():
        wanted[token] -= count * 0.7 + 0.4
    sampling = Sampling(presence_penalty=0.4, frequency_penalty=0.7)
    torch.testing.assert_close(penalised(sampling, prompt, output, logits), wanted)


def test_bias_comes_before_the_repetition_penalty_and_that_before_the_others__c12() -> None:
    sampling = Sampling(
        logit_bias=((3, 1.0), (3, 2.0), (4, -4.0)), repetition_penalty=2.0, presence_penalty=0.5
    )
    changed = penalised(sampling, [4], [3], torch.ones(8))
    assert changed.tolist() == [1, 1, 1, (1 + 3) / 2 - 0.5, (1 - 4) * 2, 1, 1, 1]


def draws(sampling: Sampling, logits: Tensor, count: int) -> Counter[int | None]:
    sampler = TokenSampler(sampling)
    return Counter(sampler.draw(logits) for _ in range(count))


@pytest.mark.parametrize("filters", [{}, {"top_k": 6}, {"top_p": 0.8}, {"min_p": 0.1}])
def test_tokens_come_as_often_as_they_are_likely(filters: dict[str, Any]) -> None:
    """4,000 draws over some ten tokens far apart in a wide vocabulary: within 5 standard deviations each."""
    logits = torch.full((8 * 8192,), -200.0)
    places = torch.arange(12) * 5000 + 17
    logits[places] = torch.linspace(2.0, -2.0, 12)
    count = 4000
    found = draws(Sampling(temperature=1.3, seed=5, **filters), logits, count)
    wanted = kept_by_transformers(logits, Filters(**filters), 1.3)
    for token in {*cast("list[int]", places.tolist()), *found}:
        assert token is not None
        share = float(wanted[token])
        assert abs(found[token] - count * share) <= 5 * math.sqrt(count * share * (1 - share)) + 1e-9


def test_a_row_draws_the_same_whatever_rows_are_beside_it__c12() -> None:
    torch.manual_seed(3)
    steps = torch.randn(20, 4, 512)
    settings: list[Sampling] = [
        Sampling(temperature=1.0, seed=1),
        Sampling(),
        Sampling(temperature=0.8, top_p=0.9, repetition_penalty=1.2, seed=1),
        Sampling(frequency_penalty=0.5),
    ]

    def run(rows: list[int]) -> list[list[int]]:
        samplers = [TokenSampler(settings[row], prompt_ids=[1, 2]) for row in rows]
        told: list[list[int]] = [[] for _ in rows]
        for step in steps:
            for index, choice in enumerate(choose_tokens(step[rows], samplers)):
                assert isinstance(choice, Chosen)
                samplers[index].took(choice.token)
                told[index].append(choice.token)
        return told

    together = run([0, 1, 2, 3])
    assert [run([row])[0] for row in range(4)] == together
    assert run([3, 0]) == [together[3], together[0]]


def test_logprobs_are_of_the_models_own_distribution__c12() -> None:
    logits = torch.randn(1, 8 * 8192, generator=torch.Generator().manual_seed(1)) * 4
    sampling = Sampling(temperature=2.0, top_k=5, seed=1, logprobs=3, logit_bias=((9, 100.0),))
    (choice,) = choose_tokens(logits, [TokenSampler(sampling)])
    assert isinstance(choice, Chosen)
    assert choice.token == 9  # by its bias
    assert choice.logprob is not None
    wanted = logits[0].log_softmax(0)
    assert choice.logprob.logprob == pytest.approx(float(wanted[9]), abs=1e-4)
    top = wanted.topk(3)
    assert [token for token, _ in choice.logprob.top] == top.indices.tolist()
    assert [logprob for _, logprob in choice.logprob.top] == pytest.approx(
        cast("list[float]", top.values.tolist()), abs=1e-4
    )


def test_a_row_with_numbers_that_are_not_finite_fails_alone() -> None:
    logits = torch.zeros(3, 512)
    logits[1, 7] = math.nan
    samplers = [TokenSampler(Sampling(temperature=1.0, seed=1, logprobs=2)) for _ in range(3)]
    first, second, third = choose_tokens(logits, samplers)
    assert isinstance(second, NotChosen)
    assert second.code == "non_finite_logits"
    assert isinstance(first, Chosen)
    assert isinstance(third, Chosen)


def test_probabilities_that_are_no_numbers_fail_the_row_alone() -> None:
    wild: Any = TokenSampler(Sampling(temperature=1.0, seed=1))
    wild._temperature = math.inf  # no request has that: whatever else may bring a NaN
    logits = torch.randn(2, 600)
    logits[:, 5] = -math.inf
    calm = TokenSampler(Sampling(temperature=1.0, seed=1))
    found = choose_tokens(logits, [wild, calm])
    assert isinstance(found[0], NotChosen)
    assert isinstance(found[1], Chosen)
