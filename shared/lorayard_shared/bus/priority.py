"""Whom a consumer serves: the one dispatcher it has pinned, or whoever pulls, in order of priority.

The server changes the policy of a consumer that is in use, and keeps its leases (measured, 2.15); standing
pulls of before are served by the new policy. A second consumer for emergencies is not possible: filters of a
work queue must not overlap, and a consumer that is given another filter never gives out what lies behind it.
"""

from __future__ import annotations

from lorayard_shared.bus.connection import Bus, JsonMap
from lorayard_shared.bus.topology import PINNED, PRIORITIZED, ConsumerDeclaration


async def serve_pinned(bus: Bus, consumer: ConsumerDeclaration) -> None:
    """One dispatcher at a time, as declared.

    Raises:
        ApiError: the server's refusal.
        nats.errors.Error: no answer.
    """
    await _serve(bus, consumer, PINNED)


async def serve_by_priority(bus: Bus, consumer: ConsumerDeclaration) -> None:
    """Everybody who pulls, the lowest number first; a pull without one counts as 0.

    Raises:
        ApiError: the server's refusal.
        nats.errors.Error: no answer.
    """
    await _serve(bus, consumer, PRIORITIZED)


async def _serve(bus: Bus, consumer: ConsumerDeclaration, policy: JsonMap) -> None:
    place = f"{consumer.stream}.{consumer.name}"
    found: JsonMap = (await bus.api(f"CONSUMER.INFO.{place}"))["config"]
    if found.get("priority_policy") == policy["priority_policy"]:
        return
    # As it is found: an operator may have raised a limit on purpose.
    config = {**found, "priority_timeout": 0, **policy}
    body = {"stream_name": consumer.stream, "config": config, "action": "update"}
    await bus.api(f"CONSUMER.CREATE.{place}", body)
