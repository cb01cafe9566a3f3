"""The engine for real models: an engine thread for torch, a loader thread for everything else.

Shutdown: no more steps, then the loader, each joined; rows that have not ended get no outcome.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import structlog
import torch

from lorayard_shared.logs import Event
from lorayard_workers.adapters.wide import WideRoom
from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.core import CoreLimits, EngineCore
from lorayard_workers.engine.grammar import Grammars
from lorayard_workers.engine.merger import Merger
from lorayard_workers.engine.merging import Merged, merge
from lorayard_workers.engine.outcome import Outcome
from lorayard_workers.engine.packed_storage import open_packed_folder
from lorayard_workers.engine.prepare import Preparation, failure_of
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.engine.residency import Residency
from lorayard_workers.engine.residents import Residents
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner, RunnerSize
from lorayard_workers.engine.sizing import check_start_pins, fit_cache, fit_slots
from lorayard_workers.engine.telling import tell
from lorayard_workers.engine.token_feed import TokenFeed
from lorayard_workers.errors import AdapterUnknownError
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.layout import linear_shapes
from lorayard_workers.memory.loader import Loader, LoadResult
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.pins import Pins
from lorayard_workers.memory.reader import AdapterReader
from lorayard_workers.memory.recipes import Recipes
from lorayard_workers.pulse import Pulse

_log = structlog.stdlib.get_logger(__name__)

PATIENCE_SECONDS = 15.0
"""An idle engine looks at its work at least so often."""

MAX_FAILURES = 5
"""In a row: a bad batch fails one step, a device that has failed for good (CUDA errors stay) every one, and
with it every job that the yard sends here."""


class PackedEngine:
    """Continuous batching of many LoRA adapters over one base model; see `Engine`."""

    def __init__(
        self, model_folder: Path, adapters: Mapping[str, Path], config: EngineConfig | None = None
    ) -> None:
        """Loads the model; raises BaseModelError. `adapters` (digest -> folder) may change while it runs."""
        config = config or EngineConfig()
        if config.threads is not None:
            torch.set_num_threads(config.threads)  # before our threads start: they inherit it
        self._config = config
        self._adapters = adapters
        self._base = load_base_model(
            model_folder,
            precision=config.precision,
            device=config.torch_device,
            quantization=config.base_quantization,
        )
        self._room = fit_cache(self._base, config)
        self._context = self._room.context
        grammars = Grammars.of(self._base) if config.json_schemas else None
        self._preparation = Preparation(self._base, self._context, adapters, grammars)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._open: set[Row] = set()
        self._open_lock = threading.Lock()
        self._stopping = threading.Event()
        self._pulse = Pulse("packed-engine")
        self._pins = Pins(most=config.slots - 1, digests=config.pinned)
        self._host = HostTier(budget_bytes=config.host_bytes, needed=self._needed)
        self._recipes = Recipes()
        self._core = self._build_core()
        self._base_bytes = self._core.runner.base_bytes
        self._reader = reader = self._build_reader()
        self.packs = reader.packs  # whether a packed copy of an adapter lies on disk
        self._loader = Loader(
            read=reader.read,
            host=self._host,
            on_result=self._on_loaded,
            keep=None if reader.packed is None else reader.packed.put,
        )
        self._merger = Merger(
            read=self._adapter,
            merge=partial(
                merge, self._base, groups=self._core.runner.linears, files=self._core.runner.base_weights
            ),
            on_merged=self._on_merged,
            on_failed=self._on_merge_failed,
        )
        self._wishes = count(1)
        self._wish_lock = threading.Lock()  # whoever else hears of a wish hears in the inbox's order
        self._thread = threading.Thread(target=self._run, name="packed-engine", daemon=True)

    @property
    def base_digest(self) -> str:
        """Content digest of the base model."""
        return self._base.digest

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion: the least of model, setting and cache memory."""
        return self._context.tokens

    @property
    def tokenizer(self) -> Any:
        """The base model's, a transformers one; for callers who count tokens."""
        return self._base.tokenizer

    @property
    def linear_shapes(self) -> Mapping[str, tuple[int, int]]:
        """What adapters may target: module name -> (out, in)."""
        return linear_shapes(self._core.runner.layouts)

    @property
    def wide_room(self) -> WideRoom:
        """What an adapter may bring for the embedding and the head."""
        return WideRoom(
            modules=self._core.runner.wide_modules,
            bytes_each=self._config.wide_bytes // self._config.slots,
            itemsize=self._config.precision.dtype.itemsize,
            base_folder=self._base.folder,
        )

    def start(self) -> None:
        """Start both threads, and bring pinned adapters into slots.

        Raises CapacityError if those leave no room for others, AdapterRefusedError if one is unreadable.
        """
        check_start_pins(self._config, self._adapters, self._core.residents.slots)
        self._loader.start()
        self._thread.start()
        self._wake()  # pinned adapters are not asked for by any row

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End the threads after the step in progress. From a callback it waits only for the other threads."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)
        self._loader.stop(timeout_seconds)
        self._merger.stop(timeout_seconds)

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        """Queue a request; its prompt is turned into tokens on the loader thread."""
        feed = (
            None
            if on_tokens is None
            else TokenFeed(request.request_id, on_tokens, seconds=request.chunk_seconds)
        )
        row = Row(request=request, sink=sink, feed=feed)
        with self._open_lock:
            self._open.add(row)
        self._loader.run_soon(partial(self._prepare, row))

    def cancel(self, request_id: str) -> None:
        """End every open request of this id between two steps."""
        for row in self._open_rows(request_id):
            row.cancelled = True
        self._wake()

    def withdraw(self, request_id: str) -> None:
        """End open requests of this id that have not started."""
        for row in self._open_rows(request_id):
            row.withdrawn = True
        self._wake()

    def _open_rows(self, request_id: str) -> list[Row]:
        with self._open_lock:
            return [row for row in self._open if row.request.request_id == request_id]

    def prefetch(self, digest: str) -> None:
        """Bring an adapter to host memory."""
        if digest not in self._host:
            self._loader.prefetch(digest)  # at once, not after the step in progress
        self._inbox.put(partial(self._core.residents.fetch, digest))

    def dedicate(self, digest: str | None) -> None:
        """Fold an adapter into the weights, or (None) take the base model's own again."""
        with self._wish_lock:
            wish = next(self._wishes)
            self._inbox.put(partial(self._core.dedication.want, digest, wish=wish))
            self._merger.request(digest, wish=wish)

    def pin(self, digest: str) -> None:
        """Bring an adapter into a slot and keep it there. Raises CapacityError."""
        if digest not in self._adapters:
            _log.warning(Event.PIN_REFUSED, digest=digest, reason=str(AdapterUnknownError(digest)))
            return
        with self._wish_lock:
            self._pins.add(digest)
            self._inbox.put(partial(self._pin, digest))

    def unpin(self, digest: str) -> None:
        """Let it be evicted like any other."""
        with self._wish_lock:
            self._pins.discard(digest)
            self._inbox.put(partial(self._core.residents.unpin, digest))

    def weigh(self, doublings: Mapping[str, float]) -> None:
        """Have adapters leave later, or sooner."""
        self._host.worth.doublings = doublings

    def preload(self, digest: str) -> None:
        """Bring an adapter into a slot if that hurts no row."""
        self._inbox.put(partial(self._core.residents.preload, digest))

    def unload(self, digest: str) -> None:
        """Out of slot and host memory once no row needs it."""
        with self._wish_lock:
            self._pins.discard(digest)
            self._inbox.put(partial(self._core.residents.unload, digest))

    def residency(self) -> Residency:
        """The engine thread's last snapshot, with the loader's and the queue's state of now."""
        with self._open_lock:
            open_rows = len(self._open)
        snapshot = self._core.snapshot
        return replace(
            snapshot,
            host=self._host.digests(),
            loading=self._loader.loading(),
            queued=max(0, open_rows - snapshot.rows_running),
            disk_loads=self._loader.disk_loads,
            load_ms_disk=self._loader.load_ms,
            slot_bytes=self._core.runner.slot_bytes,
            host_bytes=self._host.used_bytes,
            base_bytes=self._base_bytes,
            kv_bytes=self._core.runner.cache.size_bytes,
            host_room=self._host.room,
            composes=True,
        )

    def alive(self) -> bool:
        """Whether both threads run, and not every step fails."""
        return self._thread.is_alive() and self._loader.alive() and self._core.failures < MAX_FAILURES

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """Of the engine thread, by steps, and of the loader, by prompts and tensors."""
        return (self._pulse, self._loader.pulse)

    def check(self) -> None:
        """The books agree; call it when no request is open. Raises InvariantError."""
        self._core.check()
        if not self._open:
            self._recipes.check_empty()

    # --- set-up

    def _build_core(self) -> EngineCore:
        config = self._config
        slots = fit_slots(self._base, config, self._host.worth)
        size = RunnerSize(
            columns=slots.column_count,
            rows=config.rows,
            row_tokens=self._context.tokens,
            kv_blocks=self._room.blocks,
            deterministic=config.deterministic,
            screened_head=config.screened_head,
        )
        runner = ModelRunner(self._base, size)
        if config.costs_dir is not None:
            runner.measure_lora_costs(config.costs_dir)
        return EngineCore(
            runner=runner,
            residents=Residents(
                runner=runner,
                slots=slots,
                host=self._host,
                ageing_seconds=config.ageing_seconds,
                request_load=lambda digest: self._loader.load(digest),
                request_prefetch=lambda digest: self._loader.prefetch(digest),
                loading=lambda: self._loader.loading(),  # made after the core
                on_pin_dropped=self._pins.discard,
            ),
            limits=CoreLimits.of(config, row_tokens=self._context.tokens),
            on_end=self._on_end,
        )

    def _build_reader(self) -> AdapterReader:
        config, layouts = self._config, self._core.runner.layouts
        return AdapterReader(
            folders=self._adapters,
            layouts=layouts,
            dtype=config.precision.dtype,
            max_rank=config.max_rank,
            wide=self.wide_room,
            base=self._core.runner.base_weights,
            storage=config.adapter_storage,
            packed=open_packed_folder(config, self._base.digest, layouts),
            recipes=self._recipes,
            pause=lambda: self._loader.run_tasks(),  # made after the reader
        )

    # --- loader thread

    def _prepare(self, row: Row) -> None:
        try:
            outcome = row.ended_unstarted(time.time())
            if outcome is None:
                self._preparation.prepare(row)
        except Exception as error:  # noqa: BLE001  # whatever it is, the request must hear of it
            outcome = failure_of(row, error)
        if outcome is not None:
            self._on_end(row, outcome)
        else:
            self._recipes.hold(row.kv_key, row.request.composition, row)
            # Those of rows far down the line are asked for in turn.
            missing = self._core.claim_missing(row) if len(self._open) <= self._config.rows else []
            self._inbox.put(partial(self._core.add, row))
            for digest in missing:  # at once, not after the step in progress: a prefetch could come before it
                self._loader.load(digest)

    def _needed(self) -> frozenset[str]:
        """Adapters of all open requests, their prompts prepared or not."""
        with self._open_lock:
            return frozenset(part for row in self._open for part in row.parts)

    def _on_loaded(self, result: LoadResult) -> None:
        self._inbox.put(partial(self._core.loaded, result))

    # --- merger thread

    def _adapter(self, digest: str) -> HostAdapter:
        return self._host.get(digest) or self._reader.read(digest)

    def _on_merged(self, merged: Merged) -> None:
        self._inbox.put(partial(self._core.merged, merged))

    def _on_merge_failed(self, wish: int) -> None:
        self._inbox.put(partial(self._core.dedication.failed, wish))

    # --- engine thread

    def _pin(self, digest: str) -> None:
        if digest in self._pins:  # else it has been taken back, or dropped with an earlier wish
            self._core.residents.pin(digest)

    def _run(self) -> None:
        more = False
        with torch.inference_mode():
            while not self._stopping.is_set():
                try:
                    self._take_inbox(wait_seconds=0.0 if more else self._patience_seconds())
                    self._pulse.mark("a step")
                    more = not self._stopping.is_set() and self._core.step()
                except Exception as error:  # noqa: BLE001  # the thread must outlive any fault: others depend on it
                    _log.exception(Event.ENGINE_LOOP_FAILED)
                    self._core.fail_all(error)
                    more = False

    def _take_inbox(self, *, wait_seconds: float) -> None:
        """Handle everything that has arrived; wait up to `wait_seconds` for the first."""
        self._pulse.rest()
        with suppress(Empty):
            task = self._inbox.get(timeout=wait_seconds) if wait_seconds else self._inbox.get_nowait()
            while True:
                self._pulse.mark("news of rows and adapters")
                task()
                task = self._inbox.get_nowait()

    def _patience_seconds(self) -> float:
        if (deadline := self._core.next_deadline()) is None:
            return PATIENCE_SECONDS
        return min(PATIENCE_SECONDS, max(0.0, deadline - time.time()))

    def _wake(self) -> None:
        self._inbox.put(_nothing)

    def _on_end(self, row: Row, outcome: Outcome) -> None:
        with self._open_lock:
            self._open.discard(row)
        try:
            self._recipes.release(row.kv_key, row)  # first: who has the outcome may ask for the books
        finally:
            tell(row.sink, outcome)


def _nothing() -> None:
    """Only ends a wait."""
