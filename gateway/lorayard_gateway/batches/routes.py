"""The paths of `/v1/batches`."""

from __future__ import annotations

import time

import nats.js.errors
from starlette.requests import Request
from starlette.responses import Response

from lorayard.job_ids import keyed_job_id
from lorayard.openai_shapes import BodyError
from lorayard_gateway.batches.errors import (
    batch_unknown,
    key_taken,
    not_to_cancel,
    too_many_batches,
    wrong_purpose,
)
from lorayard_gateway.batches.shapes import BatchBody, BatchesQuery, BatchList, BatchObject
from lorayard_gateway.batches.states import moved
from lorayard_gateway.files.errors import file_unknown
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.queries import ends_of, page_of, read_fields, read_query
from lorayard_gateway.replies import JSON
from lorayard_gateway.settings import GatewaySettings
from lorayard_gateway.time_ids import ID_DIGITS, is_id, new_id
from lorayard_gateway.wishes import read_wishes
from lorayard_schemas.batch_record import BatchRecord, BatchStatus
from lorayard_schemas.file_record import FilePurpose

MOST_OPEN = 1000
"""Of one tenant's: each is looked at every second."""


async def create(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Begin one.

    Raises:
        ApiError, BodyError: it cannot be, and why.
    """
    asked = read_fields(BatchBody, await gateway.bodies.json(request))
    file_id = asked.input_file_id
    found = await gateway.files.find(tenant, file_id) if is_id(file_id) else None
    if found is None:
        raise file_unknown(file_id, param="input_file_id")
    if found.purpose is not FilePurpose.BATCH:
        raise wrong_purpose(file_id, found.purpose)
    now = time.time()
    kept = asked.output_expires_after
    record = BatchRecord(
        id=_id_under(read_wishes(request.headers).idempotency_key, tenant, gateway.settings),
        tenant=tenant,
        input_file_id=file_id,
        endpoint=asked.endpoint.value,
        metadata=asked.metadata,
        keep_output_seconds=None if kept is None else float(kept.seconds),
        created_at=now,
        expires_at=now + gateway.settings.gateway_batch_seconds,
    )
    return _told(BatchObject.of(await _made(gateway, record)))


async def _made(gateway: Gateway, record: BatchRecord) -> BatchRecord:
    """The batch, which may have been asked for under the same key before.

    Raises:
        ApiError: another one was, or the tenant may have no more.
    """
    known = await gateway.batches.find(record.tenant, record.id)
    if known is None:
        if gateway.batches.count(record.tenant) >= MOST_OPEN:
            raise too_many_batches(MOST_OPEN)
        await gateway.room.check(record.tenant)  # what it writes is stored beyond the share
        try:
            await gateway.batches.create(record)
        except nats.js.errors.KeyWrongLastSequenceError:  # asked for twice at once
            known = await gateway.batches.find(record.tenant, record.id)
        else:
            return record
    if known is None or not _is_same(known, record):
        raise key_taken()
    return known


async def list_batches(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """A page of the tenant's, the newest first."""
    asked = read_query(BatchesQuery, request.query_params)
    found = await gateway.batches.list(tenant)
    after = next((_place(one) for one in found if one.id == asked.after), None)
    if asked.after is not None and after is None:
        raise BodyError(field="after", reason="there is no such batch")
    page, more = page_of(found, _place, after=after, limit=asked.limit, newest_first=True)
    told = [BatchObject.of(one) for one in page]
    return _told(BatchList(data=told, **ends_of(page), has_more=more))


async def show(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """One of them.

    Raises:
        ApiError: there is none.
    """
    batch_id: str = request.path_params["batch_id"]
    found = await gateway.batches.find(tenant, batch_id) if is_id(batch_id) else None
    if found is None:
        raise batch_unknown(batch_id)
    return _told(BatchObject.of(found))


async def cancel(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """End one: its runner, which may be any gateway, hears of it.

    Raises:
        ApiError: there is none, or it has ended.
    """
    batch_id: str = request.path_params["batch_id"]
    if not is_id(batch_id):
        raise batch_unknown(batch_id)
    changed = await gateway.batches.change(tenant, batch_id, _cancelled)
    if changed is None:
        raise batch_unknown(batch_id)
    return _told(BatchObject.of(changed))


def _cancelled(record: BatchRecord) -> BatchRecord:
    if record.status is BatchStatus.CANCELLING:
        return record
    if record.status not in (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS):
        raise not_to_cancel(record.id, record.status)
    return moved(record, BatchStatus.CANCELLING, time.time())


def _place(record: BatchRecord) -> tuple[float, str]:
    return record.created_at, record.id


def _id_under(key: str | None, tenant: str, settings: GatewaySettings) -> str:
    """The batch under an idempotency key, which nobody else can guess; a new one without."""
    if key is None:
        return new_id("batch_")
    salt = settings.idempotency_salt.get_secret_value()
    return f"batch_{keyed_job_id(tenant=tenant, salt=salt, key=f'batch {key}')[:ID_DIGITS]}"


def _is_same(one: BatchRecord, other: BatchRecord) -> bool:
    """Whether two were asked for with the same words."""
    asked = {"input_file_id", "endpoint", "metadata", "keep_output_seconds"}
    return one.model_dump(include=asked) == other.model_dump(include=asked)


def _told(told: BatchObject | BatchList) -> Response:
    return Response(told.model_dump_json(), media_type=JSON)
