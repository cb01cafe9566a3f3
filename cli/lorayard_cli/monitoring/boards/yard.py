"""The board of a whole yard: what waits and for what, who is served, how the bus is.

Long, as a flat table is.
"""

from __future__ import annotations

from lorayard_cli.monitoring.boards.board import Board, Look, Panel, Query, Row, Unit
from lorayard_cli.monitoring.boards.scope import YARD, Scope, greatest, named, share
from lorayard_shared.metrics import declared as m

_S = Scope()
_NOT_BULK = 'lane!="bulk"'
_UNHELD = f"sum({_S.now(m.PARTITIONS, state='all')}) - sum({_S.now(m.PARTITIONS, state='held')})"

_NOW = Row(
    title="Now",
    panels=(
        Panel(
            title="Bus",
            about="Whether the bus answers the exporter. Without it nothing can be submitted or stored.",
            queries=(Query(expr=f"min({_S.now(m.YARD_UP)})"),),
            unit=Unit.YES,
            look=Look.NUMBER,
            alerts=("LorayardBusDown", "LorayardExporterGone"),
            critical=1.0,
            below=True,
            width=3,
            height=4,
        ),
        Panel(
            title="Jobs without a result",
            about="All, those at workers included, counted in the stream: true with every process dead.",
            queries=(Query(expr=f"sum({_S.now(m.QUEUE)}) or vector(0)"),),
            look=Look.NUMBER,
            alerts=("LorayardQueueStands",),
            width=4,
            height=4,
        ),
        Panel(
            title="Oldest job",
            about="Age of the oldest job without a result, in any lane but `bulk`.",
            queries=(Query(expr=f"max({_S.now(m.QUEUE_OLDEST, _NOT_BULK)}) or vector(0)"),),
            unit=Unit.SECONDS,
            look=Look.NUMBER,
            alerts=("LorayardQueueStands",),
            critical=300.0,
            width=4,
            height=4,
        ),
        Panel(
            title="Workers",
            about="Workers whose advert is on the bus.",
            queries=(Query(expr=f"sum({_S.now(m.WORKERS)})"),),
            look=Look.NUMBER,
            alerts=("LorayardNoWorkers",),
            critical=1.0,
            below=True,
            width=3,
            height=4,
        ),
        Panel(
            title="Dispatchers",
            about="Dispatchers alive, those that stand by included.",
            queries=(Query(expr=f"sum({_S.now(m.DISPATCHERS)})"),),
            look=Look.NUMBER,
            alerts=("LorayardEmergency", "LorayardPartitionWithoutDispatcher"),
            critical=1.0,
            below=True,
            width=3,
            height=4,
        ),
        Panel(
            title="Partitions without a dispatcher",
            about="Nobody gives out the jobs of their adapters; workers pull by themselves after 5 s.",
            queries=(Query(expr=_UNHELD),),
            look=Look.NUMBER,
            alerts=("LorayardPartitionWithoutDispatcher",),
            critical=0.5,
            width=3,
            height=4,
        ),
        Panel(
            title="Alerts",
            about="Alerts that fire now, where Prometheus has the rules.",
            queries=(Query(expr='count(ALERTS{alertstate="firing",alertname=~"Lorayard.*"}) or vector(0)'),),
            look=Look.NUMBER,
            warning=0.5,
            width=4,
            height=4,
        ),
    ),
)

