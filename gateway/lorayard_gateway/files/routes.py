"""The paths of `/v1/files`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lorayard_gateway.files.errors import file_in_use, file_unknown
from lorayard_gateway.files.shapes import FileDeleted, FileList, FileObject, FilesQuery
from lorayard_gateway.files.upload import take_upload
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.queries import ends_of, page_of, read_query
from lorayard_gateway.replies import JSON
from lorayard_gateway.time_ids import is_id
from lorayard_schemas.file_record import FileRecord


async def upload(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Take a file in.

    Raises:
        ApiError: it cannot be taken, and why.
    """
    gateway.uploads.begin(tenant)
    try:
        record = await take_upload(gateway, request, tenant)
    finally:
        gateway.uploads.end(tenant)
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
        ApiError: there is no such file, its first bytes are gone, or others are busy with theirs.
    """
    record = await _find(gateway, request, tenant)
    gateway.downloads.begin(tenant)
    try:
        first = await gateway.files.part(record, 0) if record.parts else b""
    except BaseException:
        gateway.downloads.end(tenant)
        raise
    return _Download(gateway, record, first)


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

    def __init__(self, gateway: Gateway, record: FileRecord, first: bytes) -> None:
        async def parts() -> AsyncGenerator[bytes]:
            yield first
            for index in range(1, len(record.parts)):
                yield await gateway.files.part(record, index)

        self._gateway, self._tenant = gateway, record.tenant
        head = {"content-length": str(record.size_bytes), "x-content-type-options": "nosniff"}
        super().__init__(parts(), media_type="application/octet-stream", headers=head)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As starlette does, and others may download then."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._gateway.downloads.end(self._tenant)

    async def stream_response(self, send: Send) -> None:
        """As starlette does, but no send may take longer than that."""

        async def sent(message: object) -> None:
            async with asyncio.timeout(self._gateway.settings.gateway_send_seconds):
                await send(message)  # type: ignore[arg-type]  # passed on as it is

        await super().stream_response(sent)
