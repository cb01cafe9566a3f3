"""Who changed the registry, and why: one record for each change, in `YARD_AUDIT`."""

from __future__ import annotations

from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import encode
from lorayard_schemas.names import key_token, split_version
from lorayard_shared.audit.writing import writer_of
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event, process_logger


async def tell_change(bus: Bus, change: RegistryChange) -> bool:
    """Write the record; whether it is stored.

    The change itself is made by then and stays: who made it last, and why, stands in its record too, so one
    audit record that is lost hides nothing of what is so now. It is logged.
    """
    name, version = split_version(change.key)
    subject = bus.subjects.registry_audit(change.what, name, version or str(change.revision))
    # One change is told once, however often its writer tries.
    dedupe = f"{bus.subjects.prefix}-{change.what}-{key_token(change.key)}-{change.verb}-{change.at}"
    failure = await writer_of(bus).write(subject, encode(change), message_id=dedupe)
    if failure is None:
        return True
    process_logger().error(Event.AUDIT_LOST, key=change.key, verb=change.verb, error=str(failure))
    return False
