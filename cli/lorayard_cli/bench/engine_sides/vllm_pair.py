"""vLLM for both traffics: a child for each, as its room for adapters is padded to the largest rank."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_report.costs import Timed
from lorayard_cli.bench.engine_sides.book import SMALL_ADAPTERS, SMALL_RANK, BenchAdapters, Book, Took
from lorayard_cli.bench.engine_sides.vllm_side import VllmSide
from lorayard_cli.bench.engine_sides.workload import ADAPTERS, RANK
from lorayard_cli.output import note


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmPair:
    """Loading from the moment they are made; one and the same in a hurry."""

    decode: VllmSide
    prefill: VllmSide
    first_of_prefill: int
    """Where that traffic's adapters begin in its side."""

    @property
    def _sides(self) -> tuple[VllmSide, ...]:
        return (self.decode,) if self.decode is self.prefill else (self.decode, self.prefill)

    def end(self) -> None:
        """Nothing more is asked of it: both cores belong to what comes after."""
        for side in self._sides:
            side.end()

    def await_ready(self, book: Book) -> None:
        """Until both have loaded."""
        note("waiting for vLLM to load")
        began = time.monotonic()
        for side in self._sides:
            side.await_ready()
        cpu = sum(side.load_cpu_seconds for side in self._sides)
        book.seconds["vLLM loads (CPU: its own)"] = Took(cpu=cpu, wall=time.monotonic() - began)
        book.versions["vllm_cpu"] = self.decode.versions["vllm"]


def start_vllm(book: Book, adapters: BenchAdapters, children: ExitStack) -> VllmPair | None:
    """None where there is no vLLM for the device. The adapters may be made while it loads."""
    plan = book.plan
    if plan.device != "cpu" or plan.vllm_python is None:
        return None

    def side(folders: list[Path], max_loras: int, max_rank: int) -> VllmSide:
        assert plan.vllm_python is not None
        log = book.scratch / f"vllm-{max_rank}.log"
        found = VllmSide(
            plan.vllm_python, book.model.folder, folders, max_loras=max_loras, max_rank=max_rank, log=log
        )
        return children.enter_context(found)

    if plan.sizes.one_vllm:
        both = side([*adapters.small, *adapters.large], ADAPTERS, RANK)
        book.times.tell(Timed.VLLM_DECODE_HEAVY, "vLLM with room for 16 adapters of rank 16 in both traffics")
        return VllmPair(decode=both, prefill=both, first_of_prefill=len(adapters.small))
    return VllmPair(
        decode=side(adapters.small, SMALL_ADAPTERS, SMALL_RANK),
        prefill=side(adapters.large, ADAPTERS, RANK),
        first_of_prefill=0,
    )
