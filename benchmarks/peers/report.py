"""From rates, round by round, to rows and ratios. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.peers import Peer
from benchmarks.peers.turn import Turn

from lorayard_cli.bench.figures import as_map, spread

MUST_RAW = 0.18
MUST_PEER = 2.5
"""Half and two thirds of what a bare prototype reached beside Dramatiq: 0.23 to 0.31, and 3.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a run measured; every list has one entry per round."""

    ours: Sequence[Turn]
    raw: Sequence[float]
    peers: Mapping[str, Sequence[Turn]]
    """By name; whole runs only."""
    not_measured: Mapping[str, str]
    """Name -> reason."""
    versions: Mapping[str, Mapping[str, str]]
    busy: Sequence[float]
    """Cores that others used just before each round."""


def report(peers: Sequence[Peer], seen: Seen) -> dict[str, Any]:
    """The rows of all peers, fastest first, and the ratios that are judged."""
    rows = [_row(peer, seen) for peer in peers if peer.name in seen.peers]
    rows.sort(key=lambda row: -row["jobs_per_second"]["median"])
    return {
        **_rates(seen.ours),
        "raw_publishes_per_second": as_map(spread(seen.raw), 0),
        "ratio_to_raw": _judged(_per_second(seen.ours), seen.raw, MUST_RAW),
        "ratio_to_best_peer": _to_best(rows, seen),
        "ratio_to_best_peer_with_results": _to_best([row for row in rows if row["results"]], seen),
        "peers": rows,
        "not_measured": dict(seen.not_measured),
        "cores_busy_elsewhere": as_map(spread(seen.busy), 2) if seen.busy else None,
    }


def holds(document: Mapping[str, Any]) -> bool:
    """Whether all musts were met; a ratio without its other side was not."""
    return bool(document["ratio_to_raw"]["holds"] and document["ratio_to_best_peer"]["holds"])


def _row(peer: Peer, seen: Seen) -> dict[str, Any]:
    turns = seen.peers[peer.name]
    return {
        "peer": peer.name,
        **_rates(turns),
        "ratio": as_map(spread(_ratios(_per_second(seen.ours), _per_second(turns)))),
        "runs": peer.runs,
        "results": peer.results,
        "durability": peer.server.durability,
        "versions": dict(seen.versions.get(peer.name, {})),
    }


def _to_best(rows: Sequence[Mapping[str, Any]], seen: Seen) -> dict[str, Any]:
    if not rows:
        return {"peer": None, "must": MUST_PEER, "holds": False, "reason": "no such peer was measured"}
    best = rows[0]["peer"]
    return {"peer": best, **_judged(_per_second(seen.ours), _per_second(seen.peers[best]), MUST_PEER)}


def _rates(turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "jobs_per_second": as_map(spread(_per_second(turns)), 0),
        "cpu_us_per_job": as_map(spread([turn.cpu_us_per_job for turn in turns]), 0),
    }


def _per_second(turns: Sequence[Turn]) -> list[float]:
    return [turn.per_second for turn in turns]


def _judged(ours: Sequence[float], others: Sequence[float], must: float) -> dict[str, Any]:
    figure = spread(_ratios(ours, others))
    return {**as_map(figure), "must": must, "holds": figure.median >= must}


def _ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Each pair from one round."""
    return [one / other for one, other in zip(ours, others, strict=True)]
