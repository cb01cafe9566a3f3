"""What the gateway itself refuses, as OpenAI's clients know it.

ApiError                 base: an HTTP status and an OpenAI error object
  by who must act        caller: 400 401 403 404 405 408 413 415; try again: 503

Errors of the yard become the same by `lorayard.openai_shapes.error_of`.
"""

from __future__ import annotations

from collections.abc import Mapping

from lorayard.openai_shapes import ErrorShape

INVALID = "invalid_request_error"


class ApiError(Exception):
    """A request has no answer; `shape` is what its client is told."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        type_: str = INVALID,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.shape = ErrorShape(
            status=status,
            type=type_,
            code=code,
            message=message,
            param=param,
            retry_after_seconds=retry_after_seconds,
        )
        self.headers = dict(headers or {})


_BEARER = {"WWW-Authenticate": "Bearer"}
_CLOSE = {"Connection": "close"}


def no_key() -> ApiError:
    """No key was shown."""
    message = "You didn't provide an API key: send it in the header Authorization: Bearer KEY."
    return ApiError(401, "missing_api_key", message, headers=_BEARER)


def wrong_key() -> ApiError:
    """A key was shown that opens nothing (any more)."""
    return ApiError(401, "invalid_api_key", "Incorrect API key provided.", headers=_BEARER)


def host_refused() -> ApiError:
    """A gateway without keys was reached by a way that only a web page takes."""
    message = "This gateway asks for no keys, so it serves programs of this machine only, and no web pages."
    return ApiError(403, "host_not_allowed", message)


def model_unknown(model: str) -> ApiError:
    """There is no such model, or not for this tenant: the two are told alike."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, "model_not_found", message, param="model")


def no_embeddings(model: str) -> ApiError:
    """The model gives none."""
    message = f"The model `{model}` gives no embeddings: this yard's engine only writes text."
    return ApiError(400, "unsupported_model", message, param="model")


def body_too_large(limit_bytes: int) -> ApiError:
    """A body has more bytes than are taken."""
    message = f"The request's body is larger than {limit_bytes} bytes."
    return ApiError(413, "request_too_large", message, headers=_CLOSE)


def body_too_slow(seconds: float) -> ApiError:
    """A body did not come in time."""
    message = f"The request's body did not arrive within {seconds:g} s."
    return ApiError(408, "request_timeout", message, headers=_CLOSE)


def not_json() -> ApiError:
    """A body is of another kind."""
    return ApiError(415, "unsupported_media_type", "The body must be JSON: Content-Type: application/json.")


def bad_json(reason: str) -> ApiError:
    """A body says it is JSON."""
    return ApiError(400, "invalid_json", f"The body is not valid JSON: {reason}")


def too_many_values(limit: int) -> ApiError:
    """A body would take long to read."""
    message = f"The request's body holds more than {limit} values: numbers, texts, lists and objects."
    return ApiError(400, "invalid_value", message)


def bad_header(name: str, reason: str) -> ApiError:
    """A header cannot be used."""
    return ApiError(400, "invalid_value", f"{name}: {reason}", param=name)


def stream_unknown() -> ApiError:
    """There is nothing to go on with."""
    message = "There is no such stream, or it is kept no more: send the request without Last-Event-ID."
    return ApiError(404, "stream_not_found", message, param="last-event-id")


def too_many_connections(limit: int) -> ApiError:
    """Others hold as many as there may be."""
    message = (
        f"This gateway serves {limit} connections at once, and all are taken: try again, or another one."
    )
    headers = {"Connection": "close"}
    return ApiError(
        503, "too_many_connections", message, type_="server_error", retry_after_seconds=1.0, headers=headers
    )


def stopping() -> ApiError:
    """The gateway ends before the answer was there; the job goes on."""
    message = (
        "This gateway is being stopped; the work goes on. Send the request again, a stream with the "
        "Last-Event-ID, any other with the same Idempotency-Key."
    )
    return ApiError(503, "gateway_stopping", message, type_="server_error", retry_after_seconds=1.0)


def too_slow(seconds: float) -> ApiError:
    """No answer in time; the work was cancelled."""
    message = f"There was no answer within {seconds:g} s, so the work was cancelled."
    return ApiError(504, "timeout", message, type_="server_error")


def unexpected(request_id: str) -> ApiError:
    """A fault of ours."""
    message = f"The gateway failed on this request; its log says more under request id {request_id}."
    return ApiError(500, "internal_error", message, type_="server_error")
