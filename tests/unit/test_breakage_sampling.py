"""Numbers that are allowed and absurd: one row's sampling must never fail the rows beside it."""

from __future__ import annotations

import pytest
import torch

from lorayard_workers.engine.request import Sampling
from lorayard_workers.engine.sampling import Chosen, TokenSampler, choose_tokens

LIKELIEST = 3
TINIEST = 5e-324


@pytest.mark.parametrize("width", [8, 512, 4096])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_new_tokens=1, temperature=1.0, top_p=TINIEST),
        Sampling(max_new_tokens=1, temperature=TINIEST),
        Sampling(max_new_tokens=1, temperature=TINIEST, top_p=TINIEST),
        Sampling(max_new_tokens=1, temperature=TINIEST, top_k=2**31 - 1),
        Sampling(max_new_tokens=1, temperature=TINIEST, top_k=5, top_p=TINIEST),
    ],
)
def test_the_smallest_numbers_are_as_good_as_greedy(sampling: Sampling, width: int) -> None:
    logits = torch.zeros(2, width)
    logits[:, LIKELIEST] = 1.0
    samplers = [TokenSampler(sampling), TokenSampler(Sampling(max_new_tokens=1))]
    assert choose_tokens(logits, samplers) == [Chosen(token=LIKELIEST)] * 2
