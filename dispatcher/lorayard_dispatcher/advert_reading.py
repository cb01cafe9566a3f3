"""Adverts as they stand in the bucket of workers, read with care: one that lies about whose it is could take
another worker's jobs away from it."""

from __future__ import annotations

import structlog

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.logs import Event

SHOWN = 32
"""Of the adverts that cannot be believed, in a status."""


def read_advert(key: str, value: bytes) -> WorkerAdvert:
    """The advert under a key.

    Raises:
        MalformedMessageError: it is none, or speaks for another worker or another life than its own.
    """
    advert = decode(WorkerAdvert, value)
    if advert.worker != key:
        raise _lie("worker", f"{advert.worker!r} stands under the key of {key!r}")
    load = advert.load
    if (load.worker, load.epoch) != (advert.worker, advert.epoch):
        raise _lie("load", f"is of {load.worker!r}, boot epoch {load.epoch}; the advert's is {advert.epoch}")
    return advert


def _lie(field: str, reason: str) -> MalformedMessageError:
    return MalformedMessageError(kind=WorkerAdvert.__name__, field=field, reason=reason)


class AdvertReader:
    """Reads adverts, and says once for each key what it does not believe, however often it comes."""

    def __init__(self) -> None:
        self._trouble: dict[str, str] = {}
        self._log = structlog.get_logger()

    @property
    def trouble(self) -> dict[str, str]:
        """Key -> why its newest value is not believed; the first few keys."""
        return {key: self._trouble[key] for key in sorted(self._trouble)[:SHOWN]}

    def read(self, key: str, value: bytes) -> WorkerAdvert | None:
        """The advert, or None when it is not to be believed."""
        try:
            advert = read_advert(key, value)
        except MalformedMessageError as error:
            if self._trouble.get(key) != str(error):
                self._trouble[key] = str(error)
                self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return None
        self._trouble.pop(key, None)
        return advert

    def forget(self, key: str) -> None:
        """Nothing stands under it any more."""
        self._trouble.pop(key, None)
