"""A job that is no longer here: what is known of it until its worker lets it go."""

from __future__ import annotations

from lorayard_shared.value import value


@value
class HeldJob:
    """A job that was given to a worker."""

    key: str
    lease: str
    group: str
    tenant: str
    job: str
