"""Values of which there are several for each job: frozen for the type checkers, and cheap to make.

A frozen dataclass sets each field by `object.__setattr__`: one of thirteen fields takes 2.5 us to make, one
that is not frozen 1.0. On the path of a job that is a tenth of the processor time, so there mypy and pyright
alone see to it that nobody changes a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(kind: type[T]) -> type[T]:
    """As `dataclass(frozen=True, slots=True, kw_only=True)`; only type checkers refuse to set a field."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)
