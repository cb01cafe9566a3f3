"""What forbids rows to share products in deterministic mode is found at start (C6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from lorayard_workers.engine import steady_check
from lorayard_workers.engine.base_linear import BaseLinear
from lorayard_workers.engine.fixed_shapes import FixedShapes
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.steady_check import Products

WIDTH, VOCABULARY = 64, 48

Product = Callable[[Tensor], Tensor]


def row_by_row(weight: Tensor) -> Product:
    """As steady as can be."""
    return lambda x: torch.stack([(weight * row).sum(-1) for row in x])


def one_by_one(weight: Tensor) -> Product:
    """As steady, and zeros change nothing wherever they stand."""
    return lambda x: torch.stack([(weight * row).cumsum(-1)[:, -1] for row in x])


def in_another_order(weight: Tensor) -> Product:
    """More than eight rows are added up from the other end."""
    own, turned = row_by_row(weight), row_by_row(weight.flip(1))
    return lambda x: own(x) if len(x) <= 8 else turned(x.flip(1))


def by_place(weight: Tensor) -> Product:
    """A row is rounded by where it stands."""
    own, turned = row_by_row(weight), row_by_row(weight.flip(1))
    return lambda x: torch.cat([own(x[:3]), turned(x[3:].flip(1))])


KINDS = [(row_by_row, True), (in_another_order, False), (by_place, False)]


def products(head: Product) -> Any:
    torch.manual_seed(3)
    return Products(
        linears=[BaseLinear([nn.Linear(WIDTH, WIDTH, bias=False)])],
        quantization=BaseQuantization.NONE,
        head=head,
        head_shape=(WIDTH, VOCABULARY),
        shapes=FixedShapes(rows=12, columns=64, steady=True, dense=True),
        kv_heads=2,
        query_share=2,
        head_width=16,
    )


@pytest.mark.parametrize(("kind", "steady"), KINDS)
def test_a_head_that_rounds_by_company_is_found__c6(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[Tensor], Product], steady: bool
) -> None:
    monkeypatch.setattr(steady_check, "_LOGITS", 1 << 12)
    assert products(kind(torch.randn(VOCABULARY, WIDTH)))._head() is steady


@pytest.mark.parametrize(("kind", "steady"), KINDS)
def test_a_linear_that_rounds_by_company_is_found__c6(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[Tensor], Product], steady: bool
) -> None:
    whole = products(row_by_row(torch.randn(VOCABULARY, WIDTH)))

    def make(weight: Tensor, *_: object) -> Product:
        return kind(weight)

    monkeypatch.setattr("lorayard_workers.engine.base_linear.make_kernel", make)
    assert whole._linear(whole.linears[0]) is steady


@pytest.mark.parametrize(("kind", "steady"), KINDS)
def test_a_lora_product_that_rounds_by_company_is_found__c6(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[Tensor], Product], steady: bool
) -> None:
    """The tokens are the columns of A's product, and the rows of B's."""
    whole = products(row_by_row(torch.randn(VOCABULARY, WIDTH)))

    def down(a: Tensor, x: Tensor) -> Tensor:
        return kind(a)(x.t()).t()

    def up(rows: Tensor, b: Tensor) -> Tensor:
        return (one_by_one if steady else kind)(b.t())(rows)

    monkeypatch.setattr(steady_check, "mm", down)
    assert whole._lora_down(whole.linears[0]) is steady
    monkeypatch.setattr(steady_check, "mm", up)
    assert whole._lora_up(whole.linears[0]) is steady


@pytest.mark.parametrize("steady", [True, False])
def test_attention_that_rounds_by_company_is_found__c6(monkeypatch: pytest.MonkeyPatch, steady: bool) -> None:
    def attend(query: Tensor, keys: Tensor, values: Tensor, *, attn_mask: Tensor) -> Tensor:
        every = [slice(i, i + 1) for i in range(len(query))]
        found = torch.cat(
            [
                scaled_dot_product_attention(query[i], keys[i], values[i], attn_mask=attn_mask[i])
                for i in every
            ]
        )
        return found if steady or len(query) < 5 else found * (1 + 2.0**-20)

    monkeypatch.setattr(steady_check, "scaled_dot_product_attention", attend)
    assert products(row_by_row(torch.randn(VOCABULARY, WIDTH)))._attention() is steady