_QUEUES = Row(
    title="Queues",
    panels=(
        Panel(
            title="Jobs without a result, by lane",
            about="From the streams: queued, parked and running.",
            queries=(Query(expr=f"sum by (lane) ({_S.now(m.QUEUE)})", legend="{{lane}}"),),
            look=Look.STACK,
            alerts=("LorayardQueueStands",),
        ),
        Panel(
            title="Jobs without a result, the ten longest queues",
            about="By the adapter that jobs name; `unnamed` leaves the choice to rules.",
            queries=(Query(expr=greatest(f"sum by (adapter) ({_S.now(m.QUEUE)})"), legend="{{adapter}}"),),
            alerts=("LorayardQueueStands",),
        ),
        Panel(
            title="Oldest job, by lane",
            about="Age of the oldest job without a result.",
            queries=(Query(expr=f"max by (lane) ({_S.now(m.QUEUE_OLDEST)})", legend="{{lane}}"),),
            unit=Unit.SECONDS,
            alerts=("LorayardQueueStands",),
        ),
        Panel(
            title="Parked in dispatchers",
            about="Jobs that a dispatcher has read and not given to a worker, by lane.",
            queries=(Query(expr=f"sum by (lane) ({_S.now(m.PARKED)})", legend="{{lane}}"),),
            look=Look.STACK,
        ),
        Panel(
            title="Kept back",
            about="Jobs held on purpose: struck, paused, capped, or waiting for their turn within a rate.",
            queries=(Query(expr=f"sum by (reason) ({_S.now(m.HELD)})", legend="{{reason}}"),),
            look=Look.STACK,
        ),
        Panel(
            title="For later",
            about="Jobs that wait for their time: delayed, scheduled, or to be tried again.",
            queries=(Query(expr=f"sum({_S.now(m.DELAYED)})", legend="jobs"),),
        ),
    ),
)

