"""The board of adapters: traffic, latency, errors, and how they come into memory and leave it.

Long, as a flat table is.
"""

from __future__ import annotations

from lorayard_cli.monitoring.boards.board import Board, Look, Panel, Query, Row, Unit
from lorayard_cli.monitoring.boards.scope import ADAPTER, YARD, Scope, greatest, named, share
from lorayard_shared.metrics import declared as m

_S = Scope(adapters=True)
_BY = ("adapter", "version")
_LEGEND = "{{adapter}}@{{version}}"

_VOLUME = Row(
    title="Volume",
    panels=(
        Panel(
            title="Jobs, by adapter",
            about="Ended at workers. `base` is the base model, `composition` several adapters.",
            queries=(Query(expr=_S.rate(m.REQUESTS, *_BY), legend=_LEGEND),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Most jobs",
            about="The ten adapters with the most jobs in the time shown.",
            queries=(
                Query(
                    expr=greatest(f"sum by (adapter) (increase({_S.now(m.REQUESTS)}[$__range]))"),
                    legend="{{adapter}}",
                ),
            ),
            look=Look.BARS,
        ),
        Panel(
            title="Tokens written",
            about="By adapter; what tenants are charged in the end.",
            queries=(Query(expr=_S.rate(m.COMPLETION_TOKENS, *_BY), legend=_LEGEND),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
    ),
)

_LATENCY = Row(
    title="Latency: from publish to the whole text",
    panels=(
        Panel(
            title="All that are chosen",
            about="Of jobs that succeeded, waiting included.",
            queries=_S.quantiles(m.LATENCY),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="p95, by adapter",
            about="One far above the others writes long answers, or never stays in a slot.",
            queries=(Query(expr=_S.quantile(0.95, m.LATENCY, *_BY), legend=_LEGEND),),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Slowest, p99",
            about="The ten adapters that keep their users waiting longest.",
            queries=(Query(expr=greatest(_S.quantile(0.99, m.LATENCY, "adapter")), legend="{{adapter}}"),),
            unit=Unit.SECONDS,
            look=Look.BARS,
        ),
    ),
)

_ERRORS = Row(
    title="Errors",
    panels=(
        Panel(
            title="Error rate, by adapter",
            about="Failed jobs of all that ended. Retries that succeeded in the end are none.",
            queries=(
                Query(
                    expr=share(_S.rate(m.REQUESTS, *_BY, outcome="failed"), _S.rate(m.REQUESTS, *_BY)),
                    legend=_LEGEND,
                ),
            ),
            unit=Unit.SHARE,
            alerts=("LorayardAdapterErrors",),
            warning=0.01,
        ),
        Panel(
            title="How jobs end",
            about="`retried` ones are tried again.",
            queries=(Query(expr=_S.rate(m.REQUESTS, "outcome"), legend="{{outcome}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
            alerts=("LorayardAdapterErrors",),
        ),
        Panel(
            title="Failed attempts, by code",
            about="Of all adapters; a code is the same as in the job's result.",
            queries=(Query(expr=_S.rate(m.ERRORS, "code"), legend="{{code}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
            alerts=("LorayardAdapterErrors",),
        ),
    ),
)

_STARTS = Row(
    title="Hits",
    panels=(
        Panel(
            title="Hit rate",
            about="Rows that found their adapter in a slot, of all rows with one, over all adapters.",
            queries=(Query(expr=share(_S.rate(m.SLOT_HITS), _S.rate(m.ROWS_STARTED)), legend="hit rate"),),
            unit=Unit.SHARE,
            alerts=("LorayardHitRateLow", "LorayardHitRateCritical"),
            warning=0.8,
            critical=0.7,
            below=True,
            most=1.0,
        ),
        Panel(
            title="Hit rate, by adapter",
            about="Of jobs that succeeded. Low with much traffic: worth a pin, or workers of its own.",
            queries=(
                Query(
                    expr=share(
                        _S.rate(m.STARTS, "adapter", where='tier=~"slot|merged"'),
                        _S.rate(m.STARTS, "adapter"),
                    ),
                    legend="{{adapter}}",
                ),
            ),
            unit=Unit.SHARE,
            alerts=("LorayardHitRateLow",),
            most=1.0,
        ),
        Panel(
            title="Where adapters were",
            about="When their row began: `slot` and `merged` cost nothing, `host` a swap, `disk` a read.",
            queries=(Query(expr=_S.rate(m.STARTS, "tier"), legend="{{tier}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
            alerts=("LorayardBlockingLoads",),
        ),
        Panel(
            title="Jobs that cost a load",
            about="Hand-overs to a worker that did not hold the adapter, of all, by adapter.",
            queries=(Query(expr=share(_S.rate(m.COLD, *_BY), _S.rate(m.HANDED, *_BY)), legend=_LEGEND),),
            unit=Unit.SHARE,
            most=1.0,
        ),
    ),
)

_LOADS = Row(
    title="Loads",
    panels=(
        Panel(
            title="Loads",
            about="Copies into a slot, and reads from disk into host memory.",
            queries=(
                Query(expr=_S.rate(m.SLOT_LOADS), legend="into a slot"),
                Query(expr=_S.rate(m.DISK_LOADS), legend="from disk"),
            ),
            unit=Unit.PER_SECOND,
        ),
        Panel(
            title="Swaps, by worker",
            about="More than ten a second on one worker is thrashing.",
            queries=(Query(expr=named(_S.rate(m.SLOT_LOADS, "instance")), legend="{{name}}"),),
            unit=Unit.PER_SECOND,
            alerts=("LorayardSwapsMany",),
            warning=10.0,
        ),
        Panel(
            title="How long a swap keeps a job",
            about="Its adapter was in host memory: the copy, and the wait for a slot.",
            queries=_S.quantiles(m.LOAD, tier="host"),
            unit=Unit.SECONDS,
            alerts=("LorayardSwapSlow",),
            warning=0.1,
        ),
        Panel(
            title="How long a load keeps a job",
            about="Its adapter was on disk only.",
            queries=_S.quantiles(m.LOAD, tier="disk"),
            unit=Unit.SECONDS,
            alerts=("LorayardLoadSlow",),
            warning=1.0,
        ),
        Panel(
            title="Staged against blocking",
            about=(
                "Prefetches put adapters into host memory ahead of their jobs; a blocking load is a job that"
                " waited for the disk all the same."
            ),
            queries=(
                Query(expr=_S.rate(m.PREFETCHES, "outcome"), legend="prefetch {{outcome}}"),
                Query(expr=_S.rate(m.LOAD, part="_count", tier="host"), legend="staged"),
                Query(expr=_S.rate(m.LOAD, part="_count", tier="disk"), legend="blocking"),
            ),
            unit=Unit.PER_SECOND,
            alerts=("LorayardBlockingLoads",),
        ),
        Panel(
            title="Why adapters are loaded",
            about="Hand-overs that cost a load, by what decided and where the adapter must come from.",
            queries=(
                Query(
                    expr=_S.rate(m.DECISIONS, "phase", "source", where='source!="slot"'),
                    legend="{{phase}} from {{source}}",
                ),
            ),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
    ),
)

_MEMORY = Row(
    title="Memory",
    panels=(
        Panel(
            title="Slots",
            about="Used and all, over all workers; and how many were drained for another adapter.",
            queries=(
                Query(expr=f"sum by (state) ({_S.now(m.SLOTS)})", legend="{{state}}"),
                Query(expr=_S.gained(m.DRAINS), legend="drained"),
            ),
        ),
        Panel(
            title="Adapters, by tier",
            about="Where copies are: in slots, in host memory, pinned, on their way in.",
            queries=(Query(expr=f"sum by (tier) ({_S.now(m.ADAPTERS)})", legend="{{tier}}"),),
        ),
        Panel(
            title="Memory",
            about=(
                "All workers: adapters in slots (LORAYARD_SLOT_BYTES), in host memory (LORAYARD_HOST_BYTES),"
                " the base model, and the KV cache (LORAYARD_KV_BYTES), which a CPU takes as it is used."
            ),
            queries=(Query(expr=f"sum by (tier) ({_S.now(m.MEMORY)})", legend="{{tier}}"),),
            unit=Unit.BYTES,
            look=Look.STACK,
        ),
        Panel(
            title="Evictions, by worker",
            about="Adapters that left a slot for another.",
            queries=(Query(expr=named(_S.rate(m.EVICTIONS, "instance")), legend="{{name}}"),),
            unit=Unit.PER_SECOND,
            alerts=("LorayardEvictsRecentlyUsed",),
        ),
        Panel(
            title="Regret",
            about=(
                "Evictions that took an adapter in use within the last 10 s, or one that was wanted again"
                " within 10 s, of all."
            ),
            queries=(
                Query(
                    expr=f"{_S.rate(m.REGRETS, 'kind')} / ignoring (kind) group_left {_S.rate(m.EVICTIONS)}",
                    legend="{{kind}}",
                ),
            ),
            unit=Unit.SHARE,
            alerts=("LorayardEvictsRecentlyUsed", "LorayardEvictionRegretted"),
            warning=0.25,
        ),
        Panel(
            title="Workers that hold it",
            about="In a slot, by adapter; placements that are declared and do not hold.",
            queries=(
                Query(expr=f"max by (adapter, version) ({_S.now(m.REPLICAS)})", legend=_LEGEND),
                Query(expr=f"max({_S.now(m.MISPLACED)})", legend="misplaced"),
            ),
        ),
    ),
)

_WAITING = Row(
    title="Waiting",
    panels=(
        Panel(
            title="Jobs that wait, by adapter",
            about="In dispatchers, not at a worker yet.",
            queries=(Query(expr=f"sum by (adapter, version) ({_S.now(m.PARKED)})", legend=_LEGEND),),
            look=Look.STACK,
            alerts=("LorayardQueueStands",),
        ),
        Panel(
            title="Oldest that waits, by adapter",
            about="In dispatchers.",
            queries=(Query(expr=f"max by (adapter, version) ({_S.now(m.PARKED_OLDEST)})", legend=_LEGEND),),
            unit=Unit.SECONDS,
            alerts=("LorayardQueueStands", "LorayardJobsOverdue"),
        ),
        Panel(
            title="Mean wait, by adapter",
            about="From publish to hand-over, of jobs handed over lately.",
            queries=(
                Query(expr=share(_S.rate(m.ADAPTER_WAITED, *_BY), _S.rate(m.HANDED, *_BY)), legend=_LEGEND),
            ),
            unit=Unit.SECONDS,
            alerts=("LorayardJobsOverdue",),
        ),
        Panel(
            title="Without a result, by adapter",
            about="From the streams: those at workers included, and true with every process dead.",
            queries=(Query(expr=f"sum by (adapter) ({_S.now(m.QUEUE)})", legend="{{adapter}}"),),
            look=Look.STACK,
            alerts=("LorayardQueueStands",),
        ),
    ),
)

ADAPTER_BOARD = Board(
    uid="lorayard-adapters",
    title="Lorayard: adapters",
    about="Traffic, latency and errors by adapter, and how adapters come into memory and leave it.",
    variables=(YARD, ADAPTER),
    rows=(_VOLUME, _LATENCY, _ERRORS, _STARTS, _LOADS, _MEMORY, _WAITING),
)
