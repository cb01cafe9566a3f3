"""Take an upload in: a form whose file goes into the store as it comes, whatever order its fields have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from lorayard_gateway.bodies import LINGER_SECONDS
from lorayard_gateway.errors import ApiError
from lorayard_gateway.files.errors import bad_field, bad_form, file_too_large, store_full, upload_too_slow
from lorayard_gateway.files.form import PartBegan, form_events
from lorayard_gateway.files.room import Incoming
from lorayard_gateway.files.shapes import UploadFields
from lorayard_gateway.files.store import FileWriting
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.queries import read_fields
from lorayard_schemas.file_record import FilePurpose, FileRecord
from lorayard_shared.registry.errors import StoreFullError

FILE = "file"
MOST_FIELD_BYTES = 4096
MOST_NAME_CHARACTERS = 1024
FORM_BYTES = 64 * 1024
"""Of a body beside its file: boundaries, headers and the other fields."""


async def take_upload(gateway: Gateway, request: Request, tenant: str) -> FileRecord:
    """The file of an upload, once all of it is in the store; of one that is refused or cut nothing stays.

    Raises:
        ApiError: it cannot be taken, and why.
        nats.errors.Error: the bus does not take it; where that was its record, it may be a file.
        starlette.requests.ClientDisconnect: its client has left in the middle.
    """
    coming = request.stream()
    try:
        async with gateway.room.incoming(tenant) as incoming:
            _check_told(request, incoming, gateway.settings.gateway_max_file_bytes)
            record = await _stored(gateway, request, tenant, coming, incoming)
            incoming.keep()
            return record
    except ApiError:
        await _read_on(coming)
        raise


def _check_told(request: Request, incoming: Incoming, limit_bytes: int) -> None:
    """Refuse by its head what would be refused by its bytes."""
    told = request.headers.get("content-length", "")
    if not (told.isascii() and told.isdigit()):
        return
    if len(told) > 15 or int(told) > limit_bytes + FORM_BYTES:
        raise file_too_large(limit_bytes)
    incoming.expect(int(told) - FORM_BYTES)


async def _stored(
    gateway: Gateway, request: Request, tenant: str, coming: AsyncGenerator[bytes], incoming: Incoming
) -> FileRecord:
    settings, writing = gateway.settings, gateway.files.begin()
    patience = asyncio.timeout(settings.gateway_upload_seconds)
    try:
        async with patience:
            form = _Form(writing, incoming, settings.gateway_max_file_bytes)
            await form.read(request, _paced(coming, settings.gateway_body_seconds))
            keep_seconds = form.fields.seconds or settings.gateway_file_seconds
            return await writing.keep(tenant, form.name, FilePurpose.BATCH, keep_seconds=keep_seconds)
    except BaseException as error:
        gateway.tasks.spawn(writing.drop(), "drop-upload")
        if isinstance(error, StoreFullError):
            raise store_full() from error
        if isinstance(error, TimeoutError) and patience.expired():  # that of a bus is one, too
            raise upload_too_slow(settings.gateway_upload_seconds) from error
        raise


async def _read_on(coming: AsyncGenerator[bytes]) -> None:
    """For a moment: a connection that is closed over unread bytes takes the answer down with it."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(LINGER_SECONDS):
            async for _ in coming:
                pass


async def _paced(coming: AsyncGenerator[bytes], seconds: float) -> AsyncGenerator[bytes]:
    """Pieces of a body, none of which may be longer in coming than that."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(coming, None)
        except TimeoutError:
            raise upload_too_slow(seconds) from None
        if piece is None:
            return
        yield piece


class _Form:
    """What an upload says, as far as it has come."""

    def __init__(self, writing: FileWriting, incoming: Incoming, limit_bytes: int) -> None:
        self._writing, self._incoming, self._limit = writing, incoming, limit_bytes
        self._texts: dict[str, bytearray] = {}
        self._at: str | None = None
        """The field that is being read."""
        self._named = False
        self.name = ""
        self.fields = UploadFields(purpose="batch")

    async def read(self, request: Request, coming: AsyncGenerator[bytes]) -> None:
        """All of it.

        Raises:
            ApiError: something is wrong with it.
        """
        async for event in form_events(request.headers.get("content-type", ""), coming):
            if isinstance(event, PartBegan):
                self._begin(event)
            elif self._at == FILE:
                if self._writing.size_bytes + len(event.data) > self._limit:
                    raise file_too_large(self._limit)
                self._incoming.take(len(event.data))
                await self._writing.add(event.data)
            elif self._at is not None:
                self._add(self._at, event.data)
        if not self._named:
            raise bad_field(FILE, "a file is needed", code="missing_required_parameter")
        self.fields = self._read_fields()

    def _begin(self, part: PartBegan) -> None:
        known = {FILE, *(field.alias or name for name, field in UploadFields.model_fields.items())}
        if part.name not in known:
            raise bad_field(part.name[:100], "no such field", code="unknown_parameter")
        if part.name in self._texts or (part.name == FILE and self._named):
            raise bad_field(part.name, "it is there twice")
        self._at = part.name
        if part.name != FILE:
            self._texts[part.name] = bytearray()
            return
        if not part.filename:
            raise bad_field(FILE, "a file with a name is needed")
        self._named, self.name = True, part.filename[:MOST_NAME_CHARACTERS]

    def _add(self, name: str, data: bytes) -> None:
        text = self._texts[name]
        text += data
        if len(text) > MOST_FIELD_BYTES:
            raise bad_field(name, f"at most {MOST_FIELD_BYTES} bytes")

    def _read_fields(self) -> UploadFields:
        try:
            given = {name: text.decode() for name, text in self._texts.items()}
        except UnicodeDecodeError as error:
            raise bad_form("a field is no UTF-8") from error
        fields = read_fields(UploadFields, given)
        if (fields.anchor is None) != (fields.seconds is None):
            raise bad_field("expires_after", "anchor and seconds go together")
        return fields
