"""`lorayard bench`: measurements."""

from __future__ import annotations

from lorayard_cli.options import TEXT, Output


def bus(*, jobs: int = 5000, output: Output = TEXT) -> int:
    """No-op jobs per second through a real bus, dispatcher and two workers, beside the raw publish rate.

    Parameters
    ----------
    jobs
        How many to run.
    """
    from lorayard_cli.bench.bus import run

    return run(jobs=jobs, as_json=output.json)
