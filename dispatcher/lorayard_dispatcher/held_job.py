"""A job that is no longer here: what is known of it until its worker lets it go."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from lorayard_shared.value import value

if TYPE_CHECKING:
    from lorayard_dispatcher.parked_job import ParkedJob  # the job itself, in which planning has no part


@value
class HeldJob:
    """A job that was given to a worker."""

    key: str
    lease: str
    group: str
    tenant: str
    job: str
    parts: tuple[str, ...] = ()
    """Adapters that it needs in slots together, where it is a sum of several."""
    parked: ParkedJob | None = field(default=None, compare=False, repr=False)
    """As it was given out, without its message once a worker has that: to see where it would go now."""
    columns: int = 0
    """That its derived adapter takes of the slots, where it has one."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """What it needs in slots; nothing for the base model."""
        return self.parts or ((self.group,) if self.group else ())
