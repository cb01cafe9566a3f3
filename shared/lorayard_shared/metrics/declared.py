"""Every metric of the yard: name, kind, unit, labels, meaning, and whose port has it.

What is exposed, the table in docs/metrics.md, and the names that alerts may use all come from this file.
Labels are bounded. `adapter` and `version` are told apart up to `LORAYARD_METRICS_ADAPTERS` of them, and the
rest is `other`; the base model is `base`, a request with several adapters `composition`. `tenant` is a label
of few metrics, up to `LORAYARD_METRICS_TENANTS` of them.

Long, as a flat table is.
"""

from __future__ import annotations

from lorayard_shared.metrics.metric import Kind, Metric, Source

BASE = "base"
COMPOSITION = "composition"
OTHER = "other"

WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0)
"""The default wait bounds of the four lanes are bounds here, so that "over its bound" can be read off."""
LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Per adapter: each bound costs a line for each. From a word on a GPU to a long answer on a CPU."""
TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOAD_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The alerts' thresholds, 0.1 and 1 s, are bounds: a quantile across them is exact."""
STEP_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
PLAN_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
"""0.02 s is an alert's threshold."""
HTTP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)

_ADAPTER = ("adapter", "version")


def _counter(name: str, source: Source, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=text, source=source, labels=labels, unit=unit)


def _gauge(name: str, source: Source, text: str, *labels: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=text, source=source, labels=labels, unit=unit)


