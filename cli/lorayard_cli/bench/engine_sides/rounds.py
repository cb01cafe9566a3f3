"""The timed rounds of single steps: every side once, in turn, in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lorayard_cli.bench.engine_report.costs import Timed, Times
from lorayard_cli.bench.engine_sides.packed import PackedSide
from lorayard_cli.bench.engine_sides.peft_side import PeftSide
from lorayard_cli.bench.engine_sides.polylora_side import PolyloraSide
from lorayard_cli.bench.engine_sides.stock import StockSide
from lorayard_cli.output import note


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSides:
    """Over the same model, with the same adapters."""

    stock: StockSide
    packed: PackedSide
    peft: PeftSide
    polylora: PolyloraSide | None = None


def time_steps(sides: StepSides, times: Times, *, rounds: Iterable[int], sequential_rounds: int) -> None:
    """A little of each side to warm up, then the rounds that count.

    `sequential_rounds`: as many have PEFT one adapter after the other, half of a round's time.
    """
    _warm_up(sides)
    for number in rounds:
        _round(sides, times, sequential=number < sequential_rounds)
        if number == 0:
            _dear(sides, times)
        note(f"steps, round {number + 1}: {_line(times)}")


def _warm_up(sides: StepSides) -> None:
    """First touches of weights, caches and kernels."""
    sides.stock.prefill()
    sides.stock.decode()
    sides.peft.mixed_decode(8, sides.stock)
    _ours(sides.packed, Times(), 8, Timed.MIXED8_PREFILL, Timed.MIXED8_DECODE)


def _round(sides: StepSides, times: Times, *, sequential: bool) -> None:
    stock, packed, peft = sides.stock, sides.packed, sides.peft
    times.add(Timed.BASE_PREFILL, stock.prefill())
    _ours(packed, times, 8, Timed.MIXED8_PREFILL, Timed.MIXED8_DECODE)
    times.add(Timed.BASE_DECODE, stock.decode())
    with packed.all_logits():  # the row is about LoRA's own cost
        _ours(packed, times, 0, Timed.UNUSED_PREFILL, Timed.UNUSED_DECODE)
    _all_logits(packed, times, 8, Timed.MIXED8_FULL_PREFILL, Timed.MIXED8_FULL_DECODE)
    times.add(Timed.PEFT8_DECODE, peft.mixed_decode(8, stock))
    if sequential:
        times.add(Timed.SEQUENTIAL8_DECODE, peft.sequential_decode(8, stock))
    _ours(packed, times, 16, Timed.MIXED16_PREFILL, Timed.MIXED16_DECODE)
    _all_logits(packed, times, 16, Timed.MIXED16_FULL_PREFILL, Timed.MIXED16_FULL_DECODE)
    times.add(Timed.PEFT16_DECODE, peft.mixed_decode(16, stock))
    if sequential:
        times.add(Timed.SEQUENTIAL16_DECODE, peft.sequential_decode(16, stock))
    if sides.polylora is not None:
        times.add(Timed.POLYLORA8_DECODE, sides.polylora.mixed_decode(8, stock))
        times.add(Timed.POLYLORA16_DECODE, sides.polylora.mixed_decode(16, stock))
    times.add(Timed.SWAP, packed.swap())
    times.add(Timed.PEFT_LOAD, peft.load())


def _dear(sides: StepSides, times: Times) -> None:
    """Told, not judged: once is enough."""
    prompts = sides.stock.prompts
    times.add(Timed.PEFT8_PREFILL, sides.peft.mixed_prefill(8, prompts))
    times.add(Timed.PEFT1_PREFILL, sides.peft.one_prefill(prompts, trapped=False))
    times.add(Timed.PEFT1_STOCK_PREFILL, sides.peft.one_prefill(prompts, trapped=True))


def _ours(packed: PackedSide, times: Times, adapters: int, prefill: Timed, decode: Timed) -> None:
    times.add(prefill, packed.prefill(adapters))
    times.add(decode, packed.decode())
    packed.finish()


def _all_logits(packed: PackedSide, times: Times, adapters: int, prefill: Timed, decode: Timed) -> None:
    """Nothing where the engine computes them anyway."""
    if packed.screens:
        with packed.all_logits():
            _ours(packed, times, adapters, prefill, decode)


def _line(times: Times) -> str:
    last = {kind: costs[-1].cpu_ms for kind, costs in times.costs.items()}
    return (
        f"decode step base {last[Timed.BASE_DECODE]:.0f} ms, 8 adapters {last[Timed.MIXED8_DECODE]:.0f}, "
        f"PEFT {last[Timed.PEFT8_DECODE]:.0f}"
    )
