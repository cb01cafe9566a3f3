"""Trials in the bucket `yard_control`: what was counted outlives the dispatcher that has counted it."""

from __future__ import annotations

from typing import cast

import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.trial import TrialRecord, trial_key
from lorayard_shared.bus.connection import Bus

TRIES = 3
"""Of a write that another one comes before; two dispatchers are active together for seconds at most."""


class TrialLedger:
    """Every method raises `nats.errors.Error` where the bus does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._opened: KeyValue | None = None

    async def read(self, alias: AliasRecord) -> TrialRecord | None:
        """What was counted of this very revision; None: nothing yet."""
        kept, _ = await self._get(trial_key(alias.adapter, alias.alias))
        return kept if kept is not None and kept.revision == alias.revision else None

    async def write(self, trial: TrialRecord) -> TrialRecord | None:
        """Keep a trial, unless what is kept counts for more: that is returned then, and stays.

        Whoever has slept while another one went on counting overwrites nothing.
        """
        key = trial_key(trial.adapter, trial.alias)
        bucket = await self._bucket()
        for _ in range(TRIES):
            kept, revision = await self._get(key)
            if kept is not None and kept.rank > trial.rank:
                return kept
            try:
                await bucket.update(key, encode(trial), last=revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                continue
            return None
        return None  # the next write is a second away

    async def _get(self, key: str) -> tuple[TrialRecord | None, int]:
        """What is kept, and the bucket's revision that a write has to follow."""
        try:
            entry = await (await self._bucket()).get(key)
        except nats.js.errors.KeyNotFoundError as error:
            marker = cast("KeyValue.Entry | None", error.entry)  # of one that was taken away
            return None, (marker.revision or 0) if marker is not None else 0
        try:
            found = decode(TrialRecord, entry.value or b"")
        except MalformedMessageError:
            found = None
        if found is not None and trial_key(found.adapter, found.alias) != key:
            found = None
        return found, entry.revision or 0

    async def _bucket(self) -> KeyValue:
        if self._opened is None:
            self._opened = await self._bus.js.key_value(self._bus.subjects.bucket("control"))
        return self._opened
