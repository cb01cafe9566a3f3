"""What a worker's `/metrics` shows: jobs counted as they end, all else read from what is there.

Made only where a port is set: without one, no job pays for it.
"""

from __future__ import annotations

from collections import Counter

from lorayard_shared.metrics import declared
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import AdapterLabels, Labels
from lorayard_shared.metrics.metric import Metric
from lorayard_shared.metrics.readings import Readings
from lorayard_workers.engine.protocol import Failed, Outcome, Residency, Succeeded
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.outcomes import result_state

RETRIED = "retried"
MOST_CODES = 64
"""Codes are ours and few; an engine of somebody else's may make them up."""

_ROW = ("row",)
_SWAP = ("swap",)


class WorkerMeter:
    """Counts of one worker's jobs, on its event loop."""

    def __init__(self, most_adapters: int) -> None:
        self._labels = AdapterLabels(most_adapters)
        self._outcomes = Counter[Labels]()
        self._starts = Counter[Labels]()
        self._written = Counter[Labels]()
        self._errors = Counter[Labels]()
        self._waited = Counter[Labels]()
        self._latency: dict[Labels, Histogram] = {}
        self._loads: dict[Labels, Histogram] = {}
        self._first_token = Histogram(declared.FIRST_TOKEN)
        self._prompt_tokens = self._cached_tokens = 0

    def ended(self, held: HeldJob, outcome: Outcome) -> None:
        """A job has its result."""
        adapter = self._adapter(held)
        self._outcomes[(*adapter, result_state(outcome).value)] += 1
        if isinstance(outcome, Succeeded):
            self._succeeded(adapter, held.assigned.waited_ms, outcome)
        elif isinstance(outcome, Failed):
            self._failed(outcome)

    def retried(self, held: HeldJob, failed: Failed) -> None:
        """A job is to be tried again."""
        self._outcomes[(*self._adapter(held), RETRIED)] += 1
        self._failed(failed)

    def _succeeded(self, adapter: Labels, waited_ms: float, outcome: Succeeded) -> None:
        timings, tier = outcome.timings, outcome.tier.value
        latency = self._latency.get(adapter)
        if latency is None:
            latency = self._latency[adapter] = Histogram(declared.LATENCY)
        latency.observe((waited_ms + timings.total_ms) / 1000)
        self._first_token.observe(timings.first_token_ms / 1000)
        self._starts[(*adapter, tier)] += 1
        self._written[adapter] += outcome.completion_tokens
        self._prompt_tokens += outcome.prompt_tokens
        self._cached_tokens += outcome.cached_tokens
        self._waited[_ROW] += max(0.0, timings.queued_ms - timings.load_ms) / 1000  # type: ignore[assignment]  # a sum of seconds
        if timings.load_ms:
            self._waited[_SWAP] += timings.load_ms / 1000  # type: ignore[assignment]  # likewise
            load = self._loads.get((tier,))
            if load is None:
                load = self._loads[(tier,)] = Histogram(declared.LOAD)
            load.observe(timings.load_ms / 1000)

    def _failed(self, failed: Failed) -> None:
        code = (failed.code,)
        self._errors[
            code if code in self._errors or len(self._errors) < MOST_CODES else (declared.OTHER,)
        ] += 1

    def _adapter(self, held: HeldJob) -> Labels:
        assigned = held.assigned
        if assigned.composition is not None:
            return self._labels.of(declared.COMPOSITION)
        if (ref := assigned.adapter) is None:
            return self._labels.of(declared.BASE)
        return self._labels.of(ref.name, ref.version)

    def read(self, readings: Readings) -> None:
        """All counts, as of now."""
        counters: tuple[tuple[Metric, Counter[Labels]], ...] = (
            (declared.REQUESTS, self._outcomes),
            (declared.STARTS, self._starts),
            (declared.COMPLETION_TOKENS, self._written),
            (declared.ERRORS, self._errors),
            (declared.ROW_WAIT, self._waited),
        )
        for metric, counter in counters:
            readings.put_all(metric, counter.items())
        readings.put_histograms(declared.LATENCY, self._latency)
        readings.put_histograms(declared.LOAD, self._loads)
        readings.put_histograms(declared.FIRST_TOKEN, {(): self._first_token})
        readings.put(declared.PROMPT_TOKENS, self._prompt_tokens)
        readings.put(declared.CACHED_TOKENS, self._cached_tokens)


def read_residency(readings: Readings, found: Residency) -> None:
    """What an engine tells of its adapters, rows and cache."""
    for metric, state, value in (
        (declared.ROWS, "running", found.rows_running),
        (declared.ROWS, "all", found.rows_max),
        (declared.SLOTS, "used", len(found.slots)),
        (declared.SLOTS, "all", found.slot_count),
        (declared.ADAPTERS, "slot", len(found.slots)),
        (declared.ADAPTERS, "host", len(found.host)),
        (declared.ADAPTERS, "pinned", len(found.pinned)),
        (declared.ADAPTERS, "loading", len(found.loading)),
        (declared.MEMORY, "slot", found.slot_bytes),
        (declared.MEMORY, "host", found.host_bytes),
        (declared.KV_BLOCKS, "used", found.kv_blocks_used),
        (declared.KV_BLOCKS, "all", found.kv_blocks),
        (declared.REGRETS, "in_use_lately", found.evicted_in_use_lately),
        (declared.REGRETS, "wanted_again", found.evicted_wanted_again),
    ):
        readings.put(metric, value, state)
    for metric, value in (
        (declared.QUEUED, found.queued),
        (declared.ROWS_STARTED, found.adapter_rows),
        (declared.SLOT_HITS, found.slot_hits),
        (declared.SLOT_LOADS, found.slot_loads),
        (declared.DISK_LOADS, found.disk_loads),
        (declared.EVICTIONS, found.evictions),
        (declared.PREFIX_HITS, found.prefix_hits),
        (declared.PREFIX_TOKENS, found.prefix_tokens),
        (declared.PREEMPTIONS, found.preemptions),
    ):
        readings.put(metric, value)
    if (steps := found.steps) is not None:
        readings.put_counts(declared.STEPS, steps.times)
        readings.put(declared.STEP_TOKENS, steps.tokens)
