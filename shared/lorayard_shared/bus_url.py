"""The address of the bus, or of several of its nodes: how it must look, and how it may be shown."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

URL_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})
_WEB: Final = frozenset({"ws", "wss"})

# A password need not be encoded as it should be: it ends at the last `@`, and its own comma parts nothing.
_LOGIN = re.compile(r"^([A-Za-z]+://)?.*@", re.DOTALL)
_NEXT = re.compile(r",(?=\s*[A-Za-z]+://)|,(?!.*@)", re.DOTALL)


def addresses(url: str) -> list[str]:
    """Those of the nodes of one bus; whoever connects takes one that answers."""
    return [one.strip() for one in _NEXT.split(url)]


def address_parts(address: str) -> SplitResult:
    """Of one address; its scheme may be left out.

    Raises:
        ValueError: it is none.
    """
    return urlsplit(address if "://" in address else f"nats://{address}")


def without_login(url: str) -> str:
    """The address without user and password, for messages and logs: those end up in tickets."""
    return ",".join(_LOGIN.sub(r"\1***@", one) for one in addresses(url))


def _is_usable(address: str) -> bool:
    try:
        parts = address_parts(address)
        return parts.scheme in URL_SCHEMES and len((parts.hostname or "").split()) == 1 and parts.port != 0
    except ValueError:
        return False


def _bus_url(value: str) -> str:
    given = addresses(value)
    if not all(_is_usable(one) for one in given):
        raise ValueError("write nats://host:port (tls://, ws:// and wss:// too), or several, with commas")
    if len({address_parts(one).scheme in _WEB for one in given}) > 1:
        raise ValueError("all addresses must be of websockets, or none")
    return value


BusUrl = Annotated[str, AfterValidator(_bus_url)]
