"""The board of workers and their engines.

Long, as a flat table is.
"""

from __future__ import annotations

from lorayard_cli.monitoring.boards.board import Board, Look, Panel, Query, Row, Unit
from lorayard_cli.monitoring.boards.scope import WORKER, YARD, Scope, named, share
from lorayard_shared.metrics import declared as m
from lorayard_shared.metrics.metric import Metric

_S = Scope(workers=True)
_NAME = "{{name}}"
_OF_PYTHON = 'instance=~"$worker",yard=~"$yard"'
"""For what prometheus-client tells of each process."""


def _each(metric: Metric, **labels: str) -> tuple[Query, ...]:
    """A gauge, for each worker."""
    return (Query(expr=named(_S.now(metric, **labels)), legend=_NAME),)


def _used(metric: Metric, used: str = "used") -> tuple[Query, ...]:
    """The share of a gauge's states that is in use, for each worker."""
    part = f"sum by (instance) ({_S.now(metric, state=used)})"
    whole = f"sum by (instance) ({_S.now(metric, state='all')})"
    return (Query(expr=named(share(part, whole)), legend=_NAME),)


_WORKERS = Row(
    title="Workers",
    panels=(
        Panel(
            title="Which there are",
            about="Processes that show metrics, with their part, name and release.",
            queries=(Query(expr=f"count by (part, name, release, instance) ({_S.now(m.PROCESS_INFO)})"),),
            look=Look.TABLE,
        ),
        Panel(
            title="Event loop answers",
            about="0: the process hangs. It lets go of its leases after 30 s.",
            queries=(Query(expr=named(_S.now(m.PROCESS_ANSWERS)), legend=_NAME),),
            unit=Unit.YES,
            alerts=("LorayardProcessHangs",),
            critical=1.0,
            below=True,
            most=1.0,
        ),
        Panel(
            title="Draining, and without a dispatcher",
            about="Workers that take no more jobs, and those that hear no dispatcher and pull by themselves.",
            queries=(
                Query(expr=f"sum({_S.now(m.DRAINING)})", legend="draining"),
                Query(expr=f"sum({_S.now(m.EMERGENCY)})", legend="emergency"),
            ),
            alerts=("LorayardEmergency",),
        ),
        Panel(
            title="Last heard",
            about="Since each worker's last beat, as the exporter reads it on the bus. It is gone after 5 s.",
            queries=(Query(expr=f"max by (worker) ({_S.now(m.WORKER_AGE)})", legend="{{worker}}"),),
            unit=Unit.SECONDS,
            alerts=("LorayardViewStale",),
            warning=2.0,
        ),
        Panel(
            title="Rows and room, as told on the bus",
            about="Jobs that a worker runs, and would take now: what dispatchers go by.",
            queries=(
                Query(expr=f"max by (worker) ({_S.now(m.WORKER_ROWS)})", legend="{{worker}} runs"),
                Query(expr=f"max by (worker) ({_S.now(m.WORKER_ROOM)})", legend="{{worker}} has room"),
            ),
        ),
        Panel(
            title="Jobs held",
            about="Under a lease of the worker, those that have not begun included.",
            queries=_each(m.JOBS_HELD),
        ),
    ),
)

