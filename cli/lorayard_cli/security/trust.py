"""Whom a yard trusts: its accounts, users and certificates, as one value that is never changed in place.

All of it is secret but the public keys. `folder` writes it down, and what each process needs of it.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from lorayard_cli.security.certificates import Certificate, make_authority, make_server_certificate
from lorayard_cli.security.claims import Key, KeyKind
from lorayard_cli.security.roles import YARD_ROLES, Role
from lorayard_schemas.names import Tenant, subject_token
from lorayard_shared.errors import YardError

SALT_BYTES: Final = 32
CERTIFICATE_DAYS: Final = 365
DAY_SECONDS: Final = 86_400


class SecurityError(YardError):
    """What was asked cannot be done to this yard's keys."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Account(_Kept):
    """The yard's, or a tenant's."""

    seed: str = Field(repr=False)
    salt: str = Field(repr=False)
    """Of message ids."""
    revoked: dict[str, int] = Field(default_factory=dict[str, int])
    """Users by public key: void is what was signed until then, in unix seconds."""

    @property
    def key(self) -> Key:
        """What signs its users."""
        return Key(self.seed)

    @classmethod
    def new(cls) -> Account:
        """One of nobody yet."""
        return cls(seed=Key.new(KeyKind.ACCOUNT).seed, salt=secrets.token_urlsafe(SALT_BYTES))


class User(_Kept):
    """Whoever connects."""

    role: Role
    tenant: Tenant | None = None
    """Of a client."""
    seed: str = Field(repr=False)
    issued: int
    """Unix seconds."""
    expires: int | None = None

    @property
    def key(self) -> Key:
        """What it proves itself with."""
        return Key(self.seed)


class Pem(_Kept):
    """A certificate and its key."""

    certificate: str
    key: str = Field(repr=False)


class Trust(_Kept):
    """All of one yard."""

    form: int = 1
    prefix: str
    hosts: tuple[str, ...]
    operator: str = Field(repr=False)
    system: str = Field(repr=False)
    authority: Pem
    server: Pem
    yard: Account
    tenants: dict[str, Account]
    users: dict[str, User]

    def account(self, user: User) -> Account:
        """Where a user belongs."""
        return self.yard if user.tenant is None else self.tenants[user.tenant]


def client_name(tenant: str) -> str:
    """The user of a tenant's clients; a file may be called so."""
    return f"client-{subject_token(tenant).replace('/', '%2f')}"


def new_trust(
    *, prefix: str, hosts: tuple[str, ...], now: datetime, days: int | None, tenants: tuple[str, ...] = ()
) -> Trust:
    """Keys that nobody has: of all roles, and of these tenants. Users expire after `days`, None: never."""
    authority = make_authority(now)
    trust = Trust(
        prefix=prefix,
        hosts=hosts,
        operator=Key.new(KeyKind.OPERATOR).seed,
        system=Key.new(KeyKind.ACCOUNT).seed,
        authority=_kept(authority),
        server=_kept(make_server_certificate(authority, hosts, now, days=CERTIFICATE_DAYS)),
        yard=Account.new(),
        tenants={},
        users={role.value: _user(role, now, days) for role in YARD_ROLES},
    )
    for tenant in tenants:
        trust = add_tenant(trust, tenant, now=now, days=days)
    return trust


def add_tenant(trust: Trust, tenant: str, *, now: datetime, days: int | None) -> Trust:
    """With an account for a tenant, and a user for its clients; one that is there stays as it is."""
    if tenant in trust.tenants:
        return trust
    user = _user(Role.CLIENT, now, days, tenant=tenant)
    return trust.model_copy(
        update={
            "tenants": {**trust.tenants, tenant: Account.new()},
            "users": {**trust.users, client_name(tenant): user},
        }
    )


def remove_tenant(trust: Trust, tenant: str) -> Trust:
    """Without its account: nobody connects to it any more.

    Raises:
        SecurityError: there is none.
    """
    if tenant not in trust.tenants:
        raise SecurityError(f"there is no tenant {tenant!r}; those there are: {_listed(trust.tenants)}")
    return trust.model_copy(
        update={
            "tenants": {name: one for name, one in trust.tenants.items() if name != tenant},
            "users": {name: one for name, one in trust.users.items() if one.tenant != tenant},
        }
    )


def revoke(trust: Trust, name: str, *, now: datetime) -> Trust:
    """Without a user: its credentials are void, wherever they are.

    Raises:
        SecurityError: there is none.
    """
    user = _found(trust, name)
    trust = _void(trust, user, now)
    return trust.model_copy(update={"users": {key: one for key, one in trust.users.items() if key != name}})


def rotate(trust: Trust, name: str, *, now: datetime, days: int | None) -> Trust:
    """With other credentials for a user, whether it has some, was revoked, or they have expired.

    Raises:
        SecurityError: there is no such role and no such tenant.
    """
    if name in trust.users:
        user = trust.users[name]
        trust = _void(trust, user, now)
        fresh = _user(user.role, now, days, tenant=user.tenant)
    else:
        fresh = _of_name(trust, name, now, days)
    return trust.model_copy(update={"users": {**trust.users, name: fresh}})


def renew_server(trust: Trust, *, now: datetime, hosts: tuple[str, ...] = ()) -> Trust:
    """With another certificate for the servers, by the same authority."""
    names = tuple(dict.fromkeys((*trust.hosts, *hosts)))
    authority = Certificate(certificate=trust.authority.certificate, key=trust.authority.key)
    server = make_server_certificate(authority, names, now, days=CERTIFICATE_DAYS)
    return trust.model_copy(update={"hosts": names, "server": _kept(server)})


def _found(trust: Trust, name: str) -> User:
    if name not in trust.users:
        raise SecurityError(f"there is no user {name!r}; those there are: {_listed(trust.users)}")
    return trust.users[name]


def _of_name(trust: Trust, name: str, now: datetime, days: int | None) -> User:
    for tenant in trust.tenants:
        if client_name(tenant) == name:
            return _user(Role.CLIENT, now, days, tenant=tenant)
    if name in {role.value for role in YARD_ROLES}:
        return _user(Role(name), now, days)
    raise SecurityError(f"there is no user {name!r}; those there are: {_listed(trust.users)}")


def _void(trust: Trust, user: User, now: datetime) -> Trust:
    account = trust.account(user)
    revoked = {**account.revoked, user.key.public: int(now.timestamp())}
    account = account.model_copy(update={"revoked": revoked})
    if user.tenant is None:
        return trust.model_copy(update={"yard": account})
    return trust.model_copy(update={"tenants": {**trust.tenants, user.tenant: account}})


def _user(role: Role, now: datetime, days: int | None, *, tenant: str | None = None) -> User:
    issued = int(now.timestamp())
    return User(
        role=role,
        tenant=tenant,
        seed=Key.new(KeyKind.USER).seed,
        issued=issued,
        expires=None if days is None else issued + days * DAY_SECONDS,
    )


def _kept(made: Certificate) -> Pem:
    return Pem(certificate=made.certificate, key=made.key)


def _listed(names: dict[str, Account] | dict[str, User]) -> str:
    return ", ".join(sorted(names)) or "none"


def now_utc() -> datetime:
    """This moment."""
    return datetime.now(UTC)
