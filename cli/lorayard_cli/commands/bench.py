"""`lorayard bench`: measurements."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import TEXT, Output


def bus(*, jobs: int = 5000, output: Output = TEXT) -> int:
    """No-op jobs per second through a real bus, dispatcher and two workers, beside the raw publish rate.

    Parameters
    ----------
    jobs
        How many to run.
    """
    if jobs < 1:
        raise CommandError(ExitCode.USAGE, "usage", f"--jobs must be at least 1, got {jobs}", field="jobs")
    from lorayard_cli.bench.bus import run

    return run(jobs=jobs, as_json=output.json)


def engine(*, quick: Annotated[bool, Parameter(negative="")] = False, output: Output = TEXT) -> int:
    """Steps of many adapters at once, beside the stock base model and PEFT; fails when a must is missed.

    On Gemma 3 270M where it is prepared, else on a random model of like size.

    Parameters
    ----------
    quick
        Fewer rounds and fewer rows: under three minutes on two cores.
    """
    from lorayard_cli.bench.engine import run

    return run(quick=quick, as_json=output.json)
