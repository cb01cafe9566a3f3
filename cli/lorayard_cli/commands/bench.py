"""`lorayard bench`: measurements."""

from __future__ import annotations

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
