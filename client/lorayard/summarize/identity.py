"""Who would answer now, so that what is kept is asked anew once somebody else would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorayard.client import Client
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.alias import DEFAULT_ALIAS, AliasRecord
from lorayard_schemas.names import BASE, split_version

ECHO_ENGINE: Final = "EchoEngine"
"""As its workers tell: it has no model, and so no tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """What an adapter's name leads to now."""

    adapter: str | None
    identity: tuple[str, ...]
    """Digests of what may answer; of an alias with their shares. Empty: nobody knows before the answer."""
    form: str | None
    """What it puts around a prompt, where it brings such a form along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YardView:
    """What was asked of the yard once, for a whole run."""

    adapters: Sequence[AdapterRecord]
    aliases: Sequence[AliasRecord]
    workers: Sequence[WorkerAdvert]

    @classmethod
    async def of(cls, client: Client) -> YardView:
        """As it is now."""
        return cls(
            adapters=await client.adapters(),
            aliases=await client.aliases.list(),
            workers=await client.workers(),
        )

    @property
    def base_digests(self) -> tuple[str, ...]:
        """Of the base models that answer."""
        return tuple(sorted({advert.base_digest for advert in self.workers}))

    @property
    def has_no_model(self) -> bool:
        """Whether all who answer only repeat."""
        return all(advert.engine == ECHO_ENGINE for advert in self.workers)

    @property
    def context_tokens(self) -> int | None:
        """The shortest one of all workers; None: there is nobody to ask."""
        return min((advert.context_tokens for advert in self.workers), default=None)

    def answerer(self, adapter: str | None) -> Answerer:
        """Who answers under a name; what the yard does not know is found out by the first job."""
        if adapter is None or adapter == BASE:
            return Answerer(adapter=adapter, identity=(), form=None)
        name, version = split_version(adapter)
        known = [one for one in self.adapters if one.name == name and one.state is AdapterState.ACTIVE]
        shares = self._shares(name, version or DEFAULT_ALIAS)
        if shares is not None:
            known = [one for one in known if one.version in shares]
        elif version is not None:
            known = [one for one in known if one.version == version]
        identity = sorted(f"{one.digest} {(shares or {}).get(one.version, '')}".strip() for one in known)
        forms = {one.prompt_template for one in known if one.prompt_template is not None}
        return Answerer(adapter=adapter, identity=tuple(identity), form=max(forms, key=len, default=None))

    def _shares(self, name: str, alias: str) -> dict[str, float] | None:
        for record in self.aliases:
            if record.adapter == name and record.alias == alias:
                return {arm.version: arm.weight for arm in record.arms if arm.weight > 0}
        return None


def has_moved(asked: str | None, identity: Sequence[str], adapter: str | None, digest: str | None) -> bool:
    """Whether the asked name leads to a version that its identity does not know: an alias was moved since.

    Where rules chose another adapter nothing has.
    """
    if asked is None or not identity or adapter != split_version(asked)[0]:
        return False
    return digest not in {told.partition(" ")[0] for told in identity}


def key_of(parts: Mapping[str, Any]) -> str:
    """A name for what was asked, the same for the same parts."""
    told = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()