_ROWS = Row(
    title="Rows",
    panels=(
        Panel(
            title="Rows in use",
            about="Of as many as there can be. All in use and jobs that wait for `worker`: add workers.",
            queries=_used(m.ROWS, used="running"),
            unit=Unit.SHARE,
            most=1.0,
        ),
        Panel(
            title="Queued in the engine",
            about="Submitted and not started.",
            queries=_each(m.QUEUED),
        ),
        Panel(
            title="Waiting at workers",
            about="Jobs that wait at any moment, for a `row` or for their adapter (`swap`).",
            queries=(Query(expr=_S.rate(m.ROW_WAIT, "cause"), legend="{{cause}}"),),
            look=Look.STACK,
            alerts=("LorayardSwapSlow", "LorayardLoadSlow"),
        ),
        Panel(
            title="To the first token",
            about="Of jobs that succeeded, from arrival at the worker.",
            queries=_S.quantiles(m.FIRST_TOKEN),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Ended, by worker",
            about="Jobs that ended at each worker, whatever came of them.",
            queries=(Query(expr=named(_S.rate(m.REQUESTS, "instance")), legend=_NAME),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Preemptions",
            about="Rows that gave their blocks back, to be computed again: LORAYARD_KV_BYTES is short.",
            queries=(Query(expr=named(_S.rate(m.PREEMPTIONS, "instance")), legend=_NAME),),
            unit=Unit.PER_SECOND,
        ),
    ),
)

_ENGINE = Row(
    title="Engine",
    panels=(
        Panel(
            title="One step",
            about="Every running row gains a token in one; prompts that are read make it longer.",
            queries=_S.quantiles(m.STEPS),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Steps",
            about="How many took how long.",
            queries=(Query(expr=_S.rate(m.STEPS, "le", part="_bucket"), legend="{{le}}"),),
            unit=Unit.SECONDS,
            look=Look.HEAT,
        ),
        Panel(
            title="Time in steps",
            about="The share of a second that a worker computes. Near 1 it is busy, whatever its rows say.",
            queries=(Query(expr=named(_S.rate(m.STEPS, "instance", part="_sum")), legend=_NAME),),
            unit=Unit.SHARE,
        ),
        Panel(
            title="Tokens",
            about="Computed in steps; of prompts; not computed, since an earlier row began alike; written.",
            queries=(
                Query(expr=_S.rate(m.STEP_TOKENS), legend="computed"),
                Query(expr=_S.rate(m.PROMPT_TOKENS), legend="of prompts"),
                Query(expr=_S.rate(m.PREFIX_TOKENS), legend="spared by prefixes"),
                Query(expr=_S.rate(m.COMPLETION_TOKENS), legend="written"),
            ),
            unit=Unit.PER_SECOND,
        ),
        Panel(
            title="KV cache in use",
            about="Of the blocks there are. Full, with preemptions: more LORAYARD_KV_BYTES or fewer rows.",
            queries=_used(m.KV_BLOCKS),
            unit=Unit.SHARE,
            most=1.0,
        ),
        Panel(
            title="Prefix cache",
            about="Prompt tokens that were taken from it, of all.",
            queries=(Query(expr=share(_S.rate(m.CACHED_TOKENS), _S.rate(m.PROMPT_TOKENS)), legend="cached"),),
            unit=Unit.SHARE,
            most=1.0,
        ),
        Panel(
            title="Rows that began with blocks of earlier ones",
            about="By worker. Prompts that begin alike, with the same adapter, share the work.",
            queries=(Query(expr=named(_S.rate(m.PREFIX_HITS, "instance")), legend=_NAME),),
            unit=Unit.PER_SECOND,
        ),
    ),
)

_PROCESSES = Row(
    title="Processes",
    panels=(
        Panel(
            title="Processor",
            about="Cores that each worker keeps busy.",
            queries=(
                Query(
                    expr=named(f"rate(process_cpu_seconds_total{{{_OF_PYTHON}}}[$__rate_interval])"),
                    legend=_NAME,
                ),
            ),
        ),
        Panel(
            title="Memory",
            about="Resident memory of each worker: model, slots, host memory, KV cache.",
            queries=(Query(expr=named(f"process_resident_memory_bytes{{{_OF_PYTHON}}}"), legend=_NAME),),
            unit=Unit.BYTES,
        ),
        Panel(
            title="Open files",
            about="Of each worker, as a share of what it may open.",
            queries=(
                Query(
                    expr=named(f"process_open_fds{{{_OF_PYTHON}}} / process_max_fds{{{_OF_PYTHON}}}"),
                    legend=_NAME,
                ),
            ),
            unit=Unit.SHARE,
        ),
    ),
)

ENGINE_BOARD = Board(
    uid="lorayard-engines",
    title="Lorayard: workers and engines",
    about="Rows, steps, tokens and caches of each worker.",
    variables=(YARD, WORKER),
    rows=(_WORKERS, _ROWS, _ENGINE, _PROCESSES),
)