_WAITS = Row(
    title="Waiting",
    panels=(
        Panel(
            title="What jobs wait for",
            about=(
                "Jobs that wait at any moment, by what they need: `worker` (every row is taken), `swap` (the"
                " adapter is on no slot), `fairness` (others have had less), `limit` (a rate, quota, cap or"
                " pause), `plan` (the next plan)."
            ),
            queries=(Query(expr=_S.rate(m.WAITED, "cause"), legend="{{cause}}"),),
            look=Look.STACK,
            alerts=("LorayardQueueStands",),
        ),
        Panel(
            title="Overdue",
            about="Jobs that wait past the bound of their lane, or too long for their deadline.",
            queries=(Query(expr=f"sum by (lane) ({_S.now(m.OVERDUE)})", legend="{{lane}}"),),
            look=Look.STACK,
            alerts=("LorayardJobsOverdue",),
        ),
        Panel(
            title="Backlog",
            about="For how long all rows would be busy with what waits, by what jobs took lately.",
            queries=(Query(expr=f"sum by (lane) ({_S.now(m.BACKLOG)})", legend="{{lane}}"),),
            unit=Unit.SECONDS,
            look=Look.STACK,
        ),
        Panel(
            title="From publish to hand-over, p95 by lane",
            about="Past the bound of its lane (4, 8, 15 and 30 s by default) a job goes before warm work.",
            queries=(Query(expr=_S.quantile(0.95, m.WAIT, "lane"), legend="{{lane}}"),),
            unit=Unit.SECONDS,
            alerts=("LorayardJobsOverdue",),
        ),
        Panel(
            title="From publish to hand-over, all lanes",
            about="How many jobs were handed over after which wait.",
            queries=(Query(expr=_S.rate(m.WAIT, "le", part="_bucket"), legend="{{le}}"),),
            unit=Unit.SECONDS,
            look=Look.HEAT,
        ),
        Panel(
            title="At workers",
            about="Jobs that wait at a worker at any moment: for a `row`, or for their adapter (`swap`).",
            queries=(Query(expr=_S.rate(m.ROW_WAIT, "cause"), legend="{{cause}}"),),
            look=Look.STACK,
        ),
        Panel(
            title="Why jobs go where they go",
            about="Hand-overs by the phase of the plan that decided. `overdue`: past the bound of the lane.",
            queries=(Query(expr=_S.rate(m.DECISIONS, "phase"), legend="{{phase}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
            alerts=("LorayardJobsOverdue",),
        ),
        Panel(
            title="Workers' time for overdue loads",
            about="Of all their time; its budget is LORAYARD_OVERDUE_SHARE (0.15).",
            queries=(
                Query(
                    expr=share(_S.rate(m.LOAD_TIME, phase="overdue"), f"max({_S.now(m.WORKERS)})"),
                    legend="overdue",
                ),
            ),
            unit=Unit.SHARE,
            alerts=("LorayardJobsOverdue",),
            warning=0.15,
        ),
        Panel(
            title="Jobs",
            about="Read from the streams, handed over, and ended at workers.",
            queries=(
                Query(expr=_S.rate(m.TAKEN), legend="read"),
                Query(expr=_S.rate(m.HANDED), legend="handed over"),
                Query(expr=_S.rate(m.REQUESTS), legend="ended"),
            ),
            unit=Unit.PER_SECOND,
        ),
    ),
)

_FAIRNESS = Row(
    title="Fairness and limits",
    panels=(
        Panel(
            title="Jobs, the ten busiest tenants",
            about="Handed over to workers. Past LORAYARD_METRICS_TENANTS of them all others are `other`.",
            queries=(Query(expr=greatest(_S.rate(m.TENANT_JOBS, "tenant")), legend="{{tenant}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Mean wait, by tenant",
            about="From publish to hand-over; the ten who wait longest.",
            queries=(
                Query(
                    expr=greatest(
                        share(_S.rate(m.TENANT_WAITED, "tenant"), _S.rate(m.TENANT_JOBS, "tenant"))
                    ),
                    legend="{{tenant}}",
                ),
            ),
            unit=Unit.SECONDS,
            alerts=("LorayardUnfair",),
        ),
        Panel(
            title="How far tenants are apart",
            about="Tokens between the most and the least served tenant that wait, and their bound.",
            queries=(
                Query(expr=f"max({_S.now(m.FAIRNESS_GAP)})", legend="gap"),
                Query(expr=f"max({_S.now(m.FAIRNESS_BOUND)})", legend="bound"),
            ),
            alerts=("LorayardUnfair",),
        ),
        Panel(
            title="Refused",
            about="Jobs over a limit, by which, or shed. Their publishers are told when to come again.",
            queries=(Query(expr=_S.rate(m.REFUSED, "limit"), legend="{{limit}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Answered without a worker",
            about="Refused, expired and cancelled ones.",
            queries=(Query(expr=_S.rate(m.ANSWERED), legend="jobs"),),
            unit=Unit.PER_SECOND,
        ),
        Panel(
            title="Slot pressure",
            about="Adapters with jobs, over all adapter slots. Above 1 slots are short, not rows.",
            queries=(Query(expr=f"max({_S.now(m.SLOT_PRESSURE)})", legend="pressure"),),
            warning=1.0,
            alerts=("LorayardHitRateLow",),
        ),
        Panel(
            title="Comes again",
            about="Redelivered, lapsed (a lease ran out at a worker), refused twice and sent anyway.",
            queries=(
                Query(expr=_S.rate(m.REDELIVERIES), legend="redelivered"),
                Query(expr=_S.rate(m.LAPSED), legend="lapsed"),
                Query(expr=_S.rate(m.FORCED), legend="forced"),
            ),
            unit=Unit.PER_SECOND,
        ),
        Panel(
            title="Not taken by a worker",
            about="Jobs that a worker refused, by its reason: a view out of date costs one such trip.",
            queries=(Query(expr=_S.rate(m.RETURNED, "reason"), legend="{{reason}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
    ),
)

_PLANNER = Row(
    title="Dispatchers",
    panels=(
        Panel(
            title="To make a plan",
            about="A slow planner holds every job up.",
            queries=_S.quantiles(m.PLAN),
            unit=Unit.SECONDS,
            alerts=("LorayardPlansSlow",),
            warning=0.02,
        ),
        Panel(
            title="Silent workers",
            about="Since the worker that was silent longest was heard, and how many are overdue with a beat.",
            queries=(
                Query(expr=f"max({_S.now(m.VIEW_AGE)})", legend="longest silence, s"),
                Query(expr=f"sum({_S.now(m.STALE)})", legend="workers overdue"),
                Query(expr=f"max({_S.now(m.BLIND)})", legend="blind"),
            ),
            alerts=("LorayardViewStale",),
            warning=2.0,
        ),
        Panel(
            title="Active, and their own failures",
            about="Dispatchers that give out jobs; tasks that ended unexpectedly and audit records lost: 0.",
            queries=(
                Query(expr=f"sum({_S.now(m.ACTIVE)})", legend="active"),
                Query(expr=_S.gained(m.FAILURES), legend="failures"),
                Query(expr=_S.gained(m.AUDIT_LOST), legend="audit records lost"),
            ),
        ),
    ),
)

_BUS = Row(
    title="Bus",
    panels=(
        Panel(
            title="Streams",
            about="How full each is. A full `JOBS` refuses submits, a full `RESULTS` keeps jobs open.",
            queries=(
                Query(
                    expr=share(
                        f"max by (stream) ({_S.now(m.STREAM_BYTES)})",
                        f"max by (stream) ({_S.now(m.STREAM_LIMIT)})",
                    ),
                    legend="{{stream}}",
                ),
            ),
            unit=Unit.SHARE,
            alerts=("LorayardStreamNearlyFull",),
            warning=0.8,
            most=1.0,
        ),
        Panel(
            title="Messages",
            about="In each stream.",
            queries=(Query(expr=f"max by (stream) ({_S.now(m.STREAM_MESSAGES)})", legend="{{stream}}"),),
        ),
        Panel(
            title="Not yet given out, by lane",
            about="Messages that no dispatcher has been given yet, and unacked ones it was given before.",
            queries=(
                Query(expr=f"max by (consumer) ({_S.now(m.LAG)})", legend="{{consumer}}"),
                Query(expr=f"sum({_S.now(m.REDELIVERED)})", legend="given out before"),
            ),
        ),
        Panel(
            title="Given out and not acked",
            about="Under a lease, by lane.",
            queries=(Query(expr=f"max by (consumer) ({_S.now(m.UNACKED)})", legend="{{consumer}}"),),
        ),
        Panel(
            title="Pulls that wait",
            about="0 on a lane that is not paused: nobody asks for its jobs.",
            queries=(Query(expr=f"max by (consumer) ({_S.now(m.PULLS)})", legend="{{consumer}}"),),
            alerts=("LorayardPartitionWithoutDispatcher",),
        ),
        Panel(
            title="Connections",
            about="Processes without the bus; how often it went away, came back and reported errors.",
            queries=(
                Query(expr=f"sum(1 - {_S.now(m.BUS_CONNECTED)})", legend="cut off"),
                Query(expr=_S.gained(m.BUS_DISCONNECTS), legend="went away"),
                Query(expr=_S.gained(m.BUS_RECONNECTS), legend="came back"),
                Query(expr=_S.gained(m.BUS_ERRORS), legend="errors"),
            ),
            alerts=("LorayardBusFlaps",),
        ),
        Panel(
            title="Written and not yet sent",
            about="By process; it grows while the bus is slow.",
            queries=(Query(expr=named(_S.now(m.BUS_BUFFERED)), legend="{{name}}"),),
            unit=Unit.BYTES,
            alerts=("LorayardBusFlaps",),
        ),
    ),
)

_GATEWAY = Row(
    title="Gateway",
    panels=(
        Panel(
            title="Requests, by route",
            about="HTTP requests answered.",
            queries=(Query(expr=_S.rate(m.HTTP_REQUESTS, "path"), legend="{{path}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Requests, by status",
            about="429 and 503 tell clients to come again; 5xx beside those is ours.",
            queries=(Query(expr=_S.rate(m.HTTP_REQUESTS, "status"), legend="{{status}}"),),
            unit=Unit.PER_SECOND,
            look=Look.STACK,
        ),
        Panel(
            title="Until the answer begins, p95",
            about="Or its stream. Waiting in the yard included.",
            queries=(Query(expr=_S.quantile(0.95, m.HTTP_SECONDS, "path"), legend="{{path}}"),),
            unit=Unit.SECONDS,
        ),
    ),
)

YARD_BOARD = Board(
    uid="lorayard-yard",
    title="Lorayard: the yard",
    about="What waits and for what, who is served, and how the bus is.",
    variables=(YARD,),
    rows=(_NOW, _QUEUES, _WAITS, _FAIRNESS, _PLANNER, _BUS, _GATEWAY),
)
