"""The versions that aliases led a job to, so that whoever takes it up again keeps them (D4)."""

from __future__ import annotations

from collections.abc import Mapping

from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.names import split_version
from lorayard_schemas.session import MAX_BOUND


def bindings(
    adapter: AdapterRef | None, alias: AliasRef | None, composition: AppliedComposition | None
) -> dict[str, str]:
    """`name@alias` -> version: of the one adapter, or of all parts of a composition that came by an alias."""
    if composition is not None:
        return {part.alias.name: part.version for part in composition.parts if part.alias is not None}
    return {alias.name: adapter.version} if alias is not None and adapter is not None else {}


def bound_text(bound: Mapping[str, str]) -> str:
    """As it travels: `name@alias=version`, with a space between two."""
    return " ".join(f"{alias}={version}" for alias, version in bound.items())


def read_bound(text: str) -> dict[str, str]:
    """What such a text says; of one that somebody else wrote, whatever it may be."""
    pairs = (word.partition("=") for word in text.split(" ", MAX_BOUND)[:MAX_BOUND])
    return {alias: version for alias, _, version in pairs}


def binds(bound: Mapping[str, str], name: str, version: str) -> bool:
    """Whether an alias of this adapter led to this version."""
    return any(split_version(alias)[0] == name and to == version for alias, to in bound.items())
