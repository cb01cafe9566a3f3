"""The address of the bus: how it must look, and how it may be shown."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

URL_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})

# To the last `@`: a password need not be encoded as it should be.
_LOGIN = re.compile(r"^([A-Za-z]+://)?.*@", re.DOTALL)


def without_login(url: str) -> str:
    """The address without user and password, for messages and logs: those end up in tickets."""
    return _LOGIN.sub(r"\1***@", url)


def _bus_url(value: str) -> str:
    try:
        parts = urlsplit(value if "://" in value else f"nats://{value}")
        host = (parts.hostname or "").split()
        usable = parts.scheme in URL_SCHEMES and len(host) == 1 and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("write nats://host:port (tls://, ws:// and wss:// too)")
    return value


BusUrl = Annotated[str, AfterValidator(_bus_url)]
