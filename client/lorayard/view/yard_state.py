"""All that a look at the bus has found, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from lorayard.view.depths import Depth
from lorayard.view.fleet import SeenWorker
from lorayard.view.rates import Rates
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.batch_record import BatchRecord
from lorayard_schemas.control import Cap, Pause
from lorayard_schemas.health import HealthReport
from lorayard_schemas.job import Lane
from lorayard_schemas.placement import Placement
from lorayard_schemas.seat import DispatcherAdvert
from lorayard_schemas.snapshot import AdapterTraffic
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.strike import Strike
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.value import value


@value
class StreamState:
    """One stream or bucket."""

    name: str
    messages: int
    bytes: int
    most_bytes: int | None
    """None: no limit of its own."""
    refuses: bool
    """What comes when it is full; else the oldest leaves."""


@value
class ConsumerState:
    """One of those that give out jobs."""

    name: str
    pending: int
    """Jobs that it could give out."""
    unacked: int
    pulls: int
    """That wait for jobs now."""
    delivered: int
    """Of the stream, the last that it gave out."""
    quiet_seconds: float = 0.0
    """Since when jobs wait, nobody pulls and nothing is given out; 0: it is not so."""


@value
class YardState:
    """The yard at one moment. Times are unix seconds by the server's clock."""

    now: float
    own_now: float
    """By the reader's clock."""
    depth: Depth
    lane_ages: Mapping[Lane, float]
    queue_ages: Mapping[JobAddress, float]
    workers: tuple[SeenWorker, ...]
    """By name."""
    adapters: tuple[AdapterRecord, ...]
    """By name and version."""
    aliases: tuple[AliasRecord, ...]
    placements: tuple[Placement, ...]
    strikes: tuple[Strike, ...]
    pauses: tuple[Pause, ...]
    caps: tuple[Cap, ...]
    batches: tuple[BatchRecord, ...]
    living: tuple[DispatcherAdvert, ...]
    """Dispatchers that say that they live."""
    seats: frozenset[int]
    """Partitions of which somebody holds the seat."""
    partitions: int
    dispatchers: tuple[DispatcherStatus, ...]
    silent_dispatchers: tuple[str, ...]
    streams: tuple[StreamState, ...]
    missing: tuple[str, ...]
    """Streams and buckets that are not there."""
    consumers: tuple[ConsumerState, ...]
    window: int
    """Jobs of a lane that a dispatcher takes on."""
    unreadable: Mapping[str, str]
    """`bucket/key` -> why."""
    traffic: Mapping[str, AdapterTraffic]
    """By `name@version`."""
    rates: Rates
    silent_hosts: tuple[str, ...] = ()
    """Gateways, exporters and `up` that answered before, and do no more."""
    unready_hosts: tuple[HealthReport, ...] = ()
    """Those that answer, and do not do their work."""
    dead_before: int | None = None
    """Dead letters a while ago; None: nobody has looked for long enough."""
    dead_seconds: float = 0.0
    """How long ago that was."""
