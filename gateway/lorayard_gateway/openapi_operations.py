"""What the gateway offers, path by path, for its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from lorayard.openai_shapes.body import ChatBody, TextBody
from lorayard_gateway.answer_shapes import ChatCompletion, Health, Readiness, TextCompletion
from lorayard_gateway.batches.shapes import BatchBody, BatchesQuery, BatchList, BatchObject
from lorayard_gateway.embeddings import EmbeddingsBody
from lorayard_gateway.files.shapes import FileDeleted, FileList, FileObject, FilesQuery, UploadFields
from lorayard_gateway.models import ModelCard, ModelList

ERRORS: Final = {
    "400": "A field or a header cannot be used: `param` names it.",
    "401": "No key, or one that opens nothing.",
    "403": "The tenant's share of the store is used up; a gateway without keys was reached from elsewhere.",
    "404": "No such thing, or not for this tenant.",
    "405": "The path has no such method.",
    "408": "The body did not arrive in time.",
    "409": "The idempotency key stands for another request, or what is meant has come too far.",
    "413": "The body, or the prompt in it, is too large.",
    "415": "The body is of another kind.",
    "429": "A limit of the tenant or the adapter; Retry-After says when to come again.",
    "499": "The work was cancelled.",
    "500": "A fault of the yard.",
    "503": "The bus is away, the queue is full, or the gateway stops; Retry-After says when to come again.",
    "504": "No answer before the deadline.",
    "507": "The yard's store of files is full.",
}
_ASKING: Final = tuple(status for status in ERRORS if status != "507")
_READING: Final = ("401", "403", "404", "500")
_LISTING: Final = ("401", "403", "500")
_STORED: Final = ("401", "403", "404", "500", "503")
_PAGED: Final = ("400", "401", "403", "500", "503")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    name: str
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    """Fields of a form beside its `file`."""
    query: type[BaseModel] | None = None
    errors: tuple[str, ...] = ()
    open: bool = False
    """Whether it asks for no key."""
    keyed: bool = False
    """Whether it heeds an idempotency key."""
    streams: bool = False
    gives_bytes: bool = False
    places: dict[str, str] = field(default_factory=dict[str, str])
    """Names in the path, and what they are."""


_FILE: Final = {"file_id": "As `createFile` or `listFiles` has it."}
_BATCH: Final = {"batch_id": "As `createBatch` or `listBatches` has it."}

OPERATIONS: Final = (
    Operation(
        path="/healthz", method="get", name="health", summary="That it runs.", answer=Health, open=True
    ),
    Operation(
        path="/readyz",
        method="get",
        name="readiness",
        summary="Whether requests would be answered; else a 503 says what is missing.",
        answer=Readiness,
        open=True,
    ),
    Operation(path="/openapi.json", method="get", name="openapi", summary="This document.", open=True),
    Operation(
        path="/v1/models",
        method="get",
        name="listModels",
        summary="The base model, and every adapter and alias that this tenant may use.",
        answer=ModelList,
        errors=_LISTING,
    ),
    Operation(
        path="/v1/models/{model}",
        method="get",
        name="retrieveModel",
        summary="One model; `name@version` names a version.",
        answer=ModelCard,
        errors=_READING,
        places={"model": "As `listModels` has it."},
    ),
    Operation(
        path="/v1/chat/completions",
        method="post",
        name="createChatCompletion",
        summary="Answer a conversation.",
        answer=ChatCompletion,
        body=ChatBody,
        errors=_ASKING,
        streams=True,
    ),
    Operation(
        path="/v1/completions",
        method="post",
        name="createCompletion",
        summary="Go on with a text.",
        answer=TextCompletion,
        body=TextBody,
        errors=_ASKING,
        streams=True,
    ),
    Operation(
        path="/v1/embeddings",
        method="post",
        name="createEmbedding",
        summary="Refused: no engine of a yard gives embeddings.",
        body=EmbeddingsBody,
        errors=("400", "401", "403", "404", "408", "413", "415", "500"),
    ),
    Operation(
        path="/v1/files",
        method="post",
        name="createFile",
        summary="Upload a file of lines for a batch.",
        answer=FileObject,
        form=UploadFields,
        errors=("400", "401", "403", "408", "413", "415", "500", "503", "507"),
    ),
    Operation(
        path="/v1/files",
        method="get",
        name="listFiles",
        summary="This tenant's files.",
        answer=FileList,
        query=FilesQuery,
        errors=_PAGED,
    ),
    Operation(
        path="/v1/files/{file_id}",
        method="get",
        name="retrieveFile",
        summary="One file.",
        answer=FileObject,
        errors=_STORED,
        places=_FILE,
    ),
    Operation(
        path="/v1/files/{file_id}",
        method="delete",
        name="deleteFile",
        summary="Have a file gone.",
        answer=FileDeleted,
        errors=(*_STORED, "409"),
        places=_FILE,
    ),
    Operation(
        path="/v1/files/{file_id}/content",
        method="get",
        name="downloadFile",
        summary="The bytes of a file.",
        errors=_STORED,
        gives_bytes=True,
        places=_FILE,
    ),
    Operation(
        path="/v1/batches",
        method="post",
        name="createBatch",
        summary="Answer the lines of a file while nobody waits.",
        answer=BatchObject,
        body=BatchBody,
        keyed=True,
        errors=("400", "401", "403", "404", "408", "409", "413", "415", "429", "500", "503"),
    ),
    Operation(
        path="/v1/batches",
        method="get",
        name="listBatches",
        summary="This tenant's batches, the newest first.",
        answer=BatchList,
        query=BatchesQuery,
        errors=_PAGED,
    ),
    Operation(
        path="/v1/batches/{batch_id}",
        method="get",
        name="retrieveBatch",
        summary="One batch.",
        answer=BatchObject,
        errors=_STORED,
        places=_BATCH,
    ),
    Operation(
        path="/v1/batches/{batch_id}/cancel",
        method="post",
        name="cancelBatch",
        summary="End a batch; what is answered stays.",
        answer=BatchObject,
        errors=(*_STORED, "409"),
        places=_BATCH,
    ),
)
