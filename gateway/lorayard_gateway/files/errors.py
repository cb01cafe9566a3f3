"""What is refused about files."""

from __future__ import annotations

from lorayard_gateway.errors import ApiError


def file_unknown(file_id: str, *, param: str = "id") -> ApiError:
    """There is none, or not of this tenant: the two are told alike."""
    return ApiError(404, "file_not_found", f"No such File object: {file_id[:100]}", param=param)


def not_multipart() -> ApiError:
    """An upload is of another kind."""
    message = "A file is uploaded as a form: Content-Type: multipart/form-data; boundary=..."
    return ApiError(415, "unsupported_media_type", message)


def bad_form(reason: str) -> ApiError:
    """An upload says it is a form."""
    return ApiError(400, "invalid_multipart", f"The body is not a valid form: {reason}")


def bad_field(name: str, reason: str, *, code: str = "invalid_value") -> ApiError:
    """A field of a form cannot be used."""
    return ApiError(400, code, f"{name}: {reason}", param=name[:100])


def file_too_large(limit_bytes: int) -> ApiError:
    """A file has more bytes than are taken."""
    message = f"The file is larger than {limit_bytes} bytes."
    return ApiError(413, "file_too_large", message, param="file", headers={"Connection": "close"})


def upload_too_slow(seconds: float) -> ApiError:
    """An upload stood still, or took too long."""
    message = f"The upload did not arrive within {seconds:g} s."
    return ApiError(408, "request_timeout", message, headers={"Connection": "close"})


def store_full() -> ApiError:
    """The yard has no room."""
    message = "The yard's store of files is full: delete files, or tell its operator."
    return ApiError(507, "store_full", message, type_="server_error")


def too_many_transfers() -> ApiError:
    """As many as this gateway takes at once are under way, or half of them, all of one tenant."""
    message = "Too many files are on their way through this gateway; come again."
    return ApiError(503, "busy", message, type_="server_error", retry_after_seconds=1.0)


def bytes_missing(file_id: str) -> ApiError:
    """The store lacks a part, or has other bytes."""
    message = f"The bytes of {file_id} are damaged in the yard's store."
    return ApiError(500, "file_damaged", message, type_="server_error")


def file_in_use(file_id: str, batch: str) -> ApiError:
    """A batch still reads it."""
    message = f"{file_id} is the input of {batch}, which has not ended: cancel that first."
    return ApiError(409, "file_in_use", message, param="id")


def share_used_up(most_bytes: int, most_files: int) -> ApiError:
    """The tenant has as much in the store as it may: no status that clients try again by themselves."""
    message = (
        f"You have used up your share of the yard's store: {most_bytes} bytes or {most_files} files in all. "
        "Delete files, or tell the yard's operator."
    )
    close = {"Connection": "close"}
    return ApiError(403, "storage_quota_exceeded", message, type_="insufficient_quota", headers=close)
