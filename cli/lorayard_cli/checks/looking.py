"""All looks at once, and each with its own time: one after another, a half-dead yard would take minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors

from lorayard import LorayardError
from lorayard_cli.checks.finding import Finding, fail
from lorayard_shared.bus.connection import ApiError
from lorayard_shared.errors import YardError

USUAL_SECONDS = 8.0
"""More than the longest single question (5 s); a yard in order answers all in a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One thing to look at."""

    check: str
    """What it is called when it cannot be done."""
    find: Callable[[], AsyncIterator[Finding] | Iterable[Finding]]
    seconds: float = USUAL_SECONDS


async def look_at_all(looks: Sequence[Look]) -> list[Finding]:
    """All findings, in the order of the looks; one that fails or takes too long hides no other."""
    found = await asyncio.gather(*(_look(one) for one in looks))
    return [finding for findings in found for finding in findings]


async def _look(look: Look) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(look.seconds):
            finds = look.find()
            if isinstance(finds, AsyncIterator):
                async for finding in finds:
                    found.append(finding)  # noqa: PERF401  # what was found before it broke is told too
            else:
                found.extend(finds)
    except (nats.errors.TimeoutError, TimeoutError):
        found.append(_silent(look))
    except (ApiError, LorayardError, YardError, nats.errors.Error, nats.js.errors.Error) as error:
        reason = str(error) or type(error).__name__
        found.append(fail(look.check, f"cannot be looked at: {reason}", "mend what stands above, look again"))
    except OSError as error:
        found.append(fail(look.check, f"cannot be looked at: {error}", "see to that file or folder"))
    return found


def _silent(look: Look) -> Finding:
    return fail(
        look.check,
        f"no answer within {look.seconds:g} s",
        "is the server overloaded, its disk slow, or may this user not ask? Look into its log",
    )
