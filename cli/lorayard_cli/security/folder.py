"""A yard's keys on the disk: all of them in one file, and beside it what servers and processes read.

The folder and everything in it is its owner's alone. `keys.json` is needed by no process: it may lie
elsewhere, offline, between changes.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from lorayard_cli.security.boundary import tenant_imports, yard_exports
from lorayard_cli.security.claims import (
    Key,
    account_claims,
    operator_claims,
    sign_claims,
    user_claims,
)
from lorayard_cli.security.roles import inbox_prefix, permissions
from lorayard_cli.security.trust import SecurityError, Trust, User
from lorayard_schemas.subjects import Subjects

KEYS_NAME: Final = "keys.json"
TRUST_NAME: Final = "trust.conf"
"""What is included by the configuration of each server."""

CLAIMS_BYTES: Final = 64 * 1024

_SECRET: Final = 0o600
_FOLDER: Final = 0o700

JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SecurityFolder:
    """Where one yard's keys lie."""

    path: Path

    @property
    def keys(self) -> Path:
        """All secrets."""
        return self.path / KEYS_NAME

    @property
    def server(self) -> Path:
        """What servers read."""
        return self.path / "server"

    @property
    def trust_file(self) -> Path:
        """Accounts and TLS, to be included."""
        return self.server / TRUST_NAME

    @property
    def authority(self) -> Path:
        """The certificate of who vouches for the servers: no secret."""
        return self.path / "ca.crt"

    def credentials(self, name: str) -> Path:
        """Of one user."""
        return self.path / "users" / f"{name}.creds"

    def environment(self, name: str) -> Path:
        """Settings of a process that is this user."""
        return self.path / "users" / f"{name}.env"

    def create(self, trust: Trust) -> None:
        """Write a new one.

        Raises:
            SecurityError: there are keys already, or the folder cannot be written.
        """
        if self.keys.exists():
            raise SecurityError(
                f"{self.path} has keys already, and without them nobody gets in any more: "
                "`lorayard security show` tells of them, `tenant add` and `rotate` change them; "
                "choose another folder with --dir for another yard"
            )
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
            _write(self.path / ".gitignore", "*\n")
            self._write_all(trust)

    def read(self) -> Trust:
        """All of it.

        Raises:
            SecurityError: there is none, or it cannot be read.
        """
        try:
            return Trust.model_validate_json(self.keys.read_bytes())
        except FileNotFoundError as error:
            raise SecurityError(
                f"there are no keys in {self.path}: make some with `lorayard security init`"
            ) from error
        except OSError as error:
            raise SecurityError(f"{self.keys} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
            raise SecurityError(
                f"{self.keys} is damaged{f' at {field}' if field else ''}: bring it back from a copy"
            ) from error

    def change(self, decide: Callable[[Trust], Trust]) -> Trust:
        """Read, decide and write; two at once wait for each other.

        Raises:
            SecurityError: as `read`, or it cannot be written.
        """
        import fcntl

        with self._writing():
            trust = self.read()
            with (self.path / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                trust = decide(self.read())
                self._write_all(trust)
        return trust

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise SecurityError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _write_all(self, trust: Trust) -> None:
        # The keys first: whatever ends us behind them, the next change writes the rest again.
        _write(self.keys, trust.model_dump_json(indent=2) + "\n")
        for folder in (self.server, self.path / "users"):
            folder.mkdir(exist_ok=True, mode=_FOLDER)
        _write(self.authority, trust.authority.certificate)
        _write(self.server / "server.crt", trust.server.certificate)
        _write(self.server / "server.key", trust.server.key)
        _write(self.server / "nats-server.conf", self._server_configuration())
        for name, user in trust.users.items():
            _write(self.credentials(name), credentials_text(trust, name, user))
            _write(self.environment(name), self._environment_text(trust, name, user))
        for path in (self.path / "users").iterdir():
            if path.stem not in trust.users:
                path.unlink()
        # Last: who is cut off by a reload comes back at once, with what it finds here.
        _write(self.trust_file, json.dumps(self._trusted(trust), indent=2, ensure_ascii=False) + "\n")

    def _trusted(self, trust: Trust) -> JsonMap:
        """The part of a server's configuration that says who may connect, and how: no secrets but a path."""
        folder = self.server.absolute()
        accounts = account_tokens(trust)
        operator, system = Key(trust.operator), Key(trust.system).public
        return {
            "operator": sign_claims(
                operator, operator.public, "lorayard", operator_claims(system), issued=_began(trust)
            ),
            "system_account": system,
            "resolver": "MEMORY",
            "resolver_preload": accounts,
            # A user's claims come in one line, and name each subject that it may use.
            "max_control_line": CLAIMS_BYTES,
            "tls": {"cert_file": str(folder / "server.crt"), "key_file": str(folder / "server.key")},
        }

    def _server_configuration(self) -> str:
        return (
            "# One server. A cluster needs `cluster`, as in deploy/nats/cluster.conf, with its own `tls`.\n"
            "server_name: lorayard\n"
            "listen: 0.0.0.0:4222\n"
            f"jetstream {{\n  store_dir: {json.dumps(str(self.server.absolute() / 'data'))}\n"
            "  sync_interval: 1s\n}\n"
            f"include {TRUST_NAME}\n"
        )

    def variables(self, trust: Trust, name: str) -> dict[str, str]:
        """Settings of a process that is this user, but for the address.

        Raises:
            SecurityError: there is none, as after it was revoked.
        """
        if (user := trust.users.get(name)) is None:
            raise SecurityError(
                f"{self.path} has no user {name!r}: `lorayard security rotate {name}` makes it"
            )
        salt = trust.account(user).salt
        told = {
            "LORAYARD_CREDENTIALS_FILE": str(self.credentials(name).absolute()),
            "LORAYARD_TLS_CA": str(self.authority.absolute()),
            "LORAYARD_INBOX_PREFIX": inbox_prefix(user.role),
            "LORAYARD_MESSAGE_SALT": salt,
        }
        if user.tenant is not None:
            told |= {"LORAYARD_TENANT": user.tenant, "LORAYARD_IDEMPOTENCY_SALT": salt}
        return told

    def _environment_text(self, trust: Trust, name: str, user: User) -> str:
        host = trust.hosts[0] if trust.hosts else "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        told = {
            "LORAYARD_URL": f"tls://{shown}:4222",
            "LORAYARD_PREFIX": trust.prefix,
            **self.variables(trust, name),
        }
        return "".join(f"{key}={shlex.quote(value)}\n" for key, value in told.items())


def account_tokens(trust: Trust) -> dict[str, str]:
    """Claims of every account by its public key, as a server needs them."""
    operator, subjects = Key(trust.operator), Subjects(trust.prefix)
    yard, system = trust.yard.key.public, Key(trust.system).public
    told = {
        system: ("system", account_claims()),
        yard: (
            "yard",
            account_claims(jetstream=True, exports=yard_exports(subjects), revoked=trust.yard.revoked),
        ),
    }
    for tenant, account in trust.tenants.items():
        imports = tenant_imports(subjects, tenant, yard)
        told[account.key.public] = (tenant, account_claims(imports=imports, revoked=account.revoked))
    issued = _began(trust)
    return {
        public: sign_claims(operator, public, name, claims, issued=issued)
        for public, (name, claims) in told.items()
    }


def credentials_text(trust: Trust, name: str, user: User) -> str:
    """Credentials as NATS clients of all languages read them."""
    allowed = permissions(user.role, Subjects(trust.prefix), user.tenant)
    claims = user_claims(
        publish=list(allowed.publish), subscribe=list(allowed.subscribe), answers=allowed.answers
    )
    token = sign_claims(
        trust.account(user).key, user.key.public, name, claims, issued=user.issued, expires=user.expires
    )
    return credentials_file(token, user.seed)


def credentials_file(token: str, seed: str) -> str:
    """Claims, and the key that proves them, as a file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        "Whoever has this file is this user: show it to nobody.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def _began(trust: Trust) -> int:
    """One moment for all claims of the server, so that the same keys make the same file."""
    return min((user.issued for user in trust.users.values()), default=0)


def _write(path: Path, text: str) -> None:
    """Replace a file; nobody else may read it, at no moment."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(
        os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
