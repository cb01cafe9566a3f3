"""Commands as clients of the yard."""

from __future__ import annotations

from lorayard import Client
from lorayard.settings import client_settings
from lorayard_cli.options import YardAddress


def client(yard: YardAddress, *, actor: str | None = None, tenant: str | None = None) -> Client:
    """A client of the addressed yard, to be used with `async with`; None: as the environment says."""
    return Client(settings=client_settings(yard.settings(), actor=actor, tenant=tenant), name="cli")
