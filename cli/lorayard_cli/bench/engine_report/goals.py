"""The table: what each figure must reach. A goal without `must` is told, not judged."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from lorayard_cli.bench.engine_report.costs import Timed


class Sense(StrEnum):
    """Which way is good."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One row of the table."""

    key: str
    title: str
    sense: Sense = Sense.AT_LEAST
    must: float | None = None
    stretch: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedGoal:
    """A goal for the cost of one kind of work over that of another."""

    goal: Goal
    above: Timed
    below: Timed


Limits = tuple[float, float] | None
"""Must and stretch."""


def _told(key: str, title: str, above: Timed, below: Timed) -> TimedGoal:
    return TimedGoal(goal=Goal(key=key, title=title), above=above, below=below)


def _faster(key: str, title: str, limits: Limits, other: Timed, ours: Timed) -> TimedGoal:
    must, stretch = limits or (None, None)
    return TimedGoal(goal=Goal(key=key, title=title, must=must, stretch=stretch), above=other, below=ours)


def _cheaper(key: str, title: str, limits: Limits, ours: Timed, other: Timed) -> TimedGoal:
    return TimedGoal(goal=_at_most(key, title, limits), above=ours, below=other)


def _at_most(key: str, title: str, limits: Limits) -> Goal:
    must, stretch = limits or (None, None)
    return Goal(key=key, title=title, sense=Sense.AT_MOST, must=must, stretch=stretch)


_T = Timed

_JUDGED_AND_TOLD = (
    _faster("mixed8_prefill", "8 adapters ÷ base, prefill", (0.90, 0.95), _T.BASE_PREFILL, _T.MIXED8_PREFILL),
    _faster("mixed8_decode", "8 adapters ÷ base, decode", (0.80, 1.00), _T.BASE_DECODE, _T.MIXED8_DECODE),
    _told("mixed16_prefill", "16 adapters ÷ base, prefill", _T.BASE_PREFILL, _T.MIXED16_PREFILL),
    _told("mixed16_decode", "16 adapters ÷ base, decode", _T.BASE_DECODE, _T.MIXED16_DECODE),
    _faster("peft_names8", "÷ PEFT adapter_names, 8, decode", (2.0, 2.5), _T.PEFT8_DECODE, _T.MIXED8_DECODE),
    _faster(
        "peft_names16", "÷ PEFT adapter_names, 16, decode", (2.5, 3.0), _T.PEFT16_DECODE, _T.MIXED16_DECODE
    ),
    _told("peft_prefill8", "÷ PEFT adapter_names, 8, prefill", _T.PEFT8_PREFILL, _T.MIXED8_PREFILL),
    _told(
        "peft_trap",
        "PEFT as it comes ÷ PEFT without its lm_head trap, one prompt",
        _T.PEFT1_STOCK_PREFILL,
        _T.PEFT1_PREFILL,
    ),
    _told("polylora8", "÷ polylora, 8, decode", _T.POLYLORA8_DECODE, _T.MIXED8_DECODE),
    _told("polylora16", "÷ polylora, 16, decode", _T.POLYLORA16_DECODE, _T.MIXED16_DECODE),
    _faster(
        "sequential8",
        "÷ sequential set_adapter, 8, decode",
        (6.0, 7.0),
        _T.SEQUENTIAL8_DECODE,
        _T.MIXED8_DECODE,
    ),
    _faster(
        "sequential16",
        "÷ sequential set_adapter, 16, decode",
        (10.0, 12.0),
        _T.SEQUENTIAL16_DECODE,
        _T.MIXED16_DECODE,
    ),
    _faster(
        "vllm_prefill_heavy",
        "÷ vLLM with LoRA, end to end, prefill-heavy",
        (2.5, 4.0),
        _T.VLLM_PREFILL_HEAVY,
        _T.ENGINE_PREFILL_HEAVY,
    ),
    _faster(
        "vllm_decode_heavy",
        "÷ vLLM with LoRA, end to end, decode-heavy",
        (1.6, 2.5),
        _T.VLLM_DECODE_HEAVY,
        _T.ENGINE_DECODE_HEAVY,
    ),
    _faster(
        "transformers_decode_heavy",
        "÷ transformers continuous batching without LoRA, end to end",
        (1.1, 1.3),
        _T.TRANSFORMERS_DECODE_HEAVY,
        _T.ENGINE_DECODE_HEAVY,
    ),
    _told(
        "transformers_prefill_heavy",
        "the same, prefill-heavy, 16 adapters of rank 16",
        _T.TRANSFORMERS_PREFILL_HEAVY,
        _T.ENGINE_PREFILL_HEAVY,
    ),
    _cheaper(
        "unused_prefill",
        "LoRA on, unused: time ÷ base, prefill",
        (1.02, 1.00),
        _T.UNUSED_PREFILL,
        _T.BASE_PREFILL,
    ),
    _cheaper(
        "unused_decode",
        "LoRA on, unused: time ÷ base, decode",
        (1.02, 1.00),
        _T.UNUSED_DECODE,
        _T.BASE_DECODE,
    ),
    _faster(
        "registered",
        "8 → 1,000 registered adapters (Zipf 1.0, 8 slots): throughput kept",
        (0.90, 0.95),
        _T.REGISTERED8,
        _T.REGISTERED1000,
    ),
    _cheaper(
        "swap_step",
        "host → slot ÷ one decode step of 16 adapters",
        (0.05, 0.02),
        _T.SWAP,
        _T.MIXED16_DECODE,
    ),
    _cheaper("swap_load", "host → slot ÷ PEFT load_adapter", (1 / 15, 1 / 60), _T.SWAP, _T.PEFT_LOAD),
    _faster(
        "deterministic",
        "deterministic mode: throughput kept",
        (0.75, 0.90),
        _T.ENGINE_DECODE_HEAVY,
        _T.DETERMINISTIC_DECODE_HEAVY,
    ),
)

