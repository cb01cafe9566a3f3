"""One run of the bench: models are loaded once and shared, and vLLM loads while exact figures are taken."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Timed
from lorayard_cli.bench.engine_report.goals import (
    BLEED_GOAL,
    CORPUS_GOAL,
    FIRST_TOKEN_GOAL,
    GAP_GOAL,
    MEMORY_GOAL,
    RELOAD_GOAL,
    STRANGERS_GOAL,
)
from lorayard_cli.bench.engine_report.left_out import Means, left_out
from lorayard_cli.bench.engine_report.rows import Seen
from lorayard_cli.bench.engine_sides.bleed import measure_bleed
from lorayard_cli.bench.engine_sides.book import SMALL_ADAPTERS, BenchAdapters, Book, Took
from lorayard_cli.bench.engine_sides.deterministic import measure_strangers
from lorayard_cli.bench.engine_sides.end_to_end import DECODE_HEAVY, PREFILL_HEAVY, Leg, time_traffic
from lorayard_cli.bench.engine_sides.gaps import LOADS, forget_files, measure_gaps
from lorayard_cli.bench.engine_sides.memory import measure_memory
from lorayard_cli.bench.engine_sides.model import bench_model
from lorayard_cli.bench.engine_sides.modes import in_deterministic_mode, without_prefix_reuse
from lorayard_cli.bench.engine_sides.oversubscribed import measure_first_tokens
from lorayard_cli.bench.engine_sides.pace import Pace
from lorayard_cli.bench.engine_sides.packed import PackedSide
from lorayard_cli.bench.engine_sides.peft_side import PeftSide
from lorayard_cli.bench.engine_sides.plan import BenchPlan
from lorayard_cli.bench.engine_sides.polylora_side import PolyloraSide, has_polylora
from lorayard_cli.bench.engine_sides.refusals import measure_refusals
from lorayard_cli.bench.engine_sides.registered import time_registered
from lorayard_cli.bench.engine_sides.reload import measure_reload
from lorayard_cli.bench.engine_sides.rounds import StepSides, time_steps
from lorayard_cli.bench.engine_sides.serving import ServingSide
from lorayard_cli.bench.engine_sides.stock import StockSide
from lorayard_cli.bench.engine_sides.traffic import CONTEXT_TOKENS, Ask, decode_heavy, prefill_heavy
from lorayard_cli.bench.engine_sides.vllm_pair import VllmPair, start_vllm
from lorayard_cli.bench.engine_sides.workload import ADAPTERS, RANK, ROWS
from lorayard_cli.output import note
from lorayard_shared.heap import settle_heap
from lorayard_workers.engine.config import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen, on which model."""

    seen: Seen
    model: str
    parameters: int
    seconds: float
    screened_head: bool
    versions: Mapping[str, str]
    seconds_by_phase: Mapping[str, Took]


def measure(plan: BenchPlan) -> Measured:
    """Everything that this machine can measure. Raises CommandError for a model that does not exist."""
    pace = Pace(budget_seconds=plan.sizes.budget_seconds)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as name, ExitStack() as children:
        scratch = Path(name)
        book = Book(plan=plan, pace=pace, model=bench_model(scratch, plan.model), scratch=scratch)
        note(f"model: {book.model.name}")
        adapters = BenchAdapters.below(scratch, cold=plan.sizes.gap_rounds * LOADS)
        vllm = start_vllm(book, adapters, children)
        with book.phase("load models"):
            stock, packed = _step_sides(book)
        means = _means(plan, packed)
        book.reasons = left_out(means)
        with book.phase("make adapters"):
            adapters.make(packed.shapes)
        if not plan.end_to_end_only:
            _exact(book)
            _steps(book, packed, stock, adapters, vllm)
        del packed
        gc.collect()  # three models of 7 billion parameters are enough for a GPU
        _end_to_end(book, stock, adapters, vllm)
        return Measured(
            seen=book.seen,
            model=book.model.name,
            parameters=stock.parameters,
            seconds=pace.elapsed(),
            screened_head=means.screened_head,
            versions=book.versions,
            seconds_by_phase=book.seconds,
        )