def _seconds(name: str, source: Source, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(
        name=name,
        kind=Kind.HISTOGRAM,
        help=text,
        source=source,
        labels=labels,
        unit="seconds",
        buckets=buckets,
    )


# ---- every process

_E = Source.EVERY
PROCESS_INFO = _gauge("lorayard_process_info", _E, "1, with what the process is.", "part", "name", "release")
PROCESS_ANSWERS = _gauge(
    "lorayard_process_answers", _E, "1: its event loop answered this scrape within 2 s; 0: it is blocked."
)
BUS_CONNECTED = _gauge("lorayard_bus_connected", _E, "1 while its connection to the bus is up.")
BUS_RECONNECTS = _counter("lorayard_bus_reconnects_total", _E, "Times the bus came back to it.")
BUS_DISCONNECTS = _counter("lorayard_bus_disconnects_total", _E, "Times the bus went away from it.")
BUS_ERRORS = _counter("lorayard_bus_errors_total", _E, "Errors that its connection reported.")
BUS_BUFFERED = _gauge(
    "lorayard_bus_buffered_bytes", _E, "Written and not yet sent: grows while the bus is slow.", unit="bytes"
)

# ---- the dispatcher

_D = Source.DISPATCHER
ACTIVE = _gauge("lorayard_dispatcher_active", _D, "1 while it may give out jobs; 0: it stands by.")
TAKEN = _counter("lorayard_dispatcher_taken_total", _D, "Deliveries read from the streams.")
REDELIVERIES = _counter(
    "lorayard_dispatcher_redeliveries_total", _D, "Of those, deliveries that were not a job's first."
)
PARKED = _gauge(
    "lorayard_dispatcher_parked_jobs", _D, "Jobs that wait in it.", "adapter", "version", "lane", unit="jobs"
)
PARKED_OLDEST = _gauge(
    "lorayard_dispatcher_parked_oldest_seconds",
    _D,
    "Age of the oldest job that waits in it.",
    "adapter",
    "version",
    "lane",
    unit="seconds",
)
HELD = _gauge(
    "lorayard_dispatcher_held_jobs",
    _D,
    "Jobs kept back in it: struck, paused, capped, or over a rate (`limited`).",
    "reason",
    unit="jobs",
)
DECISIONS = _counter(
    "lorayard_dispatcher_decisions_total",
    _D,
    "Hand-overs by what decided (`phase`) and where the adapter must come from (`source`); all but `slot`"
    " cost a load.",
    "phase",
    "source",
)
HANDED = _counter("lorayard_dispatcher_jobs_total", _D, "Jobs handed over.", *_ADAPTER)
COLD = _counter(
    "lorayard_dispatcher_cold_jobs_total", _D, "Of those, jobs whose hand-over cost a load.", *_ADAPTER
)
LOAD_TIME = _counter(
    "lorayard_dispatcher_load_seconds_total",
    _D,
    "Of workers, that those loads were expected to cost, by what decided. `overdue` has a budget"
    " (`LORAYARD_OVERDUE_SHARE` of the workers' time).",
    "phase",
    unit="seconds",
)
WAIT = _seconds(
    "lorayard_dispatcher_wait_seconds",
    _D,
    "From publish to hand-over, by lane.",
    WAIT_BUCKETS,
    "lane",
)
ADAPTER_WAITED = _counter(
    "lorayard_dispatcher_adapter_waited_seconds_total",
    _D,
    "The same, summed over the jobs of an adapter: over its jobs handed over, the mean.",
    *_ADAPTER,
    unit="seconds",
)
TENANT_JOBS = _counter("lorayard_dispatcher_tenant_jobs_total", _D, "Jobs handed over.", "tenant")
TENANT_WAITED = _counter(
    "lorayard_dispatcher_tenant_waited_seconds_total",
    _D,
    "From publish to hand-over, summed over those.",
    "tenant",
    unit="seconds",
)
OVERDUE = _gauge(
    "lorayard_dispatcher_overdue_jobs",
    _D,
    "Jobs that wait past the bound of their lane, or too long for their deadline.",
    "lane",
    unit="jobs",
)
BACKLOG = _gauge(
    "lorayard_dispatcher_backlog_seconds",
    _D,
    "For how long all rows of all workers would be busy with what waits in it, by what jobs took lately."
    " Without a worker: one row.",
    "lane",
    unit="seconds",
)
WAITED = _counter(
    "lorayard_dispatcher_waited_job_seconds_total",
    _D,
    "Time that jobs spent waiting, by what would have let them go: `worker` (none serves it, or all rows are"
    " taken), `swap` (its adapter is on no slot), `fairness` (others have had less), `limit` (a rate, quota,"
    " cap, pause or strike), `plan` (the next plan). Looked at each second, of up to 32 queues in turn.",
    "cause",
    unit="seconds",
)
PLAN = _seconds("lorayard_dispatcher_plan_seconds", _D, "To make one plan.", PLAN_BUCKETS)
DRAINS = _counter("lorayard_dispatcher_drains_total", _D, "Slots that plans had drained for another adapter.")
PREFETCHES = _counter(
    "lorayard_dispatcher_prefetches_total",
    _D,
    "Adapters that workers were asked to stage in host memory, and what came of it.",
    "outcome",
)
RETURNED = _counter(
    "lorayard_dispatcher_returned_jobs_total", _D, "Jobs that a worker did not take, by its reason.", "reason"
)
FORCED = _counter(
    "lorayard_dispatcher_forced_jobs_total", _D, "Jobs refused twice and sent to a home anyway."
)
LAPSED = _counter("lorayard_dispatcher_lapsed_jobs_total", _D, "Jobs whose worker let their lease run out.")
ANSWERED = _counter(
    "lorayard_dispatcher_answered_jobs_total",
    _D,
    "Jobs answered without a worker: refused, expired, cancelled.",
)
REFUSED = _counter(
    "lorayard_dispatcher_refused_jobs_total", _D, "Jobs over a limit, or shed, by which.", "limit"
)
VIEW_AGE = _gauge(
    "lorayard_dispatcher_view_age_seconds",
    _D,
    "Since the worker that was silent longest was last heard.",
    unit="seconds",
)
STALE = _gauge(
    "lorayard_dispatcher_stale_workers", _D, "Workers not heard for longer than a beat and a half."
)
BLIND = _gauge("lorayard_dispatcher_blind", _D, "1 while most workers are not heard.")
FAIRNESS_GAP = _gauge(
    "lorayard_dispatcher_fairness_gap_tokens",
    _D,
    "Between the most and the least served tenant of those that wait.",
    unit="tokens",
)
FAIRNESS_BOUND = _gauge(
    "lorayard_dispatcher_fairness_bound_tokens",
    _D,
    "What that gap may be: twice the quantum and the costliest job.",
    unit="tokens",
)
REPLICAS = _gauge(
    "lorayard_dispatcher_adapter_replicas", _D, "Workers that hold the adapter in a slot.", *_ADAPTER
)
MISPLACED = _gauge("lorayard_dispatcher_misplaced_adapters", _D, "Declared placements that do not hold.")
SLOT_PRESSURE = _gauge(
    "lorayard_dispatcher_slot_pressure_ratio",
    _D,
    "Adapters with jobs that wait or run, over all adapter slots: above 1, slots are short and not rows.",
)
AUDIT_LOST = _counter("lorayard_dispatcher_audit_lost_total", _D, "Audit records known not to be stored.")
FAILURES = _counter("lorayard_dispatcher_failures_total", _D, "Its own tasks that ended unexpectedly.")

# ---- the worker

_W = Source.WORKER
REQUESTS = _counter(
    "lorayard_worker_requests_total",
    _W,
    "Jobs ended here: succeeded, failed, cancelled, expired; or retried, to be tried again.",
    *_ADAPTER,
    "outcome",
)
LATENCY = _seconds(
    "lorayard_worker_request_seconds",
    _W,
    "Of jobs that succeeded, from publish to the whole text.",
    LATENCY_BUCKETS,
    *_ADAPTER,
)
FIRST_TOKEN = _seconds(
    "lorayard_worker_first_token_seconds",
    _W,
    "Of jobs that succeeded, from arrival here to the first token.",
    TOKEN_BUCKETS,
)
STARTS = _counter(
    "lorayard_worker_starts_total",
    _W,
    "Rows of jobs that succeeded, by where their adapter was: slot and merged are hits, host was staged,"
    " disk was not.",
    *_ADAPTER,
    "tier",
)
ROW_WAIT = _counter(
    "lorayard_worker_waited_seconds_total",
    _W,
    "Time that jobs spent here before their row started: `row` for a free one, `swap` for the adapter.",
    "cause",
    unit="seconds",
)
LOAD = _seconds(
    "lorayard_worker_load_seconds",
    _W,
    "That a job waited for its adapter, by where it was: host is a swap, disk a load.",
    LOAD_BUCKETS,
    "tier",
)
ERRORS = _counter("lorayard_worker_errors_total", _W, "Attempts that failed, by code.", "code")
PROMPT_TOKENS = _counter("lorayard_worker_prompt_tokens_total", _W, "Prompt tokens.", unit="tokens")
CACHED_TOKENS = _counter(
    "lorayard_worker_cached_tokens_total", _W, "Of those, taken from the prefix cache.", unit="tokens"
)
COMPLETION_TOKENS = _counter(
    "lorayard_worker_completion_tokens_total", _W, "Tokens written.", *_ADAPTER, unit="tokens"
)
ROWS = _gauge("lorayard_worker_rows", _W, "Rows: running, and as many as there can be.", "state", unit="rows")
JOBS_HELD = _gauge("lorayard_worker_held_jobs", _W, "Jobs it holds a lease of.", unit="jobs")
QUEUED = _gauge("lorayard_worker_queued_rows", _W, "Submitted to the engine, and not started.", unit="rows")
SLOTS = _gauge("lorayard_worker_slots", _W, "Adapter slots: used, and all.", "state")
ADAPTERS = _gauge(
    "lorayard_worker_adapters", _W, "Adapters it has, by tier: slot, host, pinned; loading to come.", "tier"
)
MEMORY = _gauge(
    "lorayard_worker_memory_bytes",
    _W,
    "Taken by adapters in slots and in host memory (`slot`, `host`), the base model, the KV cache (`kv`).",
    "tier",
    unit="bytes",
)
KV_BLOCKS = _gauge("lorayard_worker_kv_blocks", _W, "Blocks of the KV cache: used, and all.", "state")
ROWS_STARTED = _counter("lorayard_worker_adapter_rows_total", _W, "Rows started with an adapter.")
SLOT_HITS = _counter("lorayard_worker_slot_hits_total", _W, "Of those, rows whose adapter was in a slot.")
SLOT_LOADS = _counter("lorayard_worker_swaps_total", _W, "Copies of an adapter into a slot.")
DISK_LOADS = _counter("lorayard_worker_disk_loads_total", _W, "Adapters read from disk into host memory.")
EVICTIONS = _counter("lorayard_worker_evictions_total", _W, "Adapters that left a slot for another.")
REGRETS = _counter(
    "lorayard_worker_regretted_evictions_total",
    _W,
    "Of those, adapters that had been used within 10 s, or were wanted again within 10 s.",
    "kind",
)
STEPS = _seconds("lorayard_worker_step_seconds", _W, "One step of the engine.", STEP_BUCKETS)
STEP_TOKENS = _counter(
    "lorayard_worker_step_tokens_total",
    _W,
    "Tokens that steps computed, of prompts and answers.",
    unit="tokens",
)
PREFIX_HITS = _counter(
    "lorayard_worker_prefix_hits_total", _W, "Rows that began with blocks of earlier rows."
)
PREFIX_TOKENS = _counter(
    "lorayard_worker_prefix_tokens_total", _W, "Tokens they did not compute.", unit="tokens"
)
PREEMPTIONS = _counter(
    "lorayard_worker_preemptions_total", _W, "Rows that gave their blocks back and were computed again."
)
DRAINING = _gauge("lorayard_worker_draining", _W, "1 while it takes no more jobs.")
EMERGENCY = _gauge("lorayard_worker_emergency", _W, "1 while it hears no dispatcher and pulls by itself.")

# ---- the gateway

_G = Source.GATEWAY
HTTP_REQUESTS = _counter("lorayard_gateway_requests_total", _G, "HTTP requests answered.", "path", "status")
HTTP_SECONDS = _seconds(
    "lorayard_gateway_request_seconds", _G, "Until the answer, or its stream, begins.", HTTP_BUCKETS, "path"
)

# ---- the exporter: what the bus has, whoever of us lives

_X = Source.EXPORTER
YARD_UP = _gauge("lorayard_yard_up", _X, "1: the bus answered the last look.")
QUEUE = _gauge(
    "lorayard_yard_queue_jobs",
    _X,
    "Jobs without a result, those at workers included, by the adapter they name (`unnamed`: none) and lane.",
    "adapter",
    "lane",
    unit="jobs",
)
QUEUE_OLDEST = _gauge(
    "lorayard_yard_queue_oldest_seconds",
    _X,
    "Age of the oldest of them; looked at each 5 s, of up to 256 queues in turn.",
    "adapter",
    "lane",
    unit="seconds",
)
DELAYED = _gauge("lorayard_yard_delayed_jobs", _X, "Jobs that wait for their time.", unit="jobs")
STREAM_MESSAGES = _gauge("lorayard_yard_stream_messages", _X, "In a stream.", "stream")
STREAM_BYTES = _gauge("lorayard_yard_stream_bytes", _X, "In a stream.", "stream", unit="bytes")
STREAM_LIMIT = _gauge(
    "lorayard_yard_stream_limit_bytes", _X, "What a stream may hold.", "stream", unit="bytes"
)
LAG = _gauge(
    "lorayard_yard_consumer_lag", _X, "Messages of a lane that no dispatcher has been given yet.", "consumer"
)
UNACKED = _gauge("lorayard_yard_consumer_unacked", _X, "Given out and not acked.", "consumer")
REDELIVERED = _gauge(
    "lorayard_yard_consumer_redelivered", _X, "Unacked messages that were given out before.", "consumer"
)
PULLS = _gauge("lorayard_yard_consumer_pulls", _X, "Pulls that wait: 0 means nobody asks.", "consumer")
DISPATCHERS = _gauge("lorayard_yard_dispatchers", _X, "Dispatchers alive.")
PARTITIONS = _gauge("lorayard_yard_partitions", _X, "Partitions, held by a dispatcher or not.", "state")
WORKERS = _gauge("lorayard_yard_workers", _X, "Workers alive.")
WORKER_ROOM = _gauge("lorayard_yard_worker_room", _X, "Jobs that a worker would take now.", "worker")
WORKER_ROWS = _gauge("lorayard_yard_worker_rows", _X, "Rows a worker runs.", "worker")
WORKER_AGE = _gauge(
    "lorayard_yard_worker_silent_seconds", _X, "Since a worker was last heard.", "worker", unit="seconds"
)

DECLARED: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""All of them, in the order of this file."""
