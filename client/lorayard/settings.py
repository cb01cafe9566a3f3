"""The client's settings: those of every process of a yard, and who it speaks for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from lorayard_schemas.names import Tenant
from lorayard_shared.registry.actor import default_actor
from lorayard_shared.settings import YardSettings, read_settings

Actor = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]


class ClientSettings(YardSettings):
    """Read from `LORAYARD_*` like all others."""

    tenant: Tenant = "default"
    idempotency_salt: SecretStr = SecretStr("")
    """Keeps job ids derived from idempotency keys unguessable for other tenants of the bus."""
    actor: Actor = Field(default_factory=default_actor)
    """Who changes adapters, for the audit trail."""
    connect_timeout_seconds: float = Field(default=2.0, gt=0)
    """A service wants to hear soon that nobody is there."""


def client_settings(base: YardSettings | None, **given: object) -> ClientSettings:
    """What was given, else what `base` sets, else the environment, else the default.

    Raises:
        SettingsError: naming the first bad setting.
    """
    values: dict[str, object] = base.model_dump(exclude_unset=True) if base is not None else {}
    values.update({key: value for key, value in given.items() if value is not None})
    return read_settings(ClientSettings, **values)