def _means(plan: BenchPlan, packed: PackedSide) -> Means:
    return Means(
        on_cpu=plan.device == "cpu",
        vllm=plan.vllm_python is not None,
        polylora=has_polylora(),
        screened_head=packed.screens,
        end_to_end_only=plan.end_to_end_only,
    )


def _step_sides(book: Book) -> tuple[StockSide, PackedSide]:
    folder, plan, sizes = book.model.folder, book.plan, book.plan.sizes
    stock = StockSide(
        folder, plan.device, prompt_tokens=sizes.step_prompt_tokens, decode_steps=sizes.decode_steps
    )
    packed = PackedSide(
        folder, plan.device, prompt_tokens=sizes.step_prompt_tokens, decode_steps=sizes.decode_steps
    )
    return stock, packed


def _exact(book: Book) -> None:
    """What is the same however busy the machine is, and on every device."""
    sizes = book.plan.sizes
    if book.plan.device != "cpu":
        return
    note("rows in company beside the same alone")
    with book.phase("memory"):
        book.figures[MEMORY_GOAL.key] = measure_memory(sizes.memory_requests).figure
    with book.phase("bleed"):
        book.figures[BLEED_GOAL.key] = measure_bleed(sizes.bleed_requests).figure
    note("new versions under running rows")
    with book.phase("reload"):
        book.figures[RELOAD_GOAL.key] = measure_reload(sizes.reload_requests)
    note("the corpus of broken adapters")
    with book.phase("refusals"):
        book.figures[CORPUS_GOAL.key] = measure_refusals()


def _populations(book: Book) -> None:
    """Many adapters, on a small model."""
    sizes, pace = book.plan.sizes, book.pace
    if book.plan.device != "cpu":
        return
    model = bench_model(book.scratch / "population", sizes.population_model)
    note(f"eight adapters beside a thousand, on {model.name}")
    with book.phase("registered"):
        time_registered(
            model,
            book.scratch / "registered",
            book.times,
            adapters=sizes.registered_adapters,
            requests=sizes.registered_requests,
            rounds=pace.rounds(sizes.registered_rounds, leave_seconds=sizes.after_populations_seconds),
        )
    note("hot adapters on too few slots")
    with book.phase("oversubscribed"):
        book.figures[FIRST_TOKEN_GOAL.key] = measure_first_tokens(
            model,
            book.scratch / "hot",
            requests=sizes.hot_requests,
            rounds=pace.rounds(sizes.hot_rounds, leave_seconds=sizes.after_populations_seconds),
        )


def _steps(
    book: Book, packed: PackedSide, stock: StockSide, adapters: BenchAdapters, vllm: VllmPair | None
) -> None:
    """Everything but whole traffic. In a hurry the rows of many adapters are taken while vLLM loads."""
    sizes = book.plan.sizes
    hurried = sizes.budget_seconds is not None
    if vllm is not None and not hurried:
        vllm.await_ready(book)
    _populations(book)
    if vllm is not None and hurried:
        vllm.await_ready(book)
    with book.phase("load PEFT"):
        packed.load(adapters.large)
        peft = PeftSide(book.model.folder, adapters.large, book.plan.device)
    polylora = None
    if has_polylora():
        polylora = PolyloraSide(book.model.folder, adapters.large, book.plan.device)
    sides = StepSides(stock=stock, packed=packed, peft=peft, polylora=polylora)
    with book.phase("steps"):
        time_steps(
            sides,
            book.times,
            rounds=book.pace.rounds(sizes.step_rounds, leave_seconds=sizes.after_steps_seconds),
            sequential_rounds=sizes.sequential_rounds,
        )


