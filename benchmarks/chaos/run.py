"""Thousands of jobs of every kind while everything is hit: `python -m benchmarks.chaos.run --seed 1`.

One seed draws every job and every blow. In the end the streams are read by sequence, and each order is
judged: one stored result, in a state that its kind allows, made by what it names. Exits 1 naming each job for
which that does not hold, with all that is known of it. The plan is written down before, and `--plan` plays it
again; `--minimize` looks for the fewest of its blows under which it still fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.chaos.blows import Blow, Weapon
from benchmarks.chaos.clocks import find_faketime
from benchmarks.chaos.disks import can_mount, enter
from benchmarks.chaos.minimize import minimize
from benchmarks.chaos.mutations import MUTATIONS
from benchmarks.chaos.orders import Kind
from benchmarks.chaos.plan import Plan, draw_plan, read_plan, write_plan
from benchmarks.chaos.play import Outcome, play
from benchmarks.chaos.report import document, show

from lorayard_cli.loops import run_service

MODULE: Final = "benchmarks.chaos.run"
JOBS_PER_SECOND: Final = 40.0
"""What the yard's processes keep up with on two cores while one in two seconds is started again."""
SHARE: Final = 0.8
"""Of its minutes that a run submits and strikes; in the rest it starts, settles and judges."""
TRIES: Final = 24
"""Runs of a minimization at most."""


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def plan_of(given: argparse.Namespace) -> Plan:
    """As the command line says."""
    if given.plan is not None:
        return read_plan(given.plan)
    seconds = given.seconds or given.minutes * 60.0 * SHARE
    plan = Plan(
        seed=given.seed,
        jobs=given.jobs or round(seconds * JOBS_PER_SECOND),
        seconds=seconds,
        nodes=given.nodes,
        kinds=tuple(Kind(kind) for kind in given.kinds.split(",") if kind),
        mutations=tuple(name for name in given.mutate.split(",") if name),
        operates=not given.no_operator,
    )
    weapons = (
        None if given.weapons is None else frozenset(Weapon(one) for one in given.weapons.split(",") if one)
    )
    return draw_plan(plan, disks=can_mount(), clocks=find_faketime() is not None, weapons=weapons)


def play_in(plan: Plan) -> Outcome:
    """In a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="lorayard-chaos-", ignore_cleanup_errors=True) as folder:
        return run_service(play(plan, Path(folder)))


def announce(plan: Plan) -> None:
    """What will be."""
    nodes = "" if plan.nodes == 1 else f", a bus of {plan.nodes} nodes"
    _say(f"seed {plan.seed}, {plan.jobs:,} jobs in {plan.seconds:.0f} s, {len(plan.blows)} blows{nodes}:")
    for blow in plan.blows:
        _say(f"  {blow}")


async def _fewest(plan: Plan) -> tuple[Blow, ...]:
    async def fails(blows: list[Blow]) -> bool:
        with tempfile.TemporaryDirectory(prefix="lorayard-chaos-", ignore_cleanup_errors=True) as folder:
            outcome = await play(plan.only(tuple(blows)), Path(folder))
        _say(f"  {len(blows)} blows: {'it fails' if outcome.failed else 'it holds'}")
        return outcome.failed

    return tuple(await minimize(plan.blows, fails, tries=TRIES))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, default=3.0)
    options.add_argument("--seconds", type=float, help="over which jobs are submitted, instead of minutes")
    options.add_argument("--jobs", type=int, help="else as many as such a yard keeps up with")
    options.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="of the bus")
    options.add_argument("--kinds", default="", help="of jobs, with commas between; else all")
    options.add_argument("--weapons", help="with commas between; else all; empty: none")
    options.add_argument("--mutate", default="", help=f"faults put in on purpose: {', '.join(MUTATIONS)}")
    options.add_argument("--no-operator", action="store_true", help="no pushes, promotes and rollbacks")
    options.add_argument("--plan", type=Path, help="play one that was written before")
    options.add_argument(
        "--minimize", action="store_true", help="when it fails: by fewer blows, again and again"
    )
    options.add_argument("--out", type=Path, help="folder for plan and ledger")
    options.add_argument("--json", action="store_true")
    options.add_argument("--log", type=Path, help="where the last words of all processes are written")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 1 when an order did not end as it may."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    given = _options().parse_args(told)
    enter(MODULE, told)
    plan = plan_of(given)
    announce(plan)
    name = f"seed-{plan.seed}-nodes-{plan.nodes}"
    if given.out is not None:
        write_plan(plan, given.out / f"{name}.plan.json")
    outcome = play_in(plan)
    if given.log is not None:
        given.log.write_text("\n".join(outcome.lines), encoding="utf-8")
    ledger = document(outcome)
    if given.out is not None:
        (given.out / f"{name}.json").write_text(json.dumps(ledger, indent=1) + "\n", encoding="utf-8")
    if given.json:
        sys.stdout.write(json.dumps(ledger, indent=2) + "\n")
    else:
        show(ledger, _say)
    if outcome.failed and given.minimize:
        _say("looking for the fewest blows under which it fails:")
        least = plan.only(run_service(_fewest(plan)))
        announce(least)
        write_plan(least, (given.out or Path()) / f"{name}.least.json")
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
