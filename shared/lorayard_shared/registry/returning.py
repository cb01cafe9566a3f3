"""The next revision of what is changed as a whole, and which one a return leads to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

from lorayard_schemas.routes import RouteTable
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.registry.errors import RuleRevisionError
from lorayard_shared.registry.records import Author


class Revised(Protocol):
    """A value that is changed as a whole."""

    @property
    def revision(self) -> int:
        """Grows with each change."""
        ...

    @property
    def restores(self) -> int | None:
        """The revision that this one is a return to."""
        ...


R = TypeVar("R", bound=Revised)
S = TypeVar("S", RouteTable, SemanticRecord)


def find_earlier(past: Sequence[R], to: int | None, *, has: str) -> R:
    """A revision that is kept; None: the one before what stands now, past returns.

    `has` says of what, for people.

    Raises:
        RuleRevisionError: there is none.
    """
    by_revision = {one.revision: one for one in past}
    standing = (past[-1].restores or past[-1].revision) if past else 0
    earlier = to if to is not None else max((one for one in by_revision if one < standing), default=0)
    target = by_revision.get(earlier)
    if target is None:
        raise RuleRevisionError(revision=to, kept=sorted(by_revision), has=has)
    return target


def signed(wanted: S, past: Sequence[S], author: Author, *, restores: int | None) -> S:
    """What is wanted as the revision after those that were; `restores` is the one that it returns to."""
    update = {
        "revision": past[-1].revision + 1 if past else 1,
        "restores": restores,
        "by": author.actor,
        "why": author.reason,
        "at": time.time(),
    }
    return wanted.model_copy(update=update)
