"""The OpenAPI document, made from the models that read and write the bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from lorayard.openai_shapes.body import ChatBody, TextBody
from lorayard_gateway.answer_shapes import ChatCompletion, ErrorBody, Health, TextCompletion
from lorayard_gateway.embeddings import EmbeddingsBody
from lorayard_gateway.models import ModelCard, ModelList
from lorayard_gateway.openapi_bounds import bounded
from lorayard_gateway.replies import json_text
from lorayard_gateway.wishes import DEADLINE, IDEMPOTENCY, ON_DISCONNECT, PRIORITY, REQUEST_ID, RESUME
from lorayard_schemas.job import Lane

VERSION: Final = "1"
"""Of OpenAI's API, as its paths have it."""

JsonMap = dict[str, Any]

_ERRORS: Final = {
    "400": "A field or a header cannot be used: `param` names it.",
    "401": "No key, or one that opens nothing.",
    "403": "A gateway without keys was reached from elsewhere than this machine.",
    "404": "No such model, or not for this tenant.",
    "405": "The path has no such method.",
    "408": "The body did not arrive in time.",
    "409": "The idempotency key stands for another request.",
    "413": "The body, or the prompt in it, is too large.",
    "415": "The body is not JSON.",
    "429": "A limit of the tenant or the adapter; Retry-After says when to come again.",
    "499": "The work was cancelled.",
    "500": "A fault of the yard.",
    "503": "The bus is away, the queue is full, or the gateway stops; Retry-After says when to come again.",
    "504": "No answer before the deadline.",
}
_BOUNDED: Final = frozenset({ChatBody.__name__, TextBody.__name__})
_READING: Final = ("401", "403", "404", "500")
_LISTING: Final = ("401", "403", "500")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    path: str
    method: str
    name: str
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    errors: tuple[str, ...] = ()
    open: bool = False
    """Whether it asks for no key."""
    streams: bool = False


_OPERATIONS: Final = (
    _Operation(
        path="/healthz", method="get", name="health", summary="Whether it serves.", answer=Health, open=True
    ),
    _Operation(path="/openapi.json", method="get", name="openapi", summary="This document.", open=True),
    _Operation(
        path="/v1/models",
        method="get",
        name="listModels",
        summary="The base model, and every adapter and alias that this tenant may use.",
        answer=ModelList,
        errors=_LISTING,
    ),
    _Operation(
        path="/v1/models/{model}",
        method="get",
        name="retrieveModel",
        summary="One model; `name@version` names a version.",
        answer=ModelCard,
        errors=_READING,
    ),
    _Operation(
        path="/v1/chat/completions",
        method="post",
        name="createChatCompletion",
        summary="Answer a conversation.",
        answer=ChatCompletion,
        body=ChatBody,
        errors=tuple(_ERRORS),
        streams=True,
    ),
    _Operation(
        path="/v1/completions",
        method="post",
        name="createCompletion",
        summary="Go on with a text.",
        answer=TextCompletion,
        body=TextBody,
        errors=tuple(_ERRORS),
        streams=True,
    ),
    _Operation(
        path="/v1/embeddings",
        method="post",
        name="createEmbedding",
        summary="Refused: no engine of a yard gives embeddings.",
        body=EmbeddingsBody,
        errors=("400", "401", "403", "404", "408", "413", "415", "500"),
    ),
)

