"""What each tenant has had computed here: what dispatchers settle their estimates against (docs/routing.md).

Sums since the start, never what was added: a report that is lost or comes twice does no harm.
"""

from __future__ import annotations

from collections import OrderedDict

from lorayard_schemas.assignment import MAX_TOLD_TENANTS, MAX_TOLD_TOKENS


class ServedTokens:
    """Tokens by tenant; the tenants longest without a job are forgotten, and would count from nothing."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def add(self, tenant: str, tokens: int) -> None:
        """A job of the tenant has ended."""
        if tokens <= 0:
            return
        self._tokens[tenant] = min(self._tokens.pop(tenant, 0) + tokens, MAX_TOLD_TOKENS)
        while len(self._tokens) > MAX_TOLD_TENANTS:
            self._tokens.popitem(last=False)

    def told(self) -> dict[str, int]:
        """As a report carries it."""
        return dict(self._tokens)
