"""Every subject and bucket name of a yard, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lorayard_schemas.job import Lane
from lorayard_schemas.names import CHOOSE, subject_token, token_name


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAddress:
    """What a job's subject says. `adapter` None leaves the choice to the yard."""

    lane: Lane
    tenant: str
    adapter: str | None


class BadSubjectError(ValueError):
    """A subject is not one of this yard's job subjects."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """The names under one prefix; several yards can share an account by their prefixes."""

    prefix: str = "yard"

    def job(self, address: JobAddress) -> str:
        """Where a job is published."""
        adapter = CHOOSE if address.adapter is None else subject_token(address.adapter)
        return f"{self.prefix}.jobs.{address.lane}.{subject_token(address.tenant)}.{adapter}"

    def due_job(self, address: JobAddress) -> str:
        """Where the server puts a scheduled job when its time has come."""
        return self.due_of(self.job(address))

    def due_of(self, job_subject: str) -> str:
        """The same for a subject of `job`."""
        return job_subject.replace(f"{self.prefix}.jobs.", f"{self.prefix}.due.", 1)

    def parse_job(self, subject: str) -> JobAddress:
        """Read the subject of a job, or of a scheduled job that is due.

        In a yard with partitions the server has put the job's partition behind it, as stored.

        Raises:
            BadSubjectError: with the part that is wrong.
        """
        return _job_address(self.prefix, subject)

    @property
    def jobs(self) -> str:
        """All jobs that may run now."""
        return f"{self.prefix}.jobs.>"

    @property
    def delayed(self) -> str:
        """All scheduled jobs."""
        return f"{self.prefix}.delayed.>"

    @property
    def due(self) -> str:
        """All scheduled jobs whose time has come."""
        return f"{self.prefix}.due.>"

    def delayed_job(self, tenant: str, job: str) -> str:
        """The schedule of one job; purging it cancels the schedule."""
        return f"{self.prefix}.delayed.{subject_token(tenant)}.{job}"

    @property
    def results(self) -> str:
        """All stored results."""
        return f"{self.prefix}.results.>"

    def result(self, tenant: str, job: str) -> str:
        """Where a job's one result is stored."""
        return f"{self.prefix}.results.{subject_token(tenant)}.{job}"

    def done(self, tenant: str, job: str = "*") -> str:
        """Where a stored result is announced: listen here, never on `results`."""
        return f"{self.prefix}.done.{subject_token(tenant)}.{job}"

    @property
    def done_all(self) -> str:
        """Where every stored result is announced."""
        return f"{self.prefix}.done.>"

    @property
    def tokens(self) -> str:
        """All streamed tokens."""
        return f"{self.prefix}.tokens.>"

    def token_events(self, tenant: str, job: str) -> str:
        """Where a worker tells what it writes on a streamed job."""
        return f"{self.prefix}.tokens.{subject_token(tenant)}.{job}"

    @property
    def told_all(self) -> str:
        """Where every stored event of a streamed job is announced."""
        return f"{self.prefix}.told.>"

    def told(self, tenant: str, job: str) -> str:
        """Where stored events of a job are announced: listen here, never on `tokens`."""
        return f"{self.prefix}.told.{subject_token(tenant)}.{job}"

    @property
    def dead(self) -> str:
        """All dead letters."""
        return f"{self.prefix}.dead.>"

    def dead_letter(self, tenant: str, adapter: str | None, job: str) -> str:
        """Where a job that was given up is kept."""
        token = CHOOSE if adapter is None else subject_token(adapter)
        return f"{self.prefix}.dead.{subject_token(tenant)}.{token}.{job}"

    def unreadable_letter(self, tenant_token: str) -> str:
        """Where a message without a job's id is kept, by the tenant's token in its subject."""
        return f"{self.prefix}.dead.{tenant_token}.{CHOOSE}"

    @property
    def audit(self) -> str:
        """All audit records."""
        return f"{self.prefix}.audit.>"

    def job_audit(self, kind: str, tenant: str, job: str) -> str:
        """Records of one kind about one job; kind `*` stands for all."""
        return f"{self.prefix}.audit.{kind}.{subject_token(tenant)}.{job}"

    def worker_audit(self, kind: str, worker: str) -> str:
        """Records of one kind about one worker."""
        return f"{self.prefix}.audit.{kind}.{subject_token(worker)}"

    def act_audit(self, tenant: str, job: str = "") -> str:
        """Records of what was done to a job, or to many jobs of a tenant."""
        return self.job_audit("act", tenant, job) if job else self.worker_audit("act", tenant)

    def registry_audit(self, what: str, name: str = "*", number: str = "*") -> str:
        """Records about one name in a bucket of the registry; `number` is its version or a revision."""
        tokens = [part if part == "*" else subject_token(part) for part in (what, name, number)]
        return f"{self.prefix}.audit.registry.{'.'.join(tokens)}"

    def assign(self, worker: str) -> str:
        """Where a worker takes jobs."""
        return f"{self.prefix}.worker.{subject_token(worker)}.assign"

    def control(self, worker: str, verb: str) -> str:
        """Where a worker takes orders: cancel, and those of `OrderVerb`."""
        return f"{self.prefix}.worker.{subject_token(worker)}.control.{verb}"

    @property
    def crew(self) -> str:
        """Where a running `lorayard up` takes orders about its workers."""
        return f"{self.prefix}.supervisor.workers"

    def dispatcher(self, verb: str) -> str:
        """Where any dispatcher answers: cancel, status."""
        return f"{self.prefix}.dispatcher.{verb}"

    def service(self, verb: str) -> str:
        """Where a service answers that any process may host: snapshot."""
        return f"{self.prefix}.svc.{verb}"

    def is_order(self, subject: str) -> bool:
        """Whether an order or a question goes there that may come twice: all but work handed to a worker."""
        if subject.startswith(f"{self.prefix}.dispatcher."):
            return True
        return subject.startswith(f"{self.prefix}.worker.") and ".control." in subject

    def dispatcher_status(self, dispatcher: str) -> str:
        """Where one dispatcher tells its status."""
        return f"{self.prefix}.dispatcher.{subject_token(dispatcher)}.status"

    def dispatcher_health(self, dispatcher: str) -> str:
        """Where one dispatcher tells whether it does its work."""
        return f"{self.prefix}.dispatcher.{subject_token(dispatcher)}.health"

    def own(self, tenant: str) -> str:
        """Under which the server brings what a tenant in an account of its own asks (`own`)."""
        return f"{self.prefix}.own.{subject_token(tenant)}"

    def info(self, stream: str) -> str:
        """Where a tenant in an account of its own asks of a stream, for there the server says that it has
        none."""
        return f"{self.prefix}.info.{stream}"

    def load(self, dispatcher: str) -> str:
        """Where workers report load to one dispatcher."""
        return f"{self.prefix}.load.{subject_token(dispatcher)}"

    def door(self, tenant: str) -> str:
        """Where a tenant's clients hear what would be refused now."""
        return f"{self.prefix}.door.{subject_token(tenant)}"

    @property
    def limit_gossip(self) -> str:
        """Where dispatchers tell each other what they let in of limits."""
        return f"{self.prefix}.limits"

    @property
    def usages(self) -> str:
        """All counters of what is used of quotas."""
        return f"{self.prefix}.usage.>"

    def usage(self, tenant: str | None, adapter: str | None, limit: str, window: str) -> str:
        """The counter of one quota in one window."""
        whose = ["-" if name is None else f"={subject_token(name)}" for name in (tenant, adapter)]
        return f"{self.prefix}.usage.{whose[0]}.{whose[1]}.{limit}.{window}"

    def stream(self, kind: str) -> str:
        """A stream's name: `YARD_JOBS` for `jobs`."""
        return f"{self.prefix}_{kind}".upper().replace("-", "_")

    def bucket(self, kind: str) -> str:
        """A bucket's name: `yard_workers` for `workers`."""
        return f"{self.prefix}_{kind}"


# Many jobs share a subject, and every job's is read twice: by its dispatcher and by its worker.
@lru_cache(maxsize=4096)
def _job_address(prefix: str, subject: str) -> JobAddress:
    heads = (f"{prefix}.jobs.", f"{prefix}.due.")
    head = next((head for head in heads if subject.startswith(head)), None)
    parts = subject.removeprefix(head or "").split(".")
    if len(parts) == 4 and parts[3].isdecimal():
        parts.pop()  # the partition
    if head is None or len(parts) != 3:
        raise BadSubjectError(f"{subject}: expected {heads[0]}{{lane}}.{{tenant}}.{{adapter}}")
    try:
        return JobAddress(
            lane=Lane(parts[0]),
            tenant=token_name(parts[1]),
            adapter=None if parts[2] == CHOOSE else token_name(parts[2]),
        )
    except ValueError as error:
        raise BadSubjectError(f"{subject}: {error}") from error
