"""Take a declaration: lay it over what was declared, check it against the fleet, compare and set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import nats.js.errors
from nats.js.kv import KeyValue
from pydantic import ValidationError

from lorayard_dispatcher.keeping import Keeping
from lorayard_dispatcher.placements import wishes
from lorayard_dispatcher.planning import declaring
from lorayard_dispatcher.planning.placement import Site, Wish
from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import BASE
from lorayard_schemas.placement import PlaceAdapter, Placement, PlaceRefusal, PlaceReply, placement_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.placements import meant_versions
from lorayard_shared.jobs.resolve import UnknownAdapterError, resolve

TRIES = 5
"""Of a write that others come before; each begins from what they wrote."""

_FIELDS = {"replicas_min": "replicas", "replicas_max": "replicas"}
"""As people name them."""


async def place_adapter(
    bus: Bus,
    wish: PlaceAdapter,
    *,
    registry: AdapterRegistry,
    keeping: Keeping,
    catch_up: Callable[[], Awaitable[None]],
) -> PlaceReply:
    """Declare, or say why not; `catch_up` waits for the news of what is registered already.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    try:
        found = await _find(wish.adapter, registry, catch_up)
    except UnknownAdapterError as error:
        return _refused("adapter", str(error).removeprefix("adapter "))
    if found is None:
        return _refused("adapter", f"{BASE!r} is no adapter: every worker that is not merged has it")
    bucket, key = await bus.js.key_value(bus.subjects.bucket("placements")), placement_key(wish.adapter)
    for _ in range(TRIES):
        before, revision = await _read(bucket, key)
        try:
            after = _merge(wish, before)
        except ValidationError as error:
            return _invalid(error)
        async with keeping.declaring:
            digests = _meant(wish.adapter, found, registry, keeping)
            judged = await judge(after, digests, registry, keeping)
            if judged.refusal is not None:
                return judged
            body = encode(after)
            try:
                written = await (
                    bucket.update(key, body, last=revision) if revision else bucket.create(key, body)
                )
            except nats.js.errors.KeyWrongLastSequenceError:
                continue
            keeping.on_placement(key, body)  # as its watch will, a moment later
        await keeping.look(time.monotonic())  # whoever asks now is told what comes of it
        return judged.model_copy(update={"before": before, "revision": written})
    return _refused("adapter", "others declare it too, all the time; try again")


async def _find(
    spec: str, registry: AdapterRegistry, catch_up: Callable[[], Awaitable[None]]
) -> AdapterRecord | None:
    """The version that is meant; None: the base model.

    Raises:
        UnknownAdapterError: nobody has registered it.
    """
    with suppress(UnknownAdapterError):
        return resolve(spec, None, registry.known).record
    await catch_up()
    return resolve(spec, None, registry.known).record


async def _read(bucket: KeyValue, key: str) -> tuple[Placement | None, int]:
    """What is declared, and the revision that a write has to follow."""
    try:
        entry = await bucket.get(key)
    except nats.js.errors.KeyNotFoundError:
        return None, 0
    try:
        return decode(Placement, entry.value or b""), entry.revision or 0
    except MalformedMessageError:
        return None, entry.revision or 0  # it counted as absent


def _merge(wish: PlaceAdapter, before: Placement | None) -> Placement:
    base: dict[str, object] = {} if before is None or wish.reset else before.model_dump(exclude={"v"})
    given = wish.model_dump(exclude_none=True, exclude={"v", "no_replicas_max", "reset"})
    if wish.no_replicas_max:
        base.pop("replicas_max", None)
    return Placement.model_validate({**base, **given, "declared_at": time.time()})


def _meant(spec: str, found: AdapterRecord, registry: AdapterRegistry, keeping: Keeping) -> tuple[str, ...]:
    """Digests of what a declaration is about."""
    if "@" in spec:
        return (found.digest,)
    meant = meant_versions(spec, registry, keeping.aliases)
    return tuple(record.digest for record in meant) or (found.digest,)


async def judge(
    after: Placement, digests: Sequence[str], registry: AdapterRegistry, keeping: Keeping
) -> PlaceReply:
    """Whether a declaration, laid over what was declared before, can be held by the workers that live.

    `digests` are those of the versions that it is about.
    """
    sites = keeping.sites(time.monotonic())
    declared = keeping.wishes()
    wanted = wishes(keeping.placements.with_one(after), registry, keeping.aliases)
    # In a thread: of a thousand workers and as many declarations it takes up to a second.
    refused, told = await asyncio.to_thread(_weigh, digests, sites, declared, wanted, keeping.rankings)
    if refused is not None:
        return _refused(refused.field, _named(refused.reason, registry))
    return PlaceReply(placement=after, warnings=tuple(told))


def _weigh(
    digests: Sequence[str],
    sites: Sequence[Site],
    before: Mapping[str, Wish],
    after: Mapping[str, Wish],
    rankings: Rankings,
) -> tuple[declaring.Refusal | None, list[str]]:
    for digest in digests:
        if (refused := declaring.refusal(digest, sites, before, after, rankings)) is not None:
            return refused, []
    told = [line for digest in digests for line in declaring.warnings(digest, sites, after, rankings)]
    return None, list(dict.fromkeys(told))


def _named(text: str, registry: AdapterRegistry) -> str:
    """With names for digests."""
    for digest in registry.labels.keys() & set(text.split()):
        text = text.replace(digest, registry.labels[digest])
    return text


def _invalid(error: ValidationError) -> PlaceReply:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if field == "on" and first["type"] == "string_pattern_mismatch":
        return _refused(field, f"{first['input']!r} is neither a worker's name nor label=value of its labels")
    return _refused(_FIELDS.get(field, field), f"{first['msg']}, got {first['input']!r}")


def _refused(field: str, reason: str) -> PlaceReply:
    return PlaceReply(refusal=PlaceRefusal(field=field, reason=reason))
