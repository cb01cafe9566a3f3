"""An alias: a word that stands for versions of one adapter, in the bucket `yard_aliases`.

`acme/gemma3-270m/summary@stable` with 90 of `v1` and 10 of `v2` gives one request in ten to `v2`, and each
user always the same. An alias points at versions only, so that none can lead back to itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterName, AliasWord, Version, key_token

DEFAULT_ALIAS = "stable"
"""What a plain name stands for where there is such an alias; else it is the newest version."""

WHOLE_PERCENT = 100.0
MAX_ARMS = 16
MAX_WHY_CHARACTERS = 1000

_ROUNDING = 1e-6
"""Of sums: 33.3 + 33.3 + 33.4."""

Text = Annotated[str, StringConstraints(max_length=MAX_WHY_CHARACTERS)]


class Sticky(StrEnum):
    """Whose requests all get the same version. What a request does not say falls to the next: user, session,
    job."""

    USER = "user"
    SESSION = "session"
    TENANT = "tenant"
    JOB = "job"
    """Each is drawn anew; tried again it stays."""


class Arm(Part):
    """One version and its share of the requests, in percent; 0: it is known, and gets none."""

    version: Version
    weight: float = Field(ge=0.0, le=WHOLE_PERCENT, allow_inf_nan=False)


class GuardRule(Part):
    """When a version that is tried out gets no more requests: it is worse than `control` beyond chance."""

    alpha: float = Field(default=0.01, gt=0.0, lt=1.0)
    """Probability that one that is as good is stopped, ever, by either of the tests."""
    least_jobs: int = Field(default=20, ge=1)
    """Answers of it before it can be stopped."""


class AliasRecord(Message):
    """One revision of an alias. Without arms there is no such alias any more; its history goes on."""

    adapter: AdapterName
    alias: AliasWord
    revision: int = Field(ge=1)
    """Counts the changes of this alias."""
    arms: tuple[Arm, ...] = Field(default=(), max_length=MAX_ARMS)
    sticky: Sticky = Sticky.USER
    user_field: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "user"
    """Of a job's metadata: who asks."""
    experiment: Annotated[str, StringConstraints(max_length=128)] = ""
    """Salt of the draw: while it stays, a changed weight moves only as many as it has to."""
    control: Version | None = None
    """What the others are measured by; None: nothing is guarded."""
    guard: GuardRule | None = None
    stopped: tuple[Version, ...] = Field(default=(), max_length=MAX_ARMS)
    """Versions that the guard has stopped: no return leads back to them."""
    restores: int | None = Field(default=None, ge=1)
    """The revision that this one is a return to."""
    by: Text = ""
    why: Text = ""
    at: float = 0.0
    """Unix seconds."""

    @model_validator(mode="after")
    def _sound(self) -> AliasRecord:
        if not self.arms:
            return self
        versions = [arm.version for arm in self.arms]
        if len(set(versions)) < len(versions):
            raise ValueError("a version is named twice")
        total = sum(arm.weight for arm in self.arms)
        if abs(total - WHOLE_PERCENT) > _ROUNDING:
            raise ValueError(f"the weights sum to {total:g}, and must sum to 100")
        if self.control is not None and self.control not in versions:
            raise ValueError(f"control {self.control!r} is none of the versions")
        return self

    @property
    def spec(self) -> str:
        """As requests name it."""
        return f"{self.adapter}@{self.alias}"

    @property
    def shares(self) -> str:
        """Versions and weights, as they are written on a command line."""
        return " ".join(f"{arm.version}={arm.weight:g}" for arm in self.arms)

    def weight(self, version: str) -> float:
        """A version's percentage."""
        return next((arm.weight for arm in self.arms if arm.version == version), 0.0)


class AliasRef(Part):
    """The alias that led a job to its version: `name@alias`, and which revision of it."""

    name: str
    revision: int = Field(ge=1)


def alias_key(adapter: str, alias: str) -> str:
    """The bucket key of an alias."""
    return f"{key_token(adapter)}.{key_token(alias)}"
