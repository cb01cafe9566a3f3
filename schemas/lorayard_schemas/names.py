"""Names of tenants, workers and adapters, and how they become subject tokens and bucket keys.

NATS splits subjects at dots and reads `*` and `>` as wildcards, so a name never enters a subject as it
is: lower-case letters, digits, `-`, `_` and `/` stay, every other byte is percent-encoded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

CHOOSE = "_"
"""The adapter token of a job whose adapter the yard is to choose."""

BASE = "base"
"""The reserved adapter name for the base model itself."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_/")
_SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_ADAPTER = re.compile(rf"{_SEGMENT}/{_SEGMENT}/{_SEGMENT}")
_VERSION = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9])?")
_ALIAS = re.compile(r"[a-z](?:[a-z-]{0,30}[a-z])?")
"""A version has a digit and an alias has none, so that one never reads as the other."""


# Few names stand in the subjects of many jobs, so the last ones are kept: here, and where adapters are read.
@lru_cache(maxsize=4096)
def subject_token(name: str) -> str:
    """One subject token for a name; `token_name` turns it back.

    Raises:
        ValueError: the name is empty.
    """
    if not name:
        raise ValueError("a name in a subject must not be empty")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in name.encode("utf-8"))


def token_name(token: str) -> str:
    """The name a subject token stands for.

    Raises:
        ValueError: the token is empty or is not UTF-8 once decoded.
    """
    if not token:
        raise ValueError("a subject token must not be empty")
    return unquote(token, errors="strict")


def key_token(name: str) -> str:
    """One bucket-key token for a name: as a subject token, but keys admit `=` and not `%`."""
    return subject_token(name).replace("%", "=")


@lru_cache(maxsize=4096)
def _adapter_name(value: str) -> str:
    if value == BASE:
        return value
    name, _, version = value.partition("@")
    if not _ADAPTER.fullmatch(name):
        raise ValueError(
            f"{value!r} is not an adapter: write {{org}}/{{model-family}}/{{task}}, "
            "lower-case letters, digits and . _ - inside, with @version behind it if you need one"
        )
    if "@" in value and not _VERSION.fullmatch(version) and not _ALIAS.fullmatch(version):
        raise ValueError(
            f"{version!r} is not a version: letters, digits and . _ + - inside, with a digit; "
            "nor an alias: lower-case letters and - inside"
        )
    return value


AdapterSpec = Annotated[str, AfterValidator(_adapter_name)]
"""`{org}/{model-family}/{task}`, with `@version` or `@alias` behind it or not, or `base`."""


def _unversioned(value: str) -> str:
    if value == BASE or "@" in _adapter_name(value):
        raise ValueError(f"{value!r} is not the plain name of an adapter: {{org}}/{{model-family}}/{{task}}")
    return value


AdapterName = Annotated[str, AfterValidator(_unversioned)]
"""`{org}/{model-family}/{task}` and nothing else: what an adapter is registered under."""


def _version(value: str) -> str:
    if not _VERSION.fullmatch(value):
        raise ValueError(f"{value!r} is not a version: letters, digits and . _ + - inside, with a digit")
    return value


Version = Annotated[
    str,
    AfterValidator(_version),
    WithJsonSchema({"type": "string", "pattern": rf"^{_VERSION.pattern}$"}),
]
"""Has a digit: a word without one is an alias."""

AliasWord = Annotated[str, StringConstraints(pattern=rf"^{_ALIAS.pattern}$")]
"""What stands behind the @ of an alias: lower-case letters, `-` inside."""

JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A job's id is one subject token as it stands."""

Tenant = Annotated[str, StringConstraints(min_length=1, max_length=64)]
SessionName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""Whatever a client calls a conversation; known within its tenant only."""

Digest = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+:[0-9a-f]{8,128}$")]
"""`algorithm:hex`, the content and never the name."""


def check_adapter_spec(value: str) -> str:
    """The value, if it names an adapter.

    Raises:
        ValueError: it does not, with the form that would.
    """
    return _adapter_name(value)


def split_version(spec: str) -> tuple[str, str | None]:
    """`name@version` as its two parts; None stands for the newest version."""
    name, at, version = spec.partition("@")
    return name, version if at else None


def is_alias(word: str) -> bool:
    """Whether what stands behind an @ is an alias, and no version."""
    return _ALIAS.fullmatch(word) is not None


@lru_cache(maxsize=4096)
def version_order(version: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key under which version 2 comes before 10."""
    parts = re.findall(r"\d+|\D+", version)
    # isdecimal, as \d: `²` is a digit that int() cannot read.
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)
