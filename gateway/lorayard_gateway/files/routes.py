"""The paths of `/v1/files`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from lorayard_gateway.files.errors import file_in_use, file_unknown, too_many_uploads
from lorayard_gateway.files.shapes import FileDeleted, FileList, FileObject, FilesQuery
from lorayard_gateway.files.store import FileStore
from lorayard_gateway.files.upload import take_upload
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.queries import ends_of, page_of, read_query
from lorayard_gateway.replies import JSON
from lorayard_gateway.time_ids import is_id
from lorayard_schemas.file_record import FileRecord

UPLOADS_AT_ONCE = 32
"""Each holds a part or two in memory."""


async def upload(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Take a file in.

    Raises:
        ApiError: it cannot be taken, and why.
    """
    if gateway.uploads >= UPLOADS_AT_ONCE:
        raise too_many_uploads()
    gateway.uploads += 1
    try:
        record = await take_upload(request, tenant, gateway.files, gateway.settings, gateway.tasks)
    finally:
        gateway.uploads -= 1
    return _told(FileObject.of(record))


async def list_files(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """A page of the tenant's."""
    asked = read_query(FilesQuery, request.query_params)
    found = [one for one in await gateway.files.list(tenant) if asked.purpose in (None, one.purpose)]
    page, more = page_of(
        found, lambda one: one.id, after=asked.after, limit=asked.limit, newest_first=asked.order == "desc"
    )
    told = [FileObject.of(one) for one in page]
    return _told(FileList(data=told, **ends_of(page), has_more=more))


async def show(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """One of them."""
    return _told(FileObject.of(await _find(gateway, request, tenant)))


async def content(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Its bytes.

    Raises:
        ApiError: there is no such file, or its first bytes are gone.
    """
    record = await _find(gateway, request, tenant)
    first = await gateway.files.part(record, 0) if record.parts else b""
    return _Download(gateway.files, record, first, send_seconds=gateway.settings.gateway_send_seconds)


async def delete(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Have it gone.

    Raises:
        ApiError: there is no such file, or a batch still reads it.
    """
    record = await _find(gateway, request, tenant)
    if (batch := gateway.batches.reader_of(record.id)) is not None:
        raise file_in_use(record.id, batch)
    await gateway.files.forget(record)
    gateway.tasks.spawn(gateway.files.remove_parts(record), "remove-file")
    return _told(FileDeleted(id=record.id))


async def _find(gateway: Gateway, request: Request, tenant: str) -> FileRecord:
    file_id: str = request.path_params["file_id"]
    record = await gateway.files.find(tenant, file_id) if is_id(file_id) else None
    if record is None:
        raise file_unknown(file_id)
    return record


def _told(told: FileObject | FileList | FileDeleted) -> Response:
    return Response(told.model_dump_json(), media_type=JSON)


class _Download(StreamingResponse):
    """A file, a part in memory at a time. A reader that takes nothing for too long is left."""

    def __init__(self, store: FileStore, record: FileRecord, first: bytes, *, send_seconds: float) -> None:
        async def parts() -> AsyncGenerator[bytes]:
            yield first
            for index in range(1, len(record.parts)):
                yield await store.part(record, index)

        self._send_seconds = send_seconds
        head = {"content-length": str(record.size_bytes), "x-content-type-options": "nosniff"}
        super().__init__(parts(), media_type="application/octet-stream", headers=head)

    async def stream_response(self, send: Send) -> None:
        """As starlette does, but no send may take longer than that."""

        async def sent(message: object) -> None:
            async with asyncio.timeout(self._send_seconds):
                await send(message)  # type: ignore[arg-type]  # passed on as it is

        await super().stream_response(sent)
