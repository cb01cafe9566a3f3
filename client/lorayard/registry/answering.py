"""What the bus says while the registry is read or changed, as errors that a user can act on."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors

from lorayard.errors import BusUnavailableError, YardNotReadyError

if TYPE_CHECKING:
    from lorayard.link import Link


class Answering:
    """Turns what the bus says into what a user can act on."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def __aenter__(self) -> None:
        if not self._link.bus.connected:
            raise self._away("the connection is lost, trying to get it back")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, nats.js.errors.BucketNotFoundError | nats.js.errors.NoStreamResponseError):
            raise YardNotReadyError(prefix=self._link.bus.subjects.prefix, missing="its registry") from error
        if isinstance(error, nats.errors.Error):
            raise self._away(str(error).removeprefix("nats: ") or type(error).__name__) from error

    def _away(self, reason: str) -> BusUnavailableError:
        return BusUnavailableError(url=self._link.settings.url, reason=reason)