_ALL_LOGITS = {
    _T.MIXED8_PREFILL: _T.MIXED8_FULL_PREFILL,
    _T.MIXED8_DECODE: _T.MIXED8_FULL_DECODE,
    _T.MIXED16_PREFILL: _T.MIXED16_FULL_PREFILL,
    _T.MIXED16_DECODE: _T.MIXED16_FULL_DECODE,
}


def _twin(one: TimedGoal) -> TimedGoal:
    """The same with all logits computed on our side."""
    goal = one.goal
    return _told(f"{goal.key}_full", f"{goal.title}, all logits", one.above, _ALL_LOGITS[one.below])


_TWINS = tuple(_twin(one) for one in _JUDGED_AND_TOLD if one.below in _ALL_LOGITS and one.above != _T.SWAP)
TWIN_WORK = frozenset(_ALL_LOGITS.values())
"""What the twins need beside the rest."""
TIMED_GOALS = (*_JUDGED_AND_TOLD, *_TWINS)

FIRST_TOKEN_GOAL = _at_most(
    "oversubscribed", "16 hot adapters on 8 slots: p50 time to first token ÷ all resident", (1.5, 1.2)
)
GAP_GOAL = _at_most(
    "token_gap", "longest token gap of running rows while a cold adapter loads ÷ median step", (1.5, 1.1)
)
MEMORY_GOAL = _at_most("slot_bytes", "slot bytes ÷ adapter bytes, ranks 8/16/64 mixed", (1.25, 1.1))
STRANGERS_GOAL = _at_most(
    "deterministic_rows", "deterministic mode: rows that differ by a bit from the same alone", (0, 0)
)
BLEED_GOAL = _at_most("bleed", "rows that differ from the same run alone", (0, 0))
BLEED_ROWS = 10_000
"""How many rows the table wants to see none differ in."""
RELOAD_GOAL = _at_most("hot_reload", "hot reload: tokens from stale weights or stale KV", (0, 0))
CORPUS_GOAL = Goal(
    key="bad_adapters",
    title="bad-adapter corpus refused before a tier is touched, engine goes on: share",
    must=1.0,
    stretch=1.0,
)

FIGURE_GOALS = (
    FIRST_TOKEN_GOAL,
    GAP_GOAL,
    MEMORY_GOAL,
    STRANGERS_GOAL,
    BLEED_GOAL,
    RELOAD_GOAL,
    CORPUS_GOAL,
)
"""Goals for figures that are not a ratio of two timed kinds of work."""


def keys_that_need(work: Container[Timed]) -> tuple[str, ...]:
    """Of every row, twins too, that cannot be without this work."""
    return tuple(one.goal.key for one in TIMED_GOALS if one.above in work or one.below in work)
