"""Whole traffic through every side, in turn in each round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lorayard_cli.bench.engine_report.costs import Timed, Times
from lorayard_cli.bench.engine_sides.continuous import ContinuousSide
from lorayard_cli.bench.engine_sides.serving import ServingSide
from lorayard_cli.bench.engine_sides.traffic import Traffic
from lorayard_cli.bench.engine_sides.vllm_side import VllmSide
from lorayard_cli.output import note


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficKinds:
    """What the costs of one traffic are called."""

    engine: Timed
    transformers: Timed
    vllm: Timed


DECODE_HEAVY = TrafficKinds(
    engine=Timed.ENGINE_DECODE_HEAVY,
    transformers=Timed.TRANSFORMERS_DECODE_HEAVY,
    vllm=Timed.VLLM_DECODE_HEAVY,
)
PREFILL_HEAVY = TrafficKinds(
    engine=Timed.ENGINE_PREFILL_HEAVY,
    transformers=Timed.TRANSFORMERS_PREFILL_HEAVY,
    vllm=Timed.VLLM_PREFILL_HEAVY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One traffic and who runs it. `others` are further engines, for instance one in another mode, for the
    first `others_rounds` only."""

    traffic: Traffic
    kinds: TrafficKinds
    engine: ServingSide
    first_adapter: int
    stock: Any
    vllm: VllmSide | None = None
    vllm_first_adapter: int = 0
    others: Mapping[Timed, ServingSide] = field(default_factory=dict[Timed, ServingSide])
    others_rounds: int = 0

    def round(self, number: int, times: Times) -> None:
        """Every side once; those whose ratio has the tightest threshold are neighbours."""
        kinds, traffic = self.kinds, self.traffic
        if self.vllm is not None:
            times.add(kinds.vllm, self.vllm.run(traffic, first_adapter=self.vllm_first_adapter))
        times.add(kinds.engine, self.engine.run(traffic, first_adapter=self.first_adapter))
        for kind, side in self.others.items() if number < self.others_rounds else ():
            times.add(kind, side.run(traffic, first_adapter=self.first_adapter))
        with ContinuousSide(self.stock) as continuous:
            times.add(kinds.transformers, continuous.run(traffic))

    def tell(self, times: Times) -> None:
        """What was sent, for the rows."""
        traffic = self.traffic
        times.tell(
            self.kinds.engine,
            f"{len(traffic.asks)} requests, {traffic.adapters} adapters of rank {traffic.rank}, "
            f"{traffic.prompt_tokens:,} tokens in, {traffic.new_tokens:,} out, a round",
        )


def time_traffic(legs: tuple[Leg, ...], times: Times, *, rounds: Iterable[int]) -> None:
    """A request of each adapter to warm up, then the rounds that count."""
    for leg in legs:
        _warm_up(leg)
        leg.tell(times)
    for number in rounds:
        for leg in legs:
            leg.round(number, times)
        note(f"end to end, round {number + 1}: {_line(legs, times)}")


def _warm_up(leg: Leg) -> None:
    """First loads of adapters, first touches of caches."""
    asks = [ask.hint() for ask in leg.traffic.asks[: leg.traffic.adapters]]
    for engine in (leg.engine, *leg.others.values()):
        engine.answer(asks, leg.first_adapter)
    if leg.vllm is not None:
        leg.vllm.answer(asks, leg.vllm_first_adapter)


def _line(legs: tuple[Leg, ...], times: Times) -> str:
    return ", ".join(
        f"{leg.traffic.name} {leg.traffic.new_tokens / times.costs[leg.kinds.engine][-1].cpu_ms * 1000:.1f} "
        "tokens per CPU second"
        for leg in legs
    )
