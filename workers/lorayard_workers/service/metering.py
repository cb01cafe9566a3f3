"""What a worker's `/metrics` shows: jobs counted as they end, all else read from what is there.

Made only where a port is set: without one, no job pays for it.
"""

from __future__ import annotations

from collections import Counter

from lorayard_schemas.result import ResultState
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.histogram import Histogram
from lorayard_shared.metrics.labels import BASE_LABELS, COMPOSITION_LABELS, AdapterLabels, Labels
from lorayard_shared.metrics.readings import Readings
from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded, Tier
from lorayard_workers.engine.residency import Residency
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.outcomes import result_state

RETRIED = "retried"
MOST_CODES = 64
"""Codes are ours and few; an engine of somebody else's may make them up."""


class _OfAdapter:
    """Counts of one adapter's jobs."""

    __slots__ = ("latency", "outcomes", "starts", "written")

    def __init__(self) -> None:
        # Failures are shown from the first job on: Prometheus takes the first value of a series for its
        # beginning, so that a rate would not see the first failure of an adapter.
        self.outcomes = Counter[str]({ResultState.SUCCEEDED: 0, ResultState.FAILED: 0})
        self.starts = Counter[str]()
        self.latency = Histogram(declared.LATENCY)
        self.written = 0


class WorkerMeter:
    """Counts of one worker's jobs, on its event loop.

    Each job comes by here: one look-up finds all counts of its adapter, and members of enumerations are keys
    as they are, for their `value` costs more than the counting.
    """

    def __init__(self, most_adapters: int) -> None:
        self._labels = AdapterLabels(most_adapters)
        self._adapters: dict[Labels, _OfAdapter] = {}
        self._errors = Counter[str]()
        waited_for = (Tier.HOST, Tier.DISK)
        self._loads: dict[str, Histogram] = {tier: Histogram(declared.LOAD) for tier in waited_for}
        self._first_token = Histogram(declared.FIRST_TOKEN)
        self._prompt_tokens = self._cached_tokens = 0
        self._row_ms = self._swap_ms = 0.0

    def ended(self, held: HeldJob, outcome: Outcome) -> None:
        """A job has its result."""
        adapter = self._of(held)
        if isinstance(outcome, Succeeded):
            self._succeeded(adapter, held.assigned.waited_ms, outcome)
            return
        adapter.outcomes[result_state(outcome)] += 1
        if isinstance(outcome, Failed):
            self._failed(outcome)

    def retried(self, held: HeldJob, failed: Failed) -> None:
        """A job is to be tried again."""
        self._of(held).outcomes[RETRIED] += 1
        self._failed(failed)

    def _succeeded(self, adapter: _OfAdapter, waited_ms: float, outcome: Succeeded) -> None:
        timings = outcome.timings
        load_ms = timings.load_ms
        adapter.outcomes[ResultState.SUCCEEDED] += 1
        adapter.starts[outcome.tier] += 1
        adapter.latency.observe((waited_ms + timings.total_ms) / 1000)
        adapter.written += outcome.completion_tokens
        self._first_token.observe(timings.first_token_ms / 1000)
        self._prompt_tokens += outcome.prompt_tokens
        self._cached_tokens += outcome.cached_tokens
        if timings.queued_ms > load_ms:
            self._row_ms += timings.queued_ms - load_ms
        if load_ms:
            self._swap_ms += load_ms
            load = self._loads.get(outcome.tier)
            if load is None:
                load = self._loads[outcome.tier] = Histogram(declared.LOAD)
            load.observe(load_ms / 1000)

    def _failed(self, failed: Failed) -> None:
        known = failed.code in self._errors or len(self._errors) < MOST_CODES
        self._errors[failed.code if known else declared.OTHER] += 1

    def _of(self, held: HeldJob) -> _OfAdapter:
        assigned = held.assigned
        if assigned.composition is not None:
            key = COMPOSITION_LABELS
        elif (ref := assigned.adapter) is None:
            key = BASE_LABELS
        else:
            key = (ref.name, ref.version)
        known = self._adapters.get(key)
        return self._adapters.setdefault(self._labels.of(*key), _OfAdapter()) if known is None else known

    def read(self, readings: Readings) -> None:
        """All counts, as of now."""
        for labels, counts in self._adapters.items():
            outcomes, starts = counts.outcomes.items(), counts.starts.items()
            readings.put_all(declared.REQUESTS, [((*labels, word), count) for word, count in outcomes])
            readings.put_all(declared.STARTS, [((*labels, tier), count) for tier, count in starts])
        ran = {labels: counts for labels, counts in self._adapters.items() if counts.starts}
        written = [(labels, counts.written) for labels, counts in ran.items()]
        readings.put_all(declared.COMPLETION_TOKENS, written)
        readings.put_histograms(declared.LATENCY, {labels: counts.latency for labels, counts in ran.items()})
        readings.put_all(declared.ERRORS, [((code,), count) for code, count in self._errors.items()])
        readings.put_histograms(declared.LOAD, {(tier,): loads for tier, loads in self._loads.items()})
        readings.put_histograms(declared.FIRST_TOKEN, {(): self._first_token})
        readings.put(declared.ROW_WAIT, self._row_ms / 1000, "row")
        readings.put(declared.ROW_WAIT, self._swap_ms / 1000, "swap")
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
        (declared.MEMORY, "base", found.base_bytes),
        (declared.MEMORY, "kv", found.kv_bytes),
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
