"""What rules laid on top of the adapter that was chosen for a job, and what they left out (C7)."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from lorayard_schemas.message import Part

MAX_LEFT_OUT = 16
"""Told of one job: each takes some hundred bytes of its assignment and of its result."""

MAX_WHY_CHARACTERS = 300
"""A reason may list all versions of an adapter."""


class LeftOut(Part):
    """An adapter that a rule names, and that the job went without."""

    adapter: str
    """As the rule names it; `name@version` where another one took its place."""
    rule: str = ""
    """The rule that names it; empty: it was what the job had before."""
    why: str
    unseen: SkipJsonSchema[bool] = Field(default=False, exclude=True, repr=False)
    """The job's tenant cannot see it. Known where it was decided: it does not travel."""

    @property
    def for_tenant(self) -> LeftOut:
        """In the same words, whether there is none of that name or others alone may use it."""
        if not self.unseen:
            return self
        return LeftOut(adapter="an adapter", rule=self.rule, why="it is not there for this tenant")

    @property
    def label(self) -> str:
        """For people."""
        return f"without {self.adapter}{f' of {self.rule}' if self.rule else ''}: {self.why}"


class Additions(Part):
    """What rules did to a job's adapter."""

    by: tuple[str, ...] = ()
    """The rules that added something, in their order."""
    left_out: tuple[LeftOut, ...] = ()
    """At most `MAX_LEFT_OUT`."""

    @cached_property
    def for_tenant(self) -> Additions:
        """Without the names of what the job's tenant cannot see (D7): many jobs share it."""
        if not any(one.unseen for one in self.left_out):
            return self
        return Additions(by=self.by, left_out=tuple(one.for_tenant for one in self.left_out))

    @property
    def label(self) -> str:
        """For people; empty when there is nothing to say."""
        told = [f"added by {', '.join(self.by)}"] if self.by else []
        told += [one.label for one in self.left_out]
        return "; ".join(told)
