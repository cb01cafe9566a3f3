"""Options that say how often and how soon a job is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cyclopts import Parameter
from pydantic import ValidationError

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_schemas.reasons import plain_reason
from lorayard_schemas.retry import Retry


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """What is not given is left to the job's tenant, then to the settings of the yard."""

    max_attempts: int | None = None
    """Try it so often in all, 1 to 20, when it fails in a way that may pass."""
    retry_base: float | None = None
    """The shortest wait before another attempt, in seconds."""
    retry_cap: float | None = None
    """The longest."""
    dead_letter: bool | None = None
    """Whether a dead letter is left when it is given up."""

    def wish(self) -> Retry | None:
        """As a job carries it; None: nothing was said.

        Raises:
            CommandError: it cannot be so.
        """
        if all(said is None for said in asdict(self).values()):
            return None
        given = {
            "max_attempts": self.max_attempts,
            "base_seconds": self.retry_base,
            "cap_seconds": self.retry_cap,
            "dead_letter": self.dead_letter,
        }
        return read_retry(given, names={"base_seconds": "retry_base", "cap_seconds": "retry_cap"})


def read_retry(given: Mapping[str, object], *, names: Mapping[str, str] | None = None) -> Retry:
    """The policy; `names` are what the command calls its fields, where they differ.

    Raises:
        CommandError: it cannot be so.
    """
    try:
        return Retry.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "base_seconds"
        named = (names or {}).get(field, field)
        message = f"{named}: {plain_reason(first)}"
        raise CommandError(ExitCode.USAGE, "usage", message, field=named) from error


NOTHING_SAID = RetryOptions()
