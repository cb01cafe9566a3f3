"""The base model in 8 bits: exact in all but the weights, close to what it was, under a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.int8_kernel import Int8Kernel, int8_is_exact, quantize_weight
from lorayard_workers.engine.outcome import Succeeded
from lorayard_workers.engine.quantization import BaseQuantization, quantized_digest, refusal
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.errors import BaseModelUnsupportedError
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.packed_equipment import equip_packed
from lorayard_workers.settings import WorkerSettings

INT8 = BaseQuantization.INT8

needs_int8 = pytest.mark.skipif(not int8_is_exact(), reason="this CPU has no exact 8-bit dot products")

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's


def dequantized(weight: Tensor) -> Tensor:
    """What the 8-bit weight stands for."""
    rounded, scales = quantize_weight(weight)
    return rounded.float() * scales[:, None]


@needs_int8
def test_only_the_weights_are_rounded__c9() -> None:
    """Wide activations with an outlier, where 8 bits for both sides would be off by whole per cents."""
    torch.manual_seed(0)
    weight, x = torch.randn(96, 80), torch.randn(24, 80)
    x[:, 3] *= 50
    bias = torch.randn(96)
    found = Int8Kernel(weight, bias)(x).double()
    wanted = x.double() @ dequantized(weight).double().t() + bias
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-4
    step = float(weight.abs().amax(1).max()) / 127
    assert float((dequantized(weight) - weight).abs().max()) <= step / 2 * 1.001


@needs_int8
@settings(max_examples=25)
@given(
    rows=st.integers(1, 40), seed=st.integers(0, 9), dtype=st.sampled_from([torch.float32, torch.bfloat16])
)
def test_a_rows_result_is_the_same_to_the_bit_whatever_shares_its_batch__c6_c9(
    rows: int, seed: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(seed)
    kernel = Int8Kernel(torch.randn(48, 64), None)
    x = (torch.randn(rows, 64) * torch.rand(rows, 1) * 10).to(dtype)
    together = kernel(x)
    assert together.dtype == dtype
    for row in range(rows):
        assert torch.equal(kernel(x[row : row + 1])[0], together[row])


@needs_int8
def test_what_is_not_finite_stays_so_and_in_its_row__c6() -> None:
    kernel = Int8Kernel(torch.randn(16, 32), None)
    x = torch.randn(4, 32)
    clean = kernel(x)
    x[1, 5], x[2, 0] = float("nan"), float("-inf")
    found = kernel(x)
    assert torch.equal(found[[0, 3]], clean[[0, 3]])
    assert not torch.isfinite(found[[1, 2]]).any()
    assert torch.equal(kernel(torch.zeros(1, 32)), torch.zeros(1, 16))


@needs_int8
def test_adapters_work_on_a_quantized_base_as_pefts_do_on_the_same_weights__c5_c9(
    tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    """fp32, so that nothing but the base weights differs: PEFT runs over what those stand for."""
    base = load_base_model(tiny_model, precision=Precision.FP32, quantization=INT8)
    runner = ModelRunner(base, RunnerSize(columns=16, rows=2, row_tokens=64))
    digest, folder = list(tiny_adapters.items())[2]
    reader = AdapterReader(folders=tiny_adapters, layouts=runner.layouts, dtype=torch.float32, max_rank=16)
    runner.write_adapter(tuple(range(16)), reader.read(digest))
    reference: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    reference.lm_head.weight = nn.Parameter(reference.lm_head.weight.detach().clone())  # not the embedding's
    for module in reference.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = dequantized(module.weight)
    ids = base.prompt_ids("Sum: 1 2 3 4 5 6 7 8 9")
    pieces = [
        Piece(
            place=Place(blocks=[row + 1], start=0, tokens=len(ids)),
            token_ids=ids,
            columns=columns,
            wants_logits=True,
        )
        for row, columns in enumerate((None, tuple(range(16))))
    ]
    with torch.inference_mode():
        logits = runner.forward(pieces)
        wanted = [reference(torch.tensor([ids])).logits[0, -1]]
        adapted: Any = PeftModel.from_pretrained(reference, str(folder)).eval()
        wanted.append(adapted(torch.tensor([ids])).logits[0, -1])
    torch.testing.assert_close(logits, torch.stack(wanted), atol=2e-3, rtol=0)
    assert float((wanted[0] - wanted[1]).abs().max()) > 0.05  # the adapter does something


@needs_int8
def test_rows_on_a_quantized_engine_answer_as_if_alone__c6_c9(
    start_yard: Callable[..., Any],
) -> None:
    yard = start_yard(base_quantization=INT8)
    keys = [None, *yard.adapters]
    requests = [
        GenerationRequest(
            request_id=str(i), prompt=f"Row {i}", adapter=k, sampling=Sampling(max_new_tokens=8)
        )
        for i, k in enumerate(keys)
    ]
    together = yard.run(*requests)
    for request in requests:
        alone = yard.run(request)[request.request_id]
        assert isinstance(alone, Succeeded)
        assert together[request.request_id].text == alone.text


@needs_int8
def test_a_quantized_base_takes_less_memory__c9(tiny_model: Path) -> None:
    def weights(quantization: BaseQuantization) -> int:
        base = load_base_model(tiny_model, precision=Precision.BF16, quantization=quantization)
        runner: Any = ModelRunner(base, RunnerSize(columns=8, rows=1, row_tokens=16))
        return sum(group._base.size_bytes for group in runner._groups)

    assert weights(INT8) < 0.6 * weights(BaseQuantization.NONE)


def test_a_quantized_base_has_a_digest_of_its_own__c9(tiny_model: Path) -> None:
    """A result must say what it was computed with, and a dispatcher must not mix the two."""
    plain = load_base_model(tiny_model).digest
    assert quantized_digest(plain, BaseQuantization.NONE) == plain
    named = quantized_digest(plain, INT8)
    assert named.startswith("sha256:")
    assert len(named) == len(plain)
    assert (
        len({plain, named, quantized_digest(named, INT8), quantized_digest(plain, BaseQuantization.INT4)})
        == 4
    )


@needs_int8
def test_the_setting_reaches_the_workers_digest__c9(tiny_model: Path) -> None:
    def digest(quantization: str) -> str:
        settings = WorkerSettings.model_validate(
            {"model": str(tiny_model), "rows": 2, "slots": 2, "threads": 1, "base_quantization": quantization}
        )
        return equip_packed(settings).engine.base_digest

    assert digest("int8") == quantized_digest(digest("none"), INT8)


@pytest.mark.parametrize(
    ("quantization", "device", "exact", "words"),
    [
        (BaseQuantization.NONE, "cuda", False, None),
        (INT8, "cpu", True, None),
        (INT8, "cpu", False, ("int8 on cpu", "onednn.qlinear_pointwise", "VNNI")),
        (INT8, "cuda:0", True, ("int8 on cuda:0", "onednn.qlinear_pointwise")),
        (BaseQuantization.INT4, "cpu", True, ("int4 on cpu", "torch", "use int8")),
    ],
)
def test_what_is_not_sound_is_refused_with_setting_device_and_library__c9(
    quantization: BaseQuantization, device: str, exact: bool, words: tuple[str, ...] | None
) -> None:
    reason = refusal(quantization, device, int8_exact=exact)
    assert (reason is None) == (words is None)
    assert all(word in (reason or "") for word in words or ())


def test_a_refused_quantization_stops_the_worker_at_its_start__c9(tiny_model: Path) -> None:
    settings = WorkerSettings(model=str(tiny_model), base_quantization="int4", rows=2, slots=2, threads=1)
    with pytest.raises(BaseModelUnsupportedError, match="base_quantization int4 on cpu"):
        equip_packed(settings)
