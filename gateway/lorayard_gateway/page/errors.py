"""What the page itself refuses, told as all errors of the gateway are."""

from __future__ import annotations

from lorayard_gateway.errors import ApiError
from lorayard_shared.bus.connection import ApiError as BusRefusal


def tenant_refused() -> ApiError:
    """Another tenant's things: the same as if there were none."""
    return ApiError(404, "not_found", "There is no such thing, or not for this key.")


def role_refused() -> ApiError:
    """This viewer may only look."""
    message = (
        "This key may look, and change nothing: a key with the role operator may, where the page lets it."
    )
    return ApiError(403, "role_not_allowed", message)


def foreign_request() -> ApiError:
    """Another page has sent it."""
    return ApiError(403, "foreign_request", "Only the page itself may ask this.")


def nothing_meant() -> ApiError:
    """A change of everything there is."""
    message = "Name a tenant, a lane, an adapter or an age: nothing here means all jobs of all tenants."
    return ApiError(400, "invalid_value", message, param="tenant")


def not_so(error: Exception) -> ApiError:
    """It is not as whoever pressed the button has seen it."""
    return ApiError(409, "not_so", f"{error}; look again at how it is.")


def bus_refuses(error: BusRefusal) -> ApiError:
    """JetStream's own refusal: a stream is gone, or nobody leads it."""
    return ApiError(503, "unavailable", f"The bus refuses: {error}.", type_="server_error")


def too_many_viewers(limit: int, whose: str = "") -> ApiError:
    """Each holds a connection."""
    message = f"{limit} pages{whose} are open at this gateway: close one, or ask another gateway."
    return ApiError(503, "too_many_viewers", message, type_="server_error", retry_after_seconds=10.0)


def texts_refused() -> ApiError:
    """Prompts and answers are nobody's business by default."""
    message = (
        "This page shows no prompts and answers: LORAYARD_GATEWAY_PAGE_TEXTS lets it, for keys that may."
    )
    return ApiError(403, "texts_not_shown", message)


def too_many_reads(tenant: str) -> ApiError:
    """Each looks through what lies in the streams."""
    message = f"Pages of tenant {tenant} ask for more at once than this gateway reads for one tenant."
    return ApiError(429, "too_many_reads", message, type_="rate_limit_error", retry_after_seconds=1.0)
