"""What every `lorayard` command says by its exit code. Stable: scripts and supervisors branch on them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """One number per kind of outcome, the same for every command."""

    OK = 0
    """Done; for `up` also: stopped by Ctrl-C or SIGTERM as asked."""
    FAILED = 1
    """The work itself failed: a job, a document, a check of `doctor`."""
    USAGE = 2
    """The command line or a setting is wrong, or an extra is not installed."""
    NO_BUS = 3
    """No NATS server answers, or it refuses what the yard needs."""
    UNKNOWN_ADAPTER = 4
    """No worker has the adapter or the version."""
    BAD_INPUT = 5
    """The prompt, a field or a file is wrong: change it and submit again."""
    MODEL_MISSING = 6
    """The base model is not there or cannot be used."""
    PORT_IN_USE = 7
    """Somebody else has the port, another yard the data folder, or another batch the output."""
    NOT_READY = 8
    """The yard takes no work now: full, or no dispatcher or worker."""
    TIMED_OUT = 9
    """It took longer than allowed. The job, if any, goes on."""
    WORKER_SPENT = 10
    """A worker's engine died or hangs: it let go of its jobs, and its supervisor starts it again."""
    WORKER_RECYCLED = 11
    """A worker has done its share, or grown too large: it has drained, and its supervisor starts it again."""
    INTERRUPTED = 130
    """Ctrl-C; what was done is kept."""


NO_CRASH: Final = frozenset({ExitCode.WORKER_RECYCLED})
"""A child that ends with one of these is started again at once."""

NO_USE_IN_RESTARTING: Final = frozenset(
    {ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.MODEL_MISSING, ExitCode.PORT_IN_USE}
)
"""A child that ends with one of these would end so again: somebody has to change something first."""
