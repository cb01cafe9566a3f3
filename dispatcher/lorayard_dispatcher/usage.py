"""What tenants were charged for in advance, settled by what their jobs really used (docs/routing.md).

A hand-over charges its tenant what the job is expected to cost. When its worker holds the job no more that is
taken back, and what the worker has counted since is charged instead. Workers tell sums since their start, so
that lost and repeated reports do no harm, and every dispatcher adds up the whole fleet.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Container, Iterable
from typing import Protocol

from lorayard_dispatcher.known_worker import MOST_ROWS, KnownWorker
from lorayard_dispatcher.planning.values import WaitingJob

REMEMBERED_WORKERS = 4096
"""Their sums outlive them: one that only was out of reach comes back with the same."""

MOST_CONTEXT_TOKENS = 1 << 20
"""No model reads more."""


class Account(Protocol):
    """Who keeps what tenants were served: the planner."""

    @property
    def waiting_tenants(self) -> Container[str]:
        """Those with jobs that wait."""
        ...

    def charge(self, tenant: str, tokens: float) -> None:
        """A tenant was served so many tokens more, or less."""
        ...


class Usage:
    """Charges under way by worker, and the sums that workers told last."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._worker_of: dict[str, str] = {}
        self._charged: dict[str, dict[str, WaitingJob]] = {}
        self._told: OrderedDict[tuple[str, int], dict[str, int]] = OrderedDict()

    def planned(self, worker: str, job: WaitingJob) -> None:
        """A plan gives a job, and has charged for it: what an earlier hand-over of it cost is taken back."""
        self.back(job.key)
        self._put(worker, job)

    def handed(self, worker: str, job: WaitingJob) -> None:
        """A job goes to a worker, by a plan or past it; it is charged once, wherever it was before."""
        if self._take(job.key) is None:
            self._account.charge(job.tenant, job.tokens)
        self._put(worker, job)

    def back(self, key: str) -> None:
        """A job is at no worker."""
        job = self._take(key)
        if job is not None:
            self._account.charge(job.tenant, -job.tokens)

    def look(self, heard: Iterable[tuple[str, KnownWorker | None]]) -> None:
        """Settle what has ended at these workers; None: it is gone, and all it had."""
        for worker, known in heard:
            self._settle(worker, known)

    def _settle(self, worker: str, known: KnownWorker | None) -> None:
        held = {job.key for job in known.jobs} if known is not None else set[str]()
        ended = [job for key, job in self._charged.get(worker, {}).items() if key not in held]
        charges = defaultdict[str, float](float)
        for job in ended:
            self._take(job.key)
            charges[job.tenant] -= job.tokens
        ours = set(charges)
        for tenant, tokens in self._used(known).items() if known is not None else ():
            # Of what others gave out, only what tenants used that wait here too: nobody is to be behind, or
            # ahead, by what somebody used while it had nothing to do with this queue.
            if tenant in ours or tenant in self._account.waiting_tenants:
                charges[tenant] += tokens
        for tenant, tokens in sorted(charges.items()):
            self._account.charge(tenant, tokens)

    def _used(self, known: KnownWorker) -> dict[str, float]:
        """Tokens since the last look, by tenant: of a worker that is new here none, whatever it has done."""
        life, sums = (known.advert.worker, known.advert.epoch), known.load.served
        before = self._told.pop(life, sums)
        self._told[life] = sums
        while len(self._told) > REMEMBERED_WORKERS:
            self._told.popitem(last=False)
        # A lower sum is counted anew: the worker had forgotten a tenant that was long without jobs.
        grown = {
            tenant: total - last if total >= (last := before.get(tenant, 0)) else total
            for tenant, total in sums.items()
        }
        return {tenant: min(tokens, _most(known)) for tenant, tokens in grown.items() if tokens}

    def _put(self, worker: str, job: WaitingJob) -> None:
        self._worker_of[job.key] = worker
        self._charged.setdefault(worker, {})[job.key] = job

    def _take(self, key: str) -> WaitingJob | None:
        worker = self._worker_of.pop(key, None)
        if worker is None:
            return None
        jobs = self._charged[worker]
        job = jobs.pop(key)
        if not jobs:
            del self._charged[worker]
        return job


def _most(known: KnownWorker) -> float:
    """That one tenant's jobs can have cost between two reports: every row at once, as long as can be.

    A worker that claims more is wrong, and must not shut a tenant out for good.
    """
    advert = known.advert
    return float(min(advert.context_tokens, MOST_CONTEXT_TOKENS) * min(max(1, advert.rows_max), MOST_ROWS))
