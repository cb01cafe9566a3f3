"""Credentials that are revoked, replaced or expired open nothing; nor does a server nobody vouches for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.security.conftest import SecureServer, connected

from lorayard_cli.security import trust as trusts
from lorayard_cli.security.folder import credentials_text
from lorayard_cli.security.trust import now_utc
from lorayard_shared.bus.connection import connect
from lorayard_shared.errors import BusUnavailableError, SettingsError
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def test_a_revoked_user_is_cut_off_and_comes_back_with_new_credentials_only_g4(
    own_secure_server: SecureServer, tmp_path: Path, wait_until: WaitUntil
) -> None:
    server = own_secure_server
    async with await connected(server, "worker") as worker, await server.connect("dispatcher") as other:
        stolen = tmp_path / "stolen.creds"
        stolen.write_bytes(server.folder.credentials("worker").read_bytes())
        thief = server.settings("worker", credentials_file=str(stolen), connect_timeout_seconds=1.0)
        async with await connect(thief, name="before"):
            pass
        server.change(lambda trust: trusts.rotate(trust, "worker", now=now_utc(), days=1))
        await wait_until(lambda: worker.reconnects >= 1)  # with the new file, which it reads by itself
        with pytest.raises(BusUnavailableError, match="refuses this login"):
            await connect(thief, name="after")
        assert other.disconnects == 0


async def test_expired_credentials_open_nothing_and_an_open_connection_ends_g4(
    own_secure_server: SecureServer, tmp_path: Path, wait_until: WaitUntil
) -> None:
    server = own_secure_server
    async with await connected(server, "observer"):
        pass
    trust = server.folder.read()
    issued = int(now_utc().timestamp())
    file = tmp_path / "short.creds"
    short = trust.users["observer"].model_copy(update={"expires": issued + 2})
    file.write_text(credentials_text(trust, "observer", short))
    settings = server.settings("observer", credentials_file=str(file), connect_timeout_seconds=1.0)
    async with await connect(settings, name="short") as bus:
        await wait_until(lambda: bus.disconnects >= 1)

    async def refused() -> bool:  # a second counts to its end
        try:
            async with await connect(settings, name="late"):
                return False
        except BusUnavailableError as error:
            return "refuses this login" in str(error)

    await wait_until(refused)


async def test_a_removed_tenant_is_out_and_a_new_one_is_in(
    own_secure_server: SecureServer, wait_until: WaitUntil
) -> None:
    server = own_secure_server
    old = server.settings("client-beta", connect_timeout_seconds=1.0)
    async with await connected(server, "client-beta") as beta:
        server.change(lambda trust: trusts.remove_tenant(trust, "beta"))
        await wait_until(lambda: beta.disconnects >= 1)
    with pytest.raises((BusUnavailableError, SettingsError)):
        await connect(old, name="old")
    server.change(lambda trust: trusts.add_tenant(trust, "gamma", now=now_utc(), days=1))
    async with await connected(server, "client-gamma") as gamma:
        assert gamma.connected


async def test_claims_that_somebody_else_signed_open_nothing_g4(
    bare_server: SecureServer, tmp_path: Path
) -> None:
    other = trusts.new_trust(prefix="yard", hosts=(), now=now_utc(), days=1)
    file = tmp_path / "other.creds"
    file.write_text(credentials_text(other, "operator", other.users["operator"]))
    with pytest.raises(BusUnavailableError, match="refuses this login"):
        await connect(bare_server.settings("operator", credentials_file=str(file)), name="other")


async def test_nobody_enters_without_credentials_or_without_tls_g4(bare_server: SecureServer) -> None:
    async with await connected(bare_server, "observer"):
        pass
    url, authority = bare_server.running.url, bare_server.folder.authority
    for settings in (
        YardSettings(url=url, tls_ca=authority, connect_timeout_seconds=1.0),
        YardSettings(url=url.replace("tls://", "nats://"), connect_timeout_seconds=1.0),
    ):
        with pytest.raises(BusUnavailableError):
            await connect(settings, name="nobody")


async def test_a_server_with_another_certificate_gets_no_credentials_g4(
    bare_server: SecureServer, tmp_path: Path
) -> None:
    other = trusts.new_trust(prefix="yard", hosts=(), now=now_utc(), days=1)
    authority = tmp_path / "other.crt"
    authority.write_text(other.authority.certificate)
    settings = bare_server.settings("operator", tls_ca=authority, connect_timeout_seconds=2.0)
    with pytest.raises(BusUnavailableError, match="certificate"):
        await connect(settings, name="deceived")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"credentials_file": "/nowhere/x.creds"}, "cannot be read"),
        ({"credentials_file": __file__.replace("test_credentials.py", "matrix.txt")}, "holds no credentials"),
        ({"tls_ca": Path("/nowhere/ca.crt")}, "cannot be used"),
    ],
)
async def test_files_that_are_none_are_named_before_anybody_is_asked(
    given: dict[str, object], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        await connect(YardSettings.model_validate({"url": "tls://127.0.0.1:9", **given}), name="x")
