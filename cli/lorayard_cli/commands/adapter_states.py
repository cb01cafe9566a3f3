"""`lorayard adapters validate`, `activate`, `archive` and `rm`: what becomes of a version."""

from __future__ import annotations

from lorayard import AdapterRecord
from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text, short_digest
from lorayard_cli.transfer_progress import megabytes


async def validate(
    adapter: str, *, why: str = "", yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Have a worker fetch, load and try a version that was pushed; it serves nobody yet.

    Ends with 5 and the module and reason where the worker refuses it.

    Parameters
    ----------
    adapter
        Its name, for the newest version in the store, or name@version.
    why
        For the record.
    """
    async with client(yard) as connected:
        _tell(await connected.adapters.validate(adapter, reason=why), output)


async def activate(
    adapter: str, *, why: str = "", yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Let a version serve; a worker tries it first, if none has.

    Parameters
    ----------
    adapter
        Its name, for the newest version in the store, or name@version.
    why
        For the record.
    """
    async with client(yard) as connected:
        _tell(await connected.adapters.activate(adapter, reason=why), output)


async def archive(adapter: str, *, why: str = "", yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Let a version serve no more: what runs with it finishes, and its files are kept.

    Ends with 5 while an alias or a rule leads to it.

    Parameters
    ----------
    adapter
        name@version.
    why
        For the record.
    """
    async with client(yard) as connected:
        _tell(await connected.adapters.archive(adapter, reason=why), output)


async def rm(adapter: str, *, why: str = "", yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Take a version out of the registry, and out of the store what no other version needs; for good.

    Ends with 5 while it serves or something counts on it: an alias, a rule, a placement, sessions, jobs.

    Parameters
    ----------
    adapter
        name@version
    why
        For the record.
    """
    async with client(yard) as connected:
        report = await connected.adapters.remove(adapter, reason=why)
    if output.json:
        document = report.record.model_dump(mode="json")
        print_json({"removed": document, "freed_bytes": report.freed_bytes})
    else:
        freed = megabytes(report.freed_bytes)
        print_text(f"{report.record.label} is removed; {freed} MB of the store are free again")


def _tell(record: AdapterRecord, output: Output) -> None:
    if output.json:
        print_json({"adapter": record.model_dump(mode="json")})
    else:
        print_text(f"{record.label} is {record.state}: {short_digest(record.digest)}")