def _end_to_end(book: Book, stock: StockSide, adapters: BenchAdapters, vllm: VllmPair | None) -> None:
    """Whole traffic, and what else is asked of engines that run."""
    alone = not book.plan.end_to_end_only
    if vllm is not None and not alone:
        vllm.await_ready(book)
    config = _serving_config(book.plan.device)
    folders = [*adapters.small, *adapters.large, *adapters.cold]
    with ExitStack() as engines:
        with book.phase("start engines"):
            engine = engines.enter_context(ServingSide(book.model.folder, folders, config))
            exact = _deterministic_side(book, adapters, config, engines) if alone else None
            settle_heap()  # as a worker does
        decode, prefill = _legs(book, engine, exact, stock, vllm)
        with book.phase("end to end"):
            left = book.plan.sizes.after_end_to_end_seconds if alone else 0
            rounds = book.pace.rounds(book.plan.sizes.end_to_end_rounds, leave_seconds=left)
            time_traffic((decode, prefill), book.times, rounds=rounds)
        if vllm is not None:
            vllm.end()
        if exact is not None:
            _gaps(book, engine, adapters.cold)
            _strangers(book, exact, decode.traffic.asks)


def _serving_config(device: str) -> EngineConfig:
    return without_prefix_reuse(
        EngineConfig(
            slots=ADAPTERS,
            max_rank=RANK,
            rows=ROWS,
            context_tokens=CONTEXT_TOKENS,
            device=device,
            json_schemas=False,  # seconds at start, and no request has one
        )
    )


def _legs(
    book: Book, engine: ServingSide, exact: ServingSide | None, stock: StockSide, vllm: VllmPair | None
) -> tuple[Leg, Leg]:
    """Decode-heavy traffic on the small adapters, prefill-heavy traffic on the large ones."""
    sizes = book.plan.sizes
    decode = Leg(
        traffic=decode_heavy(
            engine.tokenizer,
            sizes.decode_requests,
            longest_prompt=sizes.decode_longest_prompt,
            most_new=sizes.decode_most_new,
        ),
        kinds=DECODE_HEAVY,
        engine=engine,
        first_adapter=0,
        stock=stock.model,
        vllm=vllm.decode if vllm else None,
        others={Timed.DETERMINISTIC_DECODE_HEAVY: exact} if exact else {},
        others_rounds=sizes.deterministic_rounds,
    )
    prefill = Leg(
        traffic=prefill_heavy(engine.tokenizer, sizes.prefill_requests, new_tokens=sizes.prefill_new),
        kinds=PREFILL_HEAVY,
        engine=engine,
        first_adapter=SMALL_ADAPTERS,
        stock=stock.model,
        vllm=vllm.prefill if vllm else None,
        vllm_first_adapter=vllm.first_of_prefill if vllm else 0,
    )
    return decode, prefill


def _deterministic_side(
    book: Book, adapters: BenchAdapters, config: EngineConfig, engines: ExitStack
) -> ServingSide:
    """A second engine, of the decode-heavy traffic's adapters."""
    exact = in_deterministic_mode(config)
    return engines.enter_context(ServingSide(book.model.folder, adapters.small, exact))


def _gaps(book: Book, engine: ServingSide, cold: Sequence[Path]) -> None:
    sizes = book.plan.sizes
    note("rows that run while adapters come from disk")
    for folder in cold:
        forget_files(folder)
    settle_heap()  # what the other sides have left in this process, no worker has to walk over
    with book.phase("gaps"):
        book.figures[GAP_GOAL.key] = measure_gaps(
            engine,
            engine.digests[-len(cold) :],
            rounds=book.pace.rounds(sizes.gap_rounds, leave_seconds=sizes.after_gaps_seconds),
        )


def _strangers(book: Book, exact: ServingSide, asks: Sequence[Ask]) -> None:
    sizes = book.plan.sizes
    note("deterministic rows in company beside the same alone")
    company = [ask.shortened(sizes.stranger_most_new) for ask in asks[: sizes.stranger_company]]
    with book.phase("strangers"):
        book.figures[STRANGERS_GOAL.key] = measure_strangers(exact, company, compared=sizes.stranger_rows)
