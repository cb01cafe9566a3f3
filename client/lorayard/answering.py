"""What the bus says while something is read or changed, as errors that a user can act on."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors

from lorayard.errors import (
    BusRefusedError,
    BusUnavailableError,
    ChangeUnconfirmedError,
    LorayardError,
    YardNotReadyError,
)
from lorayard_shared.bus.asked import NotPermittedError
from lorayard_shared.bus.bucket_writes import UnansweredError
from lorayard_shared.bus.connection import NOT_ENABLED, ApiError

if TYPE_CHECKING:
    from lorayard.link import Link

RETURN_SECONDS = 5.0
"""A bus that is restarted is back in one, a cluster's new leader in 5."""


_NOT_TOLD = "the account of a tenant is not told this; ask as an operator or an observer"


class Answering:
    """Waits for a connection that is lost for a moment, and turns what the bus says into what a user can act
    on."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def __aenter__(self) -> None:
        if not await self._link.bus.returned(RETURN_SECONDS):
            raise self._away("the connection is lost, trying to get it back")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, nats.js.errors.BucketNotFoundError | nats.js.errors.NoStreamResponseError):
            raise YardNotReadyError(prefix=self._link.bus.subjects.prefix, missing="its registry") from error
        if isinstance(error, UnansweredError):
            raise ChangeUnconfirmedError(url=self._link.settings.url, what=error.key) from error
        if getattr(error, "code" if isinstance(error, ApiError) else "err_code", None) == NOT_ENABLED:
            raise BusRefusedError(code=NOT_ENABLED, description=_NOT_TOLD) from error
        if isinstance(error, NotPermittedError):
            raise BusRefusedError(code=403, description=str(error)) from error
        if isinstance(error, ApiError):
            raise BusRefusedError(code=error.code, description=error.description) from error
        if isinstance(error, nats.errors.Error | TimeoutError) and not isinstance(error, LorayardError):
            raise self._away(str(error).removeprefix("nats: ") or type(error).__name__) from error

    def _away(self, reason: str) -> BusUnavailableError:
        return BusUnavailableError(url=self._link.settings.url, reason=reason)
