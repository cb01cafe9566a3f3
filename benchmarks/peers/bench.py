"""No-op jobs per second of the yard beside Python's job queues: `python -m benchmarks.peers.bench [--quick]`.

Sides take turns: the server, producer and workers of one start for its turn and are killed after it. The yard
is a NATS server, a dispatcher and two workers, timed until the last stored result is in the client's hands. A
peer is a server, a producer and one worker process, timed until the last job's body has run: nobody reads its
results, which favours the peer. JSON to stdout, progress to stderr; exits 1 when a must is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.peers import JOBS, PEERS, Peer
from benchmarks.peers.report import Seen, holds, report
from benchmarks.peers.side import PeerError, PeerSide
from benchmarks.peers.turn import Turn, cpu_seconds

from lorayard_cli.bench.bus import PAYLOAD_BYTES, warm_yard
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.loops import run_service

ROUNDS = 5
QUICK_ROUNDS = 2
ENVIRONMENT = Path(__file__).parents[2] / ".venv-peers"
_LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Run:
    """What is being measured, turn by turn."""

    peers: Sequence[Peer]
    environment: Path
    ours: list[Turn] = field(default_factory=list[Turn])
    raw: list[float] = field(default_factory=list[float])
    turns: dict[str, list[Turn]] = field(default_factory=dict[str, list[Turn]])
    faults: dict[str, str] = field(default_factory=dict[str, str])
    versions: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    busy: list[float] = field(default_factory=list[float])

    def round(self, number: int) -> None:
        """One turn of each side; who comes first changes, so that nobody always follows the same one."""
        if (busy := cores_busy()) is not None:
            self.busy.append(busy)
        sides: list[Peer | None] = [None, *self.peers]  # None is the yard
        at = number * 3 % len(sides)
        for side in sides[at:] + sides[:at]:
            if side is None:
                self._our_turn()
            elif side.name not in self.faults:
                self._turn(side)

    def seen(self) -> Seen:
        """All of it; a peer that failed once is not measured."""
        return Seen(
            ours=self.ours,
            raw=self.raw,
            peers={name: turns for name, turns in self.turns.items() if name not in self.faults},
            not_measured=self.faults,
            versions=self.versions,
            busy=self.busy,
        )

    def _our_turn(self) -> None:
        raw, turn = run_service(_yard_turn())
        self.raw.append(raw)
        self.ours.append(turn)
        _note(f"lorayard: {turn}; raw publishes {raw:,.0f}/s")

    def _turn(self, peer: Peer) -> None:
        try:
            turn = self._peer_turn(peer)
        except PeerError as error:
            self.faults[peer.name] = str(error)
            _note(f"{peer.name}: not measured: {error}")
            return
        self.turns.setdefault(peer.name, []).append(turn)
        _note(f"{peer.name}: {turn}")

    def _peer_turn(self, peer: Peer) -> Turn:
        python = self.environment / ("redis5/bin/python" if peer.older_redis else "bin/python")
        with (
            tempfile.TemporaryDirectory(prefix="lorayard-peer-") as folder,
            PeerSide(peer, python, Path(folder), payload_bytes=PAYLOAD_BYTES) as side,
        ):
            self.versions[peer.name] = side.versions
            return side.turn(peer.jobs)


async def _yard_turn() -> tuple[float, Turn]:
    """Raw publishes per second, and the yard's turn."""
    async with warm_yard() as yard:
        raw = await yard.raw_per_second(JOBS)
        before = cpu_seconds()
        rate = await yard.jobs_per_second(JOBS)
        return raw, Turn(jobs=JOBS, seconds=JOBS / rate, cpu_seconds=cpu_seconds() - before)


def cores_busy() -> float | None:
    """Cores in use now, by anybody; None where /proc does not tell."""
    before = _core_seconds()
    if before is None:
        return None
    time.sleep(_LOOK_SECONDS)
    after = _core_seconds()
    return None if after is None else (after - before) / _LOOK_SECONDS


def _core_seconds() -> float | None:
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system = (int(ticks) for ticks in first[1:4])
    return (user + nice + system) / 100  # the kernel's USER_HZ


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a must is missed."""
    parser = argparse.ArgumentParser(
        description="No-op jobs per second of the yard beside Python's job queues."
    )
    parser.add_argument("--quick", action="store_true", help="two rounds: under two minutes")
    parser.add_argument("--only", action="append", default=[], help="part of a peer's name; may be repeated")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="default: .venv-peers")
    given = parser.parse_args(arguments)
    chosen = [peer for peer in PEERS if not given.only or any(part in peer.name for part in given.only)]
    run = Run(peers=chosen, environment=given.environment)
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    for number in range(rounds):
        _note(f"round {number + 1}/{rounds}")
        run.round(number)
    document = _document(chosen, run)
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return 0 if holds(document) else 1


def _document(peers: Sequence[Peer], run: Run) -> dict[str, Any]:
    return {"bench": "peers", "payload_bytes": PAYLOAD_BYTES, **report(peers, run.seen()), **surroundings()}


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
