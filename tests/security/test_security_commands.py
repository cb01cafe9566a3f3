"""`lorayard security`: what it writes, for whom, and what it says of a slip."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import cast

import pytest

from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.security.claims import read_claims
from lorayard_cli.security.folder import SecurityFolder

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, capsys: Capture) -> SecurityFolder:
    path = tmp_path / "keys"
    assert (
        run_command(["security", "init", "--dir", str(path), "--tenant", "acme", "--host", "bus.test"]) == 0
    )
    capsys.readouterr()
    return SecurityFolder(path)


def secrets_of(folder: SecurityFolder) -> set[str]:
    """Every seed, key and salt."""
    found: set[str] = set()

    def walk(value: object, name: str = "") -> None:
        if isinstance(value, dict):
            for key, one in cast("dict[str, object]", value).items():
                walk(one, key)
        elif isinstance(value, str) and name in ("seed", "salt", "operator", "system", "key"):
            found.add(value)

    walk(json.loads(folder.keys.read_text()))
    return found


def test_all_that_is_written_is_its_owners_alone_g4(folder: SecurityFolder) -> None:
    for path in folder.path.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path}: {mode:o}"


def test_the_servers_configuration_and_the_output_hold_no_secret_g4(
    folder: SecurityFolder, capsys: Capture
) -> None:
    secrets = secrets_of(folder)
    assert len(secrets) > 10
    for arguments in (["show"], ["show", "--json"], ["rotate", "worker"], ["tenant", "add", "beta"]):
        assert run_command(["security", *arguments, "--dir", str(folder.path)]) == 0
    told = capsys.readouterr()
    shown = told.out + told.err + folder.trust_file.read_text() + repr(folder.read())
    assert not [secret for secret in secrets | secrets_of(folder) if secret in shown]


def test_keys_are_never_overwritten(folder: SecurityFolder, capsys: Capture) -> None:
    before = folder.keys.read_bytes()
    assert run_command(["security", "init", "--dir", str(folder.path)]) == ExitCode.USAGE
    assert "has keys already" in capsys.readouterr().err
    assert folder.keys.read_bytes() == before


def test_a_tenant_that_is_added_again_stays_as_it_is(folder: SecurityFolder) -> None:
    run_command(["security", "tenant", "add", "beta", "--dir", str(folder.path)])
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert run_command(["security", "tenant", "add", "beta", "--dir", str(folder.path)]) == 0
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_what_was_revoked_leaves_no_file_and_can_be_made_anew(folder: SecurityFolder) -> None:
    old = folder.read().users["client-acme"].key.public
    assert run_command(["security", "revoke", "client-acme", "--dir", str(folder.path)]) == 0
    assert not folder.credentials("client-acme").exists()
    account = folder.read().tenants["acme"]
    assert old in account.revoked
    assert run_command(["security", "rotate", "client-acme", "--dir", str(folder.path), "--days", "2"]) == 0
    claims = read_claims(folder.credentials("client-acme").read_text().splitlines()[1])
    assert claims["sub"] != old
    assert claims["exp"] - claims["iat"] == 2 * 86_400
    assert folder.read().tenants["acme"].salt == account.salt, "keys of before lead to the same jobs"


def test_settings_of_a_user_name_files_and_the_host(folder: SecurityFolder) -> None:
    text = folder.environment("client-acme").read_text()
    assert "LORAYARD_URL=tls://bus.test:4222\n" in text
    assert f"LORAYARD_CREDENTIALS_FILE={folder.credentials('client-acme')}\n" in text
    assert "LORAYARD_TENANT=acme\n" in text
    assert "LORAYARD_TENANT" not in folder.environment("worker").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["init", "--tenant", ""], "no name of a tenant"),
        (["init", "--host", "nats://x:4222"], "no name and no address"),
        (["init", "--prefix", "No Prefix"], "LORAYARD_PREFIX"),
        (["init", "--days", "0"], "between 1 and"),
        (["show"], "security init"),
        (["rotate", "worker"], "security init"),
        (["tenant", "remove", "acme"], "security init"),
    ],
)
def test_a_slip_is_told_and_nothing_is_written(
    tmp_path: Path, capsys: Capture, arguments: list[str], says: str
) -> None:
    path = tmp_path / "none"
    assert run_command(["security", *arguments, "--dir", str(path)]) == ExitCode.USAGE
    assert says in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "arguments", [["rotate", "nobody"], ["revoke", "nobody"], ["tenant", "remove", "nobody"]]
)
def test_who_is_not_there_is_told_with_those_that_are(
    folder: SecurityFolder, capsys: Capture, arguments: list[str]
) -> None:
    assert run_command(["security", *arguments, "--dir", str(folder.path)]) == ExitCode.USAGE
    assert "acme" in capsys.readouterr().err


def test_damaged_keys_are_told_without_what_is_in_them(folder: SecurityFolder, capsys: Capture) -> None:
    text = folder.keys.read_text()
    folder.keys.write_text(text.replace('"form": 1', '"form": "x"').replace('"form":1', '"form":"x"'))
    assert run_command(["security", "show", "--dir", str(folder.path)]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "damaged at form" in told
    assert not [secret for secret in secrets_of(folder) if secret in told]
