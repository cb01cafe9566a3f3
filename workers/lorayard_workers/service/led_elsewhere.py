"""Whether rules have another adapter for a job that this worker holds, while no dispatcher lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.give_back import MAX_KEYS, GiveBack
from lorayard_shared.jobs.asked import asked_of_body
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Rule, UnknownAdapterError
from lorayard_workers.service.held_jobs import HeldJob, led_by


def led_elsewhere(held: HeldJob, directory: Directory) -> bool:
    """By what the job says of itself, and the versions that aliases led it to.

    One that names an adapter keeps it. So does one of a session, of which nothing is known here, and one that
    was chosen by its prompt: that is not read again.
    """
    given = held.assigned
    if held.address.adapter is not None or given.rule in (Rule.SESSION, Rule.SEMANTIC):
        return False
    try:
        asked = asked_of_body(held.address, given.body)
        if asked.session is not None:
            return False
        bound = {alias.name: version for alias, version in led_by(given)}
        found = directory.resolve(replace(asked, bound=bound, body=None))
    except (MalformedMessageError, UnknownAdapterError):
        return False  # it has one that was there
    runs = given.composition or given.adapter
    return found.made_of != (runs.digest if runs is not None else None)


def is_shut_out(held: HeldJob, record: AdapterRecord) -> bool:
    """Whether its tenant may not use a version any more that it was given."""
    given = held.assigned
    parts = given.composition.parts if given.composition is not None else ()
    refs = (*parts, *((given.adapter,) if given.adapter is not None else ()))
    has = any((ref.name, ref.version) == (record.name, record.version) for ref in refs)
    return has and not record.allows(held.address.tenant)


def orders_for(held: Iterable[HeldJob]) -> Iterator[GiveBack]:
    """That ask these jobs back, however many there are."""
    keys = [one.key for one in held]
    for start in range(0, len(keys), MAX_KEYS):
        yield GiveBack(keys=tuple(keys[start : start + MAX_KEYS]))
