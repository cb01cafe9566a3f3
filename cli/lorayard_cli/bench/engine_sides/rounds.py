"""The timed rounds: every side once, in turn, in each."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Timed, Times
from lorayard_cli.bench.engine_sides.model import bench_model, make_adapters
from lorayard_cli.bench.engine_sides.packed import PackedSide
from lorayard_cli.bench.engine_sides.peft_side import PeftSide
from lorayard_cli.bench.engine_sides.stock import StockSide
from lorayard_cli.output import note


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What was timed, on which model."""

    times: Times
    model: str
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    stock: StockSide
    packed: PackedSide
    peft: PeftSide


def time_sides(rounds: int) -> Timing:
    """A little of each side to warm up, then the rounds that count."""
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        model = bench_model(Path(scratch))
        note(f"loading {model.name} three times, and adapters for it")
        packed = PackedSide(model.folder)
        adapters = make_adapters(Path(scratch) / "adapters", packed.shapes)
        packed.load(adapters)
        stock = StockSide(model.folder)
        sides = _Sides(stock=stock, packed=packed, peft=PeftSide(model.folder, adapters))
        _warm_up(sides)
        times = Times()
        for number in range(rounds):
            _round(sides, times)
            note(f"round {number + 1}/{rounds}: {_line(times)}")
    return Timing(times=times, model=model.name, parameters=stock.parameters)


def _warm_up(sides: _Sides) -> None:
    """First touches of weights, caches and kernels."""
    sides.stock.prefill()
    sides.stock.decode()
    sides.peft.mixed_decode(8, sides.stock)
    _ours(sides.packed, Times(), 8, Timed.MIXED8_PREFILL, Timed.MIXED8_DECODE)


def _round(sides: _Sides, times: Times) -> None:
    stock, packed, peft = sides.stock, sides.packed, sides.peft
    times.add(Timed.BASE_PREFILL, stock.prefill())
    _ours(packed, times, 8, Timed.MIXED8_PREFILL, Timed.MIXED8_DECODE)
    times.add(Timed.BASE_DECODE, stock.decode())
    _ours(packed, times, 0, Timed.UNUSED_PREFILL, Timed.UNUSED_DECODE)
    times.add(Timed.PEFT8_DECODE, peft.mixed_decode(8, stock))
    times.add(Timed.SEQUENTIAL8_DECODE, peft.sequential_decode(8, stock))
    _ours(packed, times, 16, Timed.MIXED16_PREFILL, Timed.MIXED16_DECODE)
    times.add(Timed.PEFT16_DECODE, peft.mixed_decode(16, stock))
    times.add(Timed.SEQUENTIAL16_DECODE, peft.sequential_decode(16, stock))
    times.add(Timed.SWAP, packed.swap())
    times.add(Timed.PEFT_LOAD, peft.load())


def _ours(packed: PackedSide, times: Times, adapters: int, prefill: Timed, decode: Timed) -> None:
    times.add(prefill, packed.prefill(adapters))
    times.add(decode, packed.decode())
    packed.finish()


def _line(times: Times) -> str:
    last = {kind: costs[-1].cpu_ms for kind, costs in times.costs.items()}
    return (
        f"decode step base {last[Timed.BASE_DECODE]:.0f} ms, 8 adapters {last[Timed.MIXED8_DECODE]:.0f}, "
        f"PEFT {last[Timed.PEFT8_DECODE]:.0f}"
    )
