"""`lorayard demo`: see it work."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.demo.report import document, show
from lorayard_cli.demo.run import DOCUMENTS, SHORT_DOCUMENTS, run_demo
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import TEXT, Output
from lorayard_cli.output import out, print_json


def demo(*, short: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """Show a yard at work: Gemma 3 270M, three real adapters, two workers, real texts.

    Ends with 0 when every job was answered. The first run makes the model ready, which takes a minute more.

    Parameters
    ----------
    short
        Fewer texts, for about a minute.
    """
    report = asyncio.run(run_demo(SHORT_DOCUMENTS if short else DOCUMENTS))
    if output.json:
        print_json(document(report))
    else:
        show(report, out())
    return ExitCode.OK if report.succeeded else ExitCode.FAILED
