"""transformers' continuous batching, which knows no adapters: the base model's throughput."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from transformers import ContinuousBatchingConfig, GenerationConfig

from lorayard_cli.bench.engine_report.costs import Cost, process_cost_of
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.traffic import CONTEXT_TOKENS, Traffic
from lorayard_cli.bench.engine_sides.workload import ROWS

_PAGE_TOKENS = 256
"""Its default."""
_BATCH_TOKENS = 512
"""Tokens per step: what the engine takes too."""
_RESULT_SECONDS = 300.0
"""Only a hang waits this long."""


class ContinuousSide:
    """A manager over a stock model, its thread running; ended when left. Never use it in inference mode."""

    def __init__(self, model: Any) -> None:
        config = ContinuousBatchingConfig(
            page_size=_PAGE_TOKENS,
            num_blocks=ROWS * (CONTEXT_TOKENS // _PAGE_TOKENS),
            max_batch_tokens=_BATCH_TOKENS,
            max_requests_per_batch=ROWS,
            allow_block_sharing=False,  # rounds repeat their prompts
        )
        greedy: Any = GenerationConfig(do_sample=False, eos_token_id=-1, max_new_tokens=1)
        self._manager = model.init_continuous_batching(
            generation_config=greedy, continuous_batching_config=config
        )

    def __enter__(self) -> Self:
        self._manager.start()
        self._answer([((5, 6, 7), 1)])  # its cache is made by the first request
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.stop(block=True, timeout=_RESULT_SECONDS, hard_stop=kind is not None)
        self._manager.destroy()

    def run(self, traffic: Traffic) -> Cost:
        """All requests, from the first to the last result."""
        made: list[int] = []
        asks = [(ask.ids, ask.new_tokens) for ask in traffic.asks]
        cost = process_cost_of(lambda: made.extend(self._answer(asks)))
        if sum(made) != traffic.new_tokens:
            raise SideFaultError(f"transformers: {sum(made)} tokens of {traffic.new_tokens}")
        return cost

    def _answer(self, asks: list[tuple[tuple[int, ...], int]]) -> list[int]:
        """How many tokens each request brought, in the order of their ends."""
        for ids, new_tokens in asks:
            self._manager.add_request(list(ids), max_new_tokens=new_tokens, eos_token_id=-1)
        made: list[int] = []
        for _ in asks:
            found = self._manager.get_result(timeout=_RESULT_SECONDS)
            if found is None or found.error is not None:
                raise SideFaultError(f"transformers: {None if found is None else found.error}")
            made.append(len(found.generated_tokens))
        return made
