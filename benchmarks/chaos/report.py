"""The ledger of a run: as a document, and as a person reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.chaos.blows import blow_dict
from benchmarks.chaos.journal import Entry
from benchmarks.chaos.judging import job_id
from benchmarks.chaos.play import Outcome
from benchmarks.chaos.records import Records
from benchmarks.chaos.recovery import recovery_table
from benchmarks.chaos.verdicts import POISON, end_of

from lorayard_cli.bench.figures import surroundings

COUNTS = ("duplicates_found", "conflicts_refused", "streams_read", "interruptions", "delivered_again")


def document(outcome: Outcome) -> dict[str, Any]:
    """The ledger."""
    plan, evidence = outcome.plan, outcome.evidence
    entries = evidence.entries.values()
    return {
        "bench": "chaos",
        "seed": plan.seed,
        "nodes": plan.nodes,
        "jobs": len(evidence.orders),
        "seconds": round(outcome.seconds, 1),
        "settled": outcome.settled,
        "kinds": _kinds(outcome),
        "blows": dict(sorted(Counter(struck.blow.name for struck in outcome.dealt).items())),
        "weapons": dict(sorted(Counter(str(struck.blow.weapon) for struck in outcome.dealt).items())),
        "recovery": recovery_table(outcome.recoveries),
        "revisions": len(evidence.revisions),
        "operator_acts": outcome.operated[0],
        "operator_acts_refused": outcome.operated[1],
        "duplicates_found": sum(entry.existing for entry in entries),
        "conflicts_refused": sum(entry.conflicts for entry in entries),
        "streams_read": sum(entry.streamed == "" for entry in entries),
        "interruptions": _deaths(evidence.records),
        "delivered_again": evidence.records.again,
        "violations": outcome.violations,
        "plan": [blow_dict(blow) for blow in plan.blows],
        **surroundings(),
    }


def _kinds(outcome: Outcome) -> dict[str, dict[str, int]]:
    """By kind: how many were accepted, and how they ended."""
    table: dict[str, Counter[str]] = {}
    evidence = outcome.evidence
    for order in evidence.orders:
        row = table.setdefault(order.kind, Counter())
        row["orders"] += 1
        row["accepted"] += evidence.entries.get(order.key, Entry()).accepted_at is not None
        for result in evidence.records.results.get(job_id(order), ()):
            row[str(result.state)] += 1
            row["retried"] += result.attempt > 1
            row["poison"] += end_of(result) == POISON
        row["dead"] += len(evidence.records.letters.get(job_id(order), ()))
        row["ran"] += len(evidence.runs.get(order.key, ()))
    return {
        kind: {name: count for name, count in row.items() if count} for kind, row in sorted(table.items())
    }


def _deaths(records: Records) -> int:
    """Of workers under jobs that became poison."""
    letters = (letter for listed in records.letters.values() for letter in listed)
    return sum(record.code == "worker_died" for letter in letters for record in letter.attempts)


def show(ledger: dict[str, Any], say: Callable[[str], None]) -> None:
    """As a person reads it."""
    for kind, row in ledger["kinds"].items():
        say(f"{kind:<16}" + "  ".join(f"{name} {count:,}" for name, count in row.items()))
    say("blows: " + ", ".join(f"{name} {count}" for name, count in ledger["blows"].items()))
    for what, row in ledger["recovery"].items():
        must = "" if row["must_seconds"] is None else f", must {row['must_seconds']:.1f} s"
        kept = "" if row["kept"] else "  MISSED"
        say(
            f"recovery after {what:<16} {row['count']:>4} times  p50 {row['p50_seconds']:.2f} s"
            f"  p99 {row['p99_seconds']:.2f} s{must}{kept}"
        )
    say(
        f"revisions of the alias {ledger['revisions']}, acts of the operator {ledger['operator_acts']}"
        f" and {ledger['operator_acts_refused']} that came to nothing"
    )
    say(", ".join(f"{name} {ledger[name]:,}" for name in COUNTS))
    for violation in ledger["violations"]:
        brief = {name: told for name, told in violation.items() if name != "told"}
        say(json.dumps(brief, indent=2))
    say(
        f"{ledger['jobs']:,} jobs, {sum(ledger['weapons'].values())} blows, {ledger['seconds']} s: "
        f"{len(ledger['violations'])} violations{'' if ledger['settled'] else ', and not settled'}"
    )
