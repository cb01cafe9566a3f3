"""`lorayard security`: keys, accounts and certificates of a yard. All of it is done here, without a bus."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import TEXT, Output
from lorayard_cli.output import note, print_json, print_text

if TYPE_CHECKING:
    from lorayard_cli.security.folder import SecurityFolder
    from lorayard_cli.security.trust import Trust

DEFAULT_DIR = Path("security")
DAYS = 365

Dir = Annotated[Path, Parameter(name="--dir")]


def init(
    *,
    dir_: Dir = DEFAULT_DIR,
    tenant: tuple[str, ...] = (),
    host: tuple[str, ...] = (),
    prefix: str = "yard",
    days: int = DAYS,
    output: Output = TEXT,
) -> None:
    """Make keys for a new yard: an account for it, one per tenant, a user per role, and a server certificate.

    Parameters
    ----------
    dir_
        Folder to make.
    tenant
        Gets an account of its own; several times for several.
    host
        Name or address of the servers beside localhost; the first stands in the users' settings.
    prefix
        Of the yard's names on the bus.
    days
        For which credentials hold.
    """
    folder = _folder(dir_)
    from lorayard_cli.security.trust import new_trust, now_utc

    _check_days(days)
    tenants = tuple(_checked_tenant(one) for one in tenant)
    settings_prefix = _checked_prefix(prefix)
    hosts = tuple(_checked_host(one) for one in host)
    trust = new_trust(prefix=settings_prefix, hosts=hosts, now=now_utc(), days=days, tenants=tenants)
    folder.create(trust)
    _tell(folder, trust, output)
    if not output.json:
        note(f"start with them: lorayard up --secure {dir_}")
        note(f"or a server: nats-server -c {folder.server / 'nats-server.conf'}")


def show(*, dir_: Dir = DEFAULT_DIR, output: Output = TEXT) -> None:
    """List who may connect, and until when. No secrets.

    Parameters
    ----------
    dir_
        Folder of `security init`.
    """
    folder = _folder(dir_)
    _tell(folder, folder.read(), output)


def rotate(name: str, *, dir_: Dir = DEFAULT_DIR, days: int = DAYS, output: Output = TEXT) -> None:
    """Give a user other credentials; those of before are void once the servers have reloaded.

    Parameters
    ----------
    name
        As `security show` lists it: worker, client-acme. Also one that was revoked.
    dir_
        Folder of `security init`.
    days
        For which they hold.
    """
    folder = _folder(dir_)
    from lorayard_cli.security import trust as trusts

    _check_days(days)
    trust = folder.change(lambda trust: trusts.rotate(trust, name, now=trusts.now_utc(), days=days))
    _tell(folder, trust, output)
    _reload(output)


def revoke(name: str, *, dir_: Dir = DEFAULT_DIR, output: Output = TEXT) -> None:
    """Let a user in no more; one that is connected is cut off once the servers have reloaded.

    Parameters
    ----------
    name
        As `security show` lists it.
    dir_
        Folder of `security init`.
    """
    folder = _folder(dir_)
    from lorayard_cli.security import trust as trusts

    trust = folder.change(lambda trust: trusts.revoke(trust, name, now=trusts.now_utc()))
    _tell(folder, trust, output)
    _reload(output)


def tenant_add(tenant: str, *, dir_: Dir = DEFAULT_DIR, days: int = DAYS, output: Output = TEXT) -> None:
    """Make an account for a tenant, and credentials for its clients; one that is there stays as it is.

    Parameters
    ----------
    tenant
        Its name.
    dir_
        Folder of `security init`.
    days
        For which the credentials hold.
    """
    folder = _folder(dir_)
    from lorayard_cli.security import trust as trusts

    _check_days(days)
    name = _checked_tenant(tenant)
    trust = folder.change(lambda trust: trusts.add_tenant(trust, name, now=trusts.now_utc(), days=days))
    _tell(folder, trust, output)
    _reload(output)


def tenant_remove(tenant: str, *, dir_: Dir = DEFAULT_DIR, output: Output = TEXT) -> None:
    """Take a tenant's account away. Its results stay until they are too old; a new account has new keys.

    Parameters
    ----------
    tenant
        Its name.
    dir_
        Folder of `security init`.
    """
    folder = _folder(dir_)
    from lorayard_cli.security import trust as trusts

    trust = folder.change(lambda trust: trusts.remove_tenant(trust, tenant))
    _tell(folder, trust, output)
    _reload(output)


def renew_server(*, dir_: Dir = DEFAULT_DIR, host: tuple[str, ...] = (), output: Output = TEXT) -> None:
    """Make another certificate for the servers, by the same authority: clients need nothing new.

    Parameters
    ----------
    dir_
        Folder of `security init`.
    host
        A further name or address of the servers.
    """
    folder = _folder(dir_)
    from lorayard_cli.security import trust as trusts

    hosts = tuple(_checked_host(one) for one in host)
    trust = folder.change(lambda trust: trusts.renew_server(trust, now=trusts.now_utc(), hosts=hosts))
    _tell(folder, trust, output)
    _reload(output)


def _folder(path: Path) -> SecurityFolder:
    try:
        from lorayard_cli.security.folder import SecurityFolder
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed; run: pip install 'lorayard[security]'"
        raise CommandError(ExitCode.USAGE, "extra_missing", text) from error
    return SecurityFolder(path)


def _tell(folder: SecurityFolder, trust: Trust, output: Output) -> None:
    users = {
        name: {
            "role": user.role.value,
            "tenant": user.tenant,
            "expires": None
            if user.expires is None
            else datetime.fromtimestamp(user.expires, UTC).isoformat(),
            "settings": str(folder.environment(name)),
        }
        for name, user in sorted(trust.users.items())
    }
    if output.json:
        print_json({"dir": str(folder.path), "prefix": trust.prefix, "hosts": trust.hosts, "users": users})
        return
    for name, told in users.items():
        until = "for ever" if told["expires"] is None else f"until {str(told['expires'])[:10]}"
        print_text(f"{name:<24} {until:<18} {told['settings']}")


def _reload(output: Output) -> None:
    if not output.json:
        note("servers hear of it by a reload: nats-server --signal reload (`lorayard up` by itself)")


def _bad(field: str, reason: str) -> CommandError:
    return CommandError(ExitCode.USAGE, "bad_setting", f"{field}: {reason}", field=field)


def _check_days(days: int) -> None:
    if not 1 <= days <= 36_500:
        raise _bad("--days", f"between 1 and 36500, got {days}")


def _checked_tenant(name: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from lorayard_schemas.names import Tenant

    try:
        return TypeAdapter[str](Tenant).validate_python(name)
    except ValidationError as error:
        raise _bad("tenant", f"{name!r} is no name of a tenant: 1 to 64 characters are needed") from error


def _checked_prefix(prefix: str) -> str:
    from lorayard_shared.settings import YardSettings, read_settings

    return read_settings(YardSettings, prefix=prefix).prefix


def _checked_host(host: str) -> str:
    import ipaddress
    import re

    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not re.fullmatch(r"[A-Za-z0-9*]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        raise _bad("--host", f"{host!r} is no name and no address; write it without a scheme and a port")
    return host
