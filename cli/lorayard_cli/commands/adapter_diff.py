"""`lorayard adapters diff`: what changed between two versions, or a version and a folder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from lorayard import AdapterDiff
from lorayard_cli.connection import client
from lorayard_cli.diff_lines import diff_lines
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text
from lorayard_cli.transfer_progress import transfer_progress

MODULES = 20
"""A page; the most changed are what one looks for."""


async def diff(
    first: Annotated[str, Parameter(name="A")],
    second: Annotated[str, Parameter(name="B")],
    *,
    modules: int = MODULES,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Say what changed between two versions, or a version and a folder: settings, and each module's update.

    An update is scale x B x A, and its norm is Frobenius'. `change` is the norm of the difference by that of
    A's update, `cosine` that of the angle between the two; `-` where a side has none.

    Parameters
    ----------
    first
        Its name, for the newest version in the store, name@version, or a folder: ./out/summary
    second
        The same, to be compared with it.
    modules
        Print so many of them, the most changed first; 0 is all. JSON has all.
    """
    if modules < 0:
        message = f"{modules} modules cannot be printed"
        raise CommandError(ExitCode.BAD_INPUT, "bad_input", message, field="modules")
    async with client(yard) as connected:
        with transfer_progress("fetch") as shown:
            found = await connected.adapters.diff(first, second, on_size=shown.size, on_bytes=shown.moved)
    if output.json:
        print_json(_document(found))
    else:
        print_text("\n".join(diff_lines(found, modules or None)))


def _document(found: AdapterDiff) -> dict[str, object]:
    sides = {
        name: {"adapter": side.label, "digest": side.record and side.record.digest}
        for name, side in (("first", found.first), ("second", found.second))
    }
    return {
        **sides,
        "same": found.same,
        "fields": [{**asdict(field), "same": field.same} for field in found.fields],
        "modules": [asdict(module) for module in found.modules],
    }
