"""Thousands of jobs of every kind while every process is killed: `python -m benchmarks.ledger.run`.

One generator of the seed draws every job and every blow. In the end the streams are read by sequence, and
each order is judged: one stored result, in a state that its kind allows. Exits 1 naming each job for which
that does not hold, with all that is known of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.ledger.blows import Blow, draw_blows
from benchmarks.ledger.journal import Entry, read_journal
from benchmarks.ledger.orders import Kind, Order, draw_orders
from benchmarks.ledger.publisher import SALT
from benchmarks.ledger.records import Records, kills_in, read_records, settled, told_of
from benchmarks.ledger.verdicts import POISON, end_of, faults
from benchmarks.ledger.yard import TARGETS, LedgerYard, ledger_yard

from lorayard.job_ids import keyed_job_id
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.embedded.liveness import connect_when_up
from lorayard_cli.loops import run_service
from lorayard_shared.bus.connection import Bus

SEED: Final = 20261123
JOBS: Final = 10_000
JOBS_PER_SECOND: Final = 80.0
"""What the yard's processes keep up with on two cores while one in two seconds is started again."""
SETTLE_SECONDS: Final = 120.0
"""After the last blow, until the last result: deaths, leases and retries are over long before."""
SHOWN: Final = 20
"""Violations that are told in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    orders: Sequence[Order]
    journal: dict[str, Entry]
    records: Records
    yard: LedgerYard
    settled: bool
    violations: list[dict[str, Any]]
    seconds: float


def job_id(order: Order) -> str:
    """The id that its key makes."""
    return keyed_job_id(tenant=order.tenant, salt=SALT, key=order.key)


async def play(seed: int, jobs: int, seconds: float, folder: Path) -> Outcome:
    """Run it once."""
    draw = Random(seed)
    orders = draw_orders(draw, jobs)
    blows = draw_blows(draw, TARGETS, seconds)
    _say(f"seed {seed}, {jobs:,} jobs in {seconds:.0f} s, {len(blows)} blows:")
    for blow in blows:
        _say(f"  {blow}")
    journal, started = folder / "journal", time.monotonic()
    arguments = (str(journal), str(seed), str(jobs), str(seconds))
    async with ledger_yard(folder, arguments) as yard:
        await _strike_all(yard, blows, journal)
        await _published(journal, end=time.monotonic() + SETTLE_SECONDS)
        async with await connect_when_up(yard.settings, name="ledger") as bus:
            wanted = sum(order.kind is not Kind.GHOST for order in orders)
            whole = await settled(bus, wanted, seconds=SETTLE_SECONDS)
            records, (entries, _) = await read_records(bus), read_journal(journal)
            violations = await _judge(bus, orders, entries, records)
    return Outcome(
        orders=orders,
        journal=entries,
        records=records,
        yard=yard,
        settled=whole,
        violations=violations,
        seconds=time.monotonic() - started,
    )


async def _strike_all(yard: LedgerYard, blows: Sequence[Blow], journal: Path) -> None:
    """From the first accepted job on, each at its time, whatever the others still wait for."""
    while not read_journal(journal)[0]:  # noqa: ASYNC110  # another process writes it
        await asyncio.sleep(0.1)
    started = time.monotonic()
    striking: list[asyncio.Task[None]] = []
    for blow in blows:
        await asyncio.sleep(max(0.0, started + blow.at_seconds - time.monotonic()))
        striking.append(asyncio.create_task(yard.strike(blow)))
    await asyncio.gather(*striking)


async def _published(journal: Path, *, end: float) -> None:
    while not read_journal(journal)[1] and time.monotonic() < end:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.5)


async def _judge(
    bus: Bus, orders: Sequence[Order], entries: dict[str, Entry], records: Records
) -> list[dict[str, Any]]:
    violations: list[dict[str, Any]] = []
    ids = {job_id(order): order for order in orders}
    for job, order in ids.items():
        entry = entries.get(order.key, Entry())
        if wrong := faults(order, entry, records.results.get(job, ()), records.letters.get(job, ())):
            told = await told_of(bus, order.tenant, job) if len(violations) < SHOWN else []
            facts = {"job": job, "order": repr(order), "faults": wrong, "journal": repr(entry)}
            violations.append({**facts, "told": told})
    strangers = (set(records.results) | set(records.letters)) - set(ids)
    violations += [{"job": job, "faults": ["nobody asked for it"]} for job in sorted(strangers)]
    if records.gaps:
        violations.append({"faults": [f"{records.gaps} results were stored and are gone"]})
    if any(records.left.values()):
        violations.append({"faults": [f"messages are left: {records.left}"]})
    return violations


def document(seed: int, outcome: Outcome) -> dict[str, Any]:
    """The ledger."""
    return {
        "bench": "ledger",
        "seed": seed,
        "jobs": len(outcome.orders),
        "seconds": round(outcome.seconds, 1),
        "settled": outcome.settled,
        "kinds": _kinds(outcome),
        "blows": kills_in(outcome.yard.hits),
        "duplicates_found": sum(entry.existing for entry in outcome.journal.values()),
        "conflicts_refused": sum(entry.conflicts for entry in outcome.journal.values()),
        "streams_read": sum(entry.streamed == "" for entry in outcome.journal.values()),
        "interruptions": _deaths(outcome.records),
        "violations": outcome.violations,
        **surroundings(),
    }


def _kinds(outcome: Outcome) -> dict[str, dict[str, int]]:
    """By kind: how many were accepted, and how they ended."""
    table: dict[str, Counter[str]] = {}
    for order in outcome.orders:
        row = table.setdefault(order.kind, Counter())
        row["orders"] += 1
        row["accepted"] += outcome.journal.get(order.key, Entry()).accepted_at is not None
        for result in outcome.records.results.get(job_id(order), ()):
            row[str(result.state)] += 1
            row["retried"] += result.attempt > 1
            row["poison"] += end_of(result) == POISON
        row["dead"] += len(outcome.records.letters.get(job_id(order), ()))
    return {
        kind: {name: count for name, count in row.items() if count} for kind, row in sorted(table.items())
    }


def _deaths(records: Records) -> int:
    """Of workers under jobs that became poison."""
    letters = (letter for listed in records.letters.values() for letter in listed)
    return sum(record.code == "worker_died" for letter in letters for record in letter.attempts)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _print(ledger: dict[str, Any]) -> None:
    for kind, row in ledger["kinds"].items():
        _say(f"{kind:<16}" + "  ".join(f"{name} {count:,}" for name, count in row.items()))
    for name in (
        "blows",
        "duplicates_found",
        "conflicts_refused",
        "streams_read",
        "interruptions",
        "seconds",
    ):
        _say(f"{name}: {ledger[name]}")
    for violation in ledger["violations"]:
        _say(json.dumps(violation, indent=2))
    _say(f"{len(ledger['violations'])} violations")


def main() -> int:
    """Exit 1 when an order did not end as it may."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=JOBS)
    options.add_argument("--seconds", type=float, help="over which they are submitted")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--json", action="store_true")
    options.add_argument("--log", type=Path, help="where the last words of all processes are written")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorayard-ledger-") as folder:
        seconds = given.seconds or given.jobs / JOBS_PER_SECOND
        outcome = run_service(play(given.seed, given.jobs, seconds, Path(folder)))
    if given.log is not None:
        given.log.write_text("\n".join(outcome.yard.lines), encoding="utf-8")
    ledger = document(given.seed, outcome)
    if given.json:
        sys.stdout.write(json.dumps(ledger, indent=2) + "\n")
    else:
        _print(ledger)
    return 1 if ledger["violations"] or not outcome.settled else 0


if __name__ == "__main__":
    sys.exit(main())
