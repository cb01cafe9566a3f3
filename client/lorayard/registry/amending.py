"""What is said of a version beside its bytes, changed after its first push: labels, and who may use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lorayard.errors import InvalidRequestError
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.registry.records import Author, Records

if TYPE_CHECKING:
    from lorayard.link import Link

EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What is to be otherwise; the rest stays."""

    labels: Mapping[str, str]
    """To be set."""
    unlabel: frozenset[str]
    """Keys to be taken away."""
    tenants: tuple[str, ...] | None
    """All who may use it from now on, empty: everybody; None: those who might before."""

    def of(self, record: AdapterRecord) -> AdapterRecord:
        """The record as it is to be.

        Raises:
            InvalidRequestError: it cannot be so, and why.
        """
        if missing := sorted(self.unlabel - record.labels.keys()):
            have = ", ".join(sorted(record.labels)) or "none"
            raise InvalidRequestError(
                field="unlabel", reason=f"{record.label} has no {missing[0]!r}, it has {have}"
            )
        kept = {key: text for key, text in record.labels.items() if key not in self.unlabel}
        wanted = {
            **record.model_dump(),
            "labels": {**kept, **self.labels},
            "tenants": record.tenants if self.tenants is None else self.tenants,
        }
        try:
            return AdapterRecord.model_validate(wanted)
        except ValidationError as error:
            raise unusable(error) from None


def read_amendment(
    *,
    labels: Mapping[str, str] | None,
    unlabel: Iterable[str],
    tenants: Sequence[str] | None,
    all_tenants: bool,
) -> Amendment:
    """What somebody asks for.

    Raises:
        InvalidRequestError: nothing is, or what contradicts itself.
    """
    set_, away = dict(labels or {}), frozenset(unlabel)
    if both := sorted(away & set_.keys()):
        raise InvalidRequestError(field="unlabel", reason=f"{both[0]!r} cannot be set and taken away at once")
    if tenants is not None and all_tenants:
        raise InvalidRequestError(
            field="tenants", reason="say who may use it, or that everybody may; not both"
        )
    if tenants is not None and not tenants:
        # As a push reads it this would open the version to all, which nobody should do by an empty list.
        raise InvalidRequestError(
            field="tenants", reason="it names nobody; all_tenants lets everybody use it"
        )
    if not (set_ or away or all_tenants) and tenants is None:
        raise InvalidRequestError(field="labels", reason="say what is to change: labels, or who may use it")
    wanted = () if all_tenants else None if tenants is None else listed_tenants(tenants)
    return Amendment(labels=set_, unlabel=away, tenants=wanted)


async def amend_version(
    link: Link, record: AdapterRecord, amendment: Amendment, author: Author
) -> AdapterRecord:
    """Change a record by compare-and-set; where another change came first, it is laid over what that made.

    Raises:
        InvalidRequestError: it cannot be so; nothing was changed.
        VersionUnknownError, RecordUnreadableError, ContendedError: as `Records.change`.
    """
    records = Records(link.bus)
    kept = await records.change(record.name, record.version, amendment.of, author, verb="amend", told=said_of)
    return kept.record


def said_of(record: AdapterRecord) -> str:
    """What can be amended, as an audit record tells it."""
    labels = ", ".join(f"{key}={text}" for key, text in sorted(record.labels.items())) or "none"
    return f"labels {labels}; for {', '.join(record.tenants) or EVERYBODY}"


def listed_tenants(tenants: Sequence[str]) -> tuple[str, ...]:
    """Each once, in order.

    Raises:
        InvalidRequestError: it is one text, which would be as many tenants as it has letters.
    """
    if isinstance(tenants, str):
        raise InvalidRequestError(field="tenants", reason=f"a list of names is needed, got {tenants!r}")
    return tuple(sorted(set(tenants)))


def unusable(error: ValidationError) -> InvalidRequestError:
    """What a record refuses, by the field that somebody gave."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "adapter"
    where = " ".join(str(part) for part in first["loc"][1:])
    reason = plain_reason(first)
    return InvalidRequestError(field=field, reason=f"{where}: {reason}" if where else reason)