_HEADERS: Final[tuple[tuple[str, str, JsonMap], ...]] = (
    (PRIORITY, "The lane; else `normal`.", {"type": "string", "enum": [lane.value for lane in Lane]}),
    (
        DEADLINE,
        "Seconds from now after which nobody waits for the answer: 504 then.",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    (
        IDEMPOTENCY,
        "The same key and request give the same answer, which is made once.",
        {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
    ),
    (
        ON_DISCONNECT,
        "Whether work goes on when its client goes; it does where there is an idempotency key.",
        {"type": "string", "enum": ["cancel", "continue"]},
    ),
)


def openapi_document() -> JsonMap:
    """The whole document."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorBody, "serialization")]
    for one in _OPERATIONS:
        if one.answer is not None:
            models.append((one.answer, "serialization"))
        if one.body is not None:
            models.append((one.body, "validation"))
    refs, shared = models_json_schema(models, ref_template="#/components/schemas/{model}")
    bodies = {one.body.__name__ for one in _OPERATIONS if one.body is not None}
    paths: JsonMap = {}
    for one in _OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lorayard gateway",
            "version": VERSION,
            "description": "OpenAI's API before a yard of LoRA adapters.",
        },
        "paths": paths,
        "components": {
            "schemas": _nullable(shared["$defs"], bodies),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def openapi_text() -> str:
    """As it is served."""
    return json_text(openapi_document())


def _operation(one: _Operation, refs: Any) -> JsonMap:
    told: JsonMap = {"operationId": one.name, "summary": one.summary, "responses": _responses(one, refs)}
    if one.open:
        told["security"] = []
    parameters: list[JsonMap] = []
    if "{model}" in one.path:
        parameters.append(_parameter("model", "path", "As `listModels` has it.", {"type": "string"}))
    if not one.open:
        name = "An id for logs and records; repeated in the answer."
        parameters.append(_parameter(REQUEST_ID, "header", name, {"type": "string"}))
    if one.streams:
        parameters += [_parameter(name, "header", what, schema) for name, what, schema in _HEADERS]
        resume = "The id of the last event that was read, to go on behind it; only with `stream`."
        parameters.append(_parameter(RESUME, "header", resume, {"type": "string", "const": ""}))
    if parameters:
        told["parameters"] = parameters
    if one.body is not None:
        content = {"application/json": {"schema": refs[one.body, "validation"]}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _parameter(name: str, where: str, what: str, schema: JsonMap) -> JsonMap:
    return {"name": name, "in": where, "required": where == "path", "description": what, "schema": schema}


def _responses(one: _Operation, refs: Any) -> JsonMap:
    told: JsonMap = {}
    if one.answer is not None:
        content: JsonMap = {"application/json": {"schema": refs[one.answer, "serialization"]}}
        if one.streams:
            content["text/event-stream"] = {"schema": {"type": "string"}}
        told["200"] = {"description": "The answer.", "content": content}
    elif one.body is None:
        told["200"] = {"description": "The document.", "content": {"application/json": {"schema": {}}}}
    if one.answer is Health:
        content = {"application/json": {"schema": refs[Health, "serialization"]}}
        told["503"] = {"description": "It does not.", "content": content}
    for status in one.errors:
        schema = {"schema": refs[ErrorBody, "serialization"]}
        told[status] = {"description": _ERRORS[status], "content": {"application/json": schema}}
    return told


def _nullable(schemas: JsonMap, bodies: set[str]) -> JsonMap:
    """Schemas of requests, in which a field that may be left out may be null as well: official clients send
    it so."""
    reached = _reached(schemas, bodies)
    schemas = schemas | {name: bounded(schemas[name]) for name in bodies if name in _BOUNDED}
    return {name: _open(schema) if name in reached else schema for name, schema in schemas.items()}


def _open(schema: JsonMap) -> JsonMap:
    required = set(schema.get("required", ()))
    properties = {
        name: told if name in required or _takes_null(told) else {"anyOf": [told, {"type": "null"}]}
        for name, told in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _takes_null(schema: JsonMap) -> bool:
    return schema.get("type") == "null" or any(_takes_null(one) for one in schema.get("anyOf", ()))


def _reached(schemas: JsonMap, names: set[str]) -> set[str]:
    reached = set(names)
    while more := {ref for name in reached for ref in _refs(schemas[name])} - reached:
        reached |= more
    return reached


def _refs(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {ref for one in schema for ref in _refs(one)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(schema, dict):
        return set()
    found = {ref for one in schema.values() for ref in _refs(one)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    ref = schema.get("$ref")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return found | ({ref.rpartition("/")[2]} if isinstance(ref, str) else set())
