"""Files on their way through one gateway: so many at once, and of one tenant half as many, so that none keeps
all others out."""

from __future__ import annotations

from collections import Counter

from lorayard_gateway.files.errors import too_many_transfers

UPLOADS_AT_ONCE = 32
"""Each holds a part or two in memory, for as long as a slow client takes."""

DOWNLOADS_AT_ONCE = 64


class Transfers:
    """Those of one direction."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of = Counter[str]()

    @property
    def count(self) -> int:
        """Under way."""
        return self._of.total()

    def begin(self, tenant: str) -> None:
        """One more.

        Raises:
            ApiError: there is no room for it.
        """
        if self.count >= self._most or 2 * self._of[tenant] >= self._most:
            raise too_many_transfers()
        self._of[tenant] += 1

    def end(self, tenant: str) -> None:
        """It is over."""
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]
