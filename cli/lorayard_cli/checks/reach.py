"""Why nobody can be connected to: nobody there, somebody else, or no entry."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lorayard_cli.checks.finding import Finding, fail
from lorayard_shared.bus_url import address_parts, addresses
from lorayard_shared.settings import YardSettings

SECONDS = 2.0
"""For each step: a server says who it is at once."""

_PORT = 4222
_WORDS = "lorayard up, or set LORAYARD_URL to the address of a server that runs"
_FIRST_BYTES = 65_536


class _Kind(Enum):
    """Who listens at an address."""

    NO_HOST = "no host"
    NOBODY = "nobody"
    SILENT = "silent"
    HTTP = "http"
    OTHER = "other"
    NATS = "nats"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """What a plain connection showed."""

    kind: _Kind
    detail: str = ""
    info: dict[str, Any] | None = None
    """What a NATS server says of itself."""


async def why_unreachable(settings: YardSettings, reason: str) -> Finding:
    """`reason` is what the client made of it. Of several addresses, one where a server is says most."""
    given = addresses(settings.url)
    places = [(parts.hostname or "", parts.port or _PORT) for parts in map(address_parts, given)]
    met = await asyncio.gather(*(_meet(host, port) for host, port in places))
    told = [
        _told(settings, address, place, one, reason)
        for address, place, one in zip(given, places, met, strict=True)
    ]
    servers = [told[at] for at, one in enumerate(met) if one.kind is _Kind.NATS]
    if len(told) == 1 or servers:
        return (servers or told)[0]
    return _fail("; ".join(one.message for one in told), _WORDS)


def _told(settings: YardSettings, address: str, place: tuple[str, int], met: _Met, reason: str) -> Finding:
    """Of one address."""
    host, where = place[0], f"{place[0]}:{place[1]}"
    match met.kind:
        case _Kind.NO_HOST:
            return _fail(f"there is no host {host!r} ({met.detail})", "set LORAYARD_URL to one that there is")
        case _Kind.NOBODY:
            return _fail(f"no NATS server answers at {where} ({met.detail})", _WORDS)
        case _Kind.HTTP if address_parts(address).scheme not in ("ws", "wss"):
            return _fail(
                f"{where} speaks HTTP, not NATS ({met.detail})",
                "LORAYARD_URL wants the server's client port, 4222 as a rule, not its monitoring port (8222) "
                "or a gateway; for its websocket port write ws://",
            )
        case _Kind.SILENT:
            return _fail(
                f"somebody takes connections at {where} and says nothing ({reason})",
                "a stopped or overloaded server (look at its process), or a port of something else",
            )
        case _Kind.OTHER:
            return _fail(f"{where} is no NATS server: it begins with {met.detail}", _WORDS)
        case _Kind.NATS if met.info is not None:
            return _of_server(settings, address, where, met.info, reason)
        case _:
            return _fail(f"no NATS server answers at {where} ({reason})", _WORDS)


def _of_server(
    settings: YardSettings, address: str, where: str, info: dict[str, Any], reason: str
) -> Finding:
    version = info.get("version", "?")
    if info.get("tls_required") and not address.startswith(("tls://", "wss://")):
        return _fail(
            f"nats-server {version} at {where} wants TLS, and LORAYARD_URL asks for none ({reason})",
            "write tls:// in LORAYARD_URL",
        )
    if info.get("auth_required") or "uthorization" in reason:
        asked = _credentials(settings, address)
        if asked is None:
            return _fail(
                f"nats-server {version} at {where} wants credentials, and none are given",
                "set LORAYARD_USER and LORAYARD_PASSWORD, or LORAYARD_CREDENTIALS_FILE",
            )
        return _fail(
            f"nats-server {version} at {where} refuses {asked} ({reason})",
            "are they this server's, and not expired or revoked? Its log says which user was refused",
        )
    return _fail(
        f"nats-server {version} at {where} takes no client ({reason})",
        "look into its log: too many connections, or it is shutting down",
    )


def _credentials(settings: YardSettings, address: str) -> str | None:
    if settings.credentials_file is not None:
        return f"the credentials of {settings.credentials_file}"
    if settings.user is not None:
        return f"user {settings.user!r} with the password given"
    return "the login in LORAYARD_URL" if "@" in address else None


async def _meet(host: str, port: int) -> _Met:
    """Connect as anybody may, and hear what comes; where nothing does, ask as a browser would."""
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
    except socket.gaierror as error:
        return _Met(kind=_Kind.NO_HOST, detail=error.strerror or str(error))
    except TimeoutError:
        return _Met(kind=_Kind.NOBODY, detail=f"no connection within {SECONDS:g} s")
    except OSError as error:
        return _Met(kind=_Kind.NOBODY, detail=error.strerror or "connection refused")
    try:
        said = await _hear(reader)
        if not said:
            writer.write(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            said = await _hear(reader)
    finally:
        writer.close()
    return _judge(said)


async def _hear(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(SECONDS):
            return await reader.read(_FIRST_BYTES)
    except (TimeoutError, OSError):
        return b""


def _judge(said: bytes) -> _Met:
    if not said:
        return _Met(kind=_Kind.SILENT)
    first = said.split(b"\r\n", 1)[0]
    shown = first[:60].decode(errors="backslashreplace")
    if said.startswith(b"HTTP/"):
        return _Met(kind=_Kind.HTTP, detail=shown)
    if said.startswith(b"INFO "):
        return _Met(kind=_Kind.NATS, info=_info(first[5:]))
    return _Met(kind=_Kind.OTHER, detail=repr(shown))


def _info(told: bytes) -> dict[str, Any]:
    """Nothing where it is longer than what was read, or not said as it should be."""
    try:
        found: object = json.loads(told)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _fail(message: str, mend: str) -> Finding:
    return fail("bus", message, mend)
