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
    parts: tuple[str, ...] = ()
    """Adapters that it needs in slots together, where it is a sum of several."""
    columns: int = 0
    """That its derived adapter takes of the slots, where it has one."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """What it needs in slots; nothing for the base model."""
        return self.parts or ((self.group,) if self.group else ())
