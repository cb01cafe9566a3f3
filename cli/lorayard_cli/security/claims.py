"""Claims as a nats-server in operator mode reads them: signed once, offline, and checked by whoever connects.

A user's claims carry what it may do and until when; the server knows accounts and what was revoked, but no
user (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

import nkeys

JsonMap = dict[str, Any]

_VERSION: Final = 2
"""Of the claims' form."""

NO_LIMIT: Final = -1


class KeyKind(Enum):
    """What a key speaks for; its first letter says so (`O`, `A`, `U`), and behind an `S` in its seed."""

    OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
    ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
    USER = nkeys.PREFIX_BYTE_USER


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair by its seed, which stands in no message and no log."""

    seed: str

    def __repr__(self) -> str:
        """Without the seed."""
        return f"Key({self.public})"

    @classmethod
    def new(cls, kind: KeyKind) -> Key:
        """One that nobody has."""
        return cls(nkeys.encode_seed(os.urandom(32), kind.value).decode())

    @property
    def public(self) -> str:
        """What everybody may know."""
        return nkeys.from_seed(bytearray(self.seed, "ascii")).public_key.decode()

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes."""
        return bytes(nkeys.from_seed(bytearray(self.seed, "ascii")).sign(data))


def sign_claims(
    signer: Key, subject: str, name: str, claims: JsonMap, *, issued: int, expires: int | None = None
) -> str:
    """Claims about the public key `subject`; times in unix seconds, `expires` None: never."""
    body: JsonMap = {
        "iat": issued,
        "iss": signer.public,
        "name": name,
        "sub": subject,
        "nats": {**claims, "version": _VERSION},
    }
    if expires is not None:
        body["exp"] = expires
    body["jti"] = base64.b32encode(hashlib.sha256(_json(body)).digest()).decode().rstrip("=")
    text = f"{_url64(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_url64(_json(body))}"
    return f"{text}.{_url64(signer.sign(text.encode()))}"


def read_claims(token: str) -> JsonMap:
    """What claims say; their signature is the server's to check.

    Raises:
        ValueError: these are none.
    """
    part = token.strip().split(".")[1] if token.count(".") == 2 else ""
    claims: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) or b"null")
    if not isinstance(claims, dict):
        raise ValueError("no claims")
    return cast("JsonMap", claims)


def operator_claims(system_account: str) -> JsonMap:
    """Of whoever signs accounts."""
    return {"type": "operator", "system_account": system_account}


def account_claims(
    *,
    jetstream: bool = False,
    exports: list[JsonMap] | None = None,
    imports: list[JsonMap] | None = None,
    revoked: dict[str, int] | None = None,
) -> JsonMap:
    """Of an account: whether it may have streams, what it gives to others, what it takes from them.

    `revoked` are users by their public keys, of whom all is void that was signed until then (unix seconds).
    """
    names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
    stores = ("mem_storage", "disk_storage", "streams", "consumer")
    limits: JsonMap = dict.fromkeys(names, NO_LIMIT) | {"wildcards": True}
    if jetstream:
        limits |= dict.fromkeys(stores, NO_LIMIT)
    claims: JsonMap = {"type": "account", "limits": limits}
    if exports:
        claims["exports"] = exports
    if imports:
        claims["imports"] = imports
    if revoked:
        claims["revocations"] = revoked
    return claims


def user_claims(
    *, publish: list[str], subscribe: list[str], answers: bool = False, deny_publish: list[str] | None = None
) -> JsonMap:
    """Of one user: where it may speak and listen; `answers`: to whoever has asked it, too."""
    claims: JsonMap = {
        "type": "user",
        "pub": {"allow": publish, **({"deny": deny_publish} if deny_publish else {})},
        "sub": {"allow": subscribe},
        "subs": NO_LIMIT,
        "data": NO_LIMIT,
        "payload": NO_LIMIT,
    }
    if answers:
        claims["resp"] = {"max": ANSWERS_AT_MOST, "ttl": ANSWER_NANOSECONDS}
    return claims


ANSWERS_AT_MOST: Final = 1024
"""To one question: a page of a stream has as many messages."""

ANSWER_NANOSECONDS: Final = 120 * 1_000_000_000
"""Cancelling many jobs may take as long."""


def service(subject: str, *, of: str = "", here: str = "", many_answers: bool = False) -> JsonMap:
    """Questions that may be asked on a subject: exported, or with `of` (an account) imported as `here`."""
    told: JsonMap = {"name": here or subject, "subject": subject, "type": "service"}
    if of:
        return {**told, "account": of, **({"local_subject": here} if here and here != subject else {})}
    return {**told, "response_type": "Stream" if many_answers else "Singleton"}


def stream(subject: str, *, of: str = "") -> JsonMap:
    """What is heard on a subject: exported, or with `of` imported."""
    told: JsonMap = {"name": subject, "subject": subject, "type": "stream"}
    return {**told, "account": of} if of else told


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
