"""What is wrong with the workers of a yard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from shlex import quote

from lorayard.view.fleet import SILENT_SECONDS, SeenWorker
from lorayard.view.yard_state import YardState
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.snapshot import Trouble, TroubleLevel

SKEW_SECONDS = 2.0
"""A worker's clock beside the server's; writing an advert takes a millisecond."""

MOST_NAMED = 5

CRITICAL, WARNING = TroubleLevel.CRITICAL, TroubleLevel.WARNING


def fleet_troubles(state: YardState) -> Iterator[Trouble]:
    """In the order of a look at them."""
    alive = [worker for worker in state.workers if not worker.lost(state.now)]
    if not alive:
        waits = f"; {state.depth.unfinished} jobs wait" if state.depth.unfinished else ""
        yield Trouble(
            level=CRITICAL, code="no_worker", text=f"no worker is alive{waits}", mend="lorayard worker"
        )
    lost = [worker for worker in state.workers if worker.lost(state.now)]
    silent = [worker for worker in state.workers if worker.silent(state.now)]
    for worker in state.workers:
        if worker in lost[:MOST_NAMED]:
            yield Trouble(
                level=CRITICAL,
                code="worker_lost",
                text=f"worker {worker.name} is gone without a word, {worker.age(state.now):.0f} s ago",
                mend=f"start it again; lorayard workers show {quote(worker.name)} has its last words, if any",
                about=worker.name,
            )
        elif worker in silent[:MOST_NAMED]:
            yield Trouble(
                level=WARNING,
                code="worker_silent",
                text=f"worker {worker.name} has not been heard for {worker.age(state.now):.1f} s",
                mend="look at the load of its machine and at its network",
                about=worker.name,
            )
        if worker.advert is not None and not worker.lost(state.now):
            yield from _of_worker(worker, worker.advert)
    yield from _more(lost, silent)
    adverts = [worker.advert for worker in alive if worker.advert is not None]
    yield from _of_all(adverts, state.depth.unfinished)


def _more(lost: Sequence[SeenWorker], silent: Sequence[SeenWorker]) -> Iterator[Trouble]:
    """Those that are not named one by one: a machine or a network takes many along."""
    if more := len(lost[MOST_NAMED:]):
        yield Trouble(
            level=CRITICAL,
            code="worker_lost",
            text=f"{more} more workers are gone without a word",
            mend="their machine or its network is away: lorayard workers ls",
        )
    if more := len(silent[MOST_NAMED:]):
        yield Trouble(
            level=WARNING,
            code="worker_silent",
            text=f"{more} more workers have not been heard for {SILENT_SECONDS:g} s",
            mend="look at the load of their machine and at its network",
        )


def _of_worker(worker: SeenWorker, advert: WorkerAdvert) -> Iterator[Trouble]:
    if advert.trouble:
        yield Trouble(
            level=CRITICAL,
            code="worker_trouble",
            text=f"worker {worker.name} takes no jobs and is about to end: {advert.trouble}",
            mend=f"it is started again by `lorayard up`; lorayard workers show {quote(worker.name)} --stacks",
            about=worker.name,
        )
    if advert.faults:
        yield Trouble(
            level=WARNING,
            code="worker_stuck",
            text=f"worker {worker.name} makes no progress: {'; '.join(advert.faults)}",
            mend="if it hangs it ends by itself (LORAYARD_STALL_SECONDS); look at its log and machine",
            about=worker.name,
        )
    skew = advert.at - worker.stored_at
    if advert.at and abs(skew) > SKEW_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        yield Trouble(
            level=WARNING,
            code="clock_skew",
            text=f"the clock of worker {worker.name} is {abs(skew):.0f} s {side} the server's",
            mend="let NTP set both clocks",
            about=worker.name,
        )


def _of_all(adverts: Sequence[WorkerAdvert], unfinished: int) -> Iterator[Trouble]:
    taking = [one for one in adverts if not (one.load.draining or one.load.paused or one.trouble)]
    if adverts and not taking and unfinished:
        yield Trouble(
            level=CRITICAL,
            code="no_worker_takes_jobs",
            text=f"{unfinished} jobs wait, and every worker that lives drains, is paused or is about to end",
            mend="lorayard control ls shows what is paused; lorayard workers add 1",
        )
    if alone := sorted(one.worker for one in adverts if one.emergency):
        yield Trouble(
            level=WARNING,
            code="emergency",
            text=f"{_named(alone)} hear no dispatcher and pull jobs by themselves, without a plan",
            mend="lorayard dispatcher",
            about=alone[0],
        )
    if len({one.base_digest for one in adverts}) > 1:
        yield Trouble(
            level=WARNING,
            code="base_models_differ",
            text="workers have different base models: an adapter runs on those it was made for only",
            mend="start all with the same --model, or give each model a yard of its own (--prefix)",
        )
    refusals: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for one in adverts:
        for adapter in one.refused_adapters:
            refusals[f"{adapter.name}@{adapter.version}"].append(one.worker)
            reasons[f"{adapter.name}@{adapter.version}"] = adapter.reason
    for label in sorted(refusals)[:MOST_NAMED]:
        yield Trouble(
            level=WARNING,
            code="adapter_refused",
            text=f"{label} is not served by {_named(refusals[label])}: {reasons[label]}",
            mend="mend or remove that version's folder, or push a version that is whole",
            about=label,
        )
    if len(refusals) > MOST_NAMED:
        yield Trouble(
            level=WARNING,
            code="adapter_refused",
            text=f"{len(refusals) - MOST_NAMED} more versions are refused",
            mend="lorayard adapters ls",
        )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
