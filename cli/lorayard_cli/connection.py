"""Commands as clients of the yard."""

from __future__ import annotations

from lorayard import Client
from lorayard_cli.options import YardAddress


def client(yard: YardAddress) -> Client:
    """A client of the addressed yard, to be used with `async with`."""
    return Client(settings=yard.settings(), name="cli")
